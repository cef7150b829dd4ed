"""A submission that is a zip or a tar file.

Nothing is unpacked to disk: members are read into memory, counted by the bytes that
really come out, so a bomb is refused however small it claims to be.  Names that
are absolute or climb out, links, devices, encrypted members and two members of one
name make the whole archive refused: no honest tool produces them.
"""
from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from grader.grading.source import MOST_NAMES, Refused, Source, too_long

MOST_ARCHIVE = 64 << 20   # bytes of the file itself
MOST_TOTAL = 256 << 20    # bytes of a compressed tar, unpacked
PIECE = 1 << 16
ENCRYPTED = 1


def open_archive(path: Path) -> Source:
    """A zip or a tar file, by its contents; Refused if it is neither."""
    if path.stat().st_size > MOST_ARCHIVE:
        raise Refused(f"is longer than {MOST_ARCHIVE >> 20} MiB")
    if zipfile.is_zipfile(path):
        return Zip(path)
    return Tar(path)


def checked_name(name: str) -> str:
    """The name of a member, without ./ before it; Refused unless it stays inside."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or "\\" in name or "\0" in name or (parts and ":" in parts[0]):
        raise Refused(f"holds a name that is not relative: {name!r:.80}")
    if ".." in parts:
        raise Refused(f"holds a name that leads outside: {name!r:.80}")
    return "/".join(parts)


def _unique(names: List[str]) -> None:
    if len(names) > MOST_NAMES:
        raise Refused(f"holds more than {MOST_NAMES} files")
    seen = set()
    for name in names:
        if name in seen:
            raise Refused(f"holds {name!r:.80} twice")
        seen.add(name)


class Zip(Source):
    """A zip file."""

    kind = "zip"

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Refused(f"is a damaged zip file: {error}") from None
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        self._members = {checked_name(info.filename): info for info in infos}
        _unique([checked_name(info.filename) for info in infos])
        for info in infos:
            _check_zip_member(info)

    def close(self) -> None:
        self._zip.close()

    def names(self) -> List[str]:
        return list(self._members)

    def holds(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, most: int) -> bytes:
        if name not in self._members:
            raise Refused("is missing")
        try:
            with self._zip.open(self._members[name]) as stream:
                data = stream.read(most + 1)
                if len(data) <= most and stream.read(1):
                    raise too_long(most)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError,
                RuntimeError) as error:
            raise Refused(f"cannot be unpacked: {error}") from None
        if len(data) > most:
            raise too_long(most)
        return data


def _check_zip_member(info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise Refused(f"holds {info.filename!r:.80}, which is a link or a device")
    if info.flag_bits & ENCRYPTED:
        raise Refused(f"holds {info.filename!r:.80}, which is encrypted")


class Tar(Source):
    """A tar file, compressed or not, read once from begin to end."""

    kind = "tar"

    def __init__(self, path: Path) -> None:
        self._files: Dict[str, Tuple[bytes, bool]] = {}  # bytes as far as kept, too long
        self._most = 0
        self._path = path
        names: List[str] = []
        try:
            with tarfile.open(path, "r:*") as tar:
                for member in _bounded(tar):
                    name = checked_name(member.name)
                    if member.isdir():
                        continue
                    if not member.isreg():
                        raise Refused(f"holds {member.name!r:.80}, which is a link or a device")
                    names.append(name)
        except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
            raise Refused(f"is no zip, tar file or folder: {error}") from None
        _unique(names)
        self._names = names

    def names(self) -> List[str]:
        return list(self._names)

    def holds(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str, most: int) -> bytes:
        if name not in self._names:
            raise Refused("is missing")
        with tarfile.open(self._path, "r:*") as tar:
            for member in _bounded(tar):
                if member.isreg() and checked_name(member.name) == name:
                    stream = tar.extractfile(member)
                    data = stream.read(most + 1) if stream else b""
                    if len(data) > most:
                        raise too_long(most)
                    return data
        raise Refused("is missing")


def _bounded(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members, as long as what lies before them is not more than MOST_TOTAL bytes."""
    for count, member in enumerate(tar):
        if member.offset > MOST_TOTAL or member.offset_data + member.size > MOST_TOTAL:
            raise Refused(f"unpacks to more than {MOST_TOTAL >> 20} MiB")
        if count > MOST_NAMES:
            raise Refused(f"holds more than {MOST_NAMES} files")
        yield member
