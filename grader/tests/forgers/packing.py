"""Packings: how a folder of files is handed in, honestly and otherwise.

`PACKINGS[name](folder, place, victim)` packs `folder` at `place` and returns what is handed
in.  HONEST ones are those of the twins; the others try to make whoever takes the files
read, write or unpack something else.  `victim` is a folder outside, open to anybody.
"""
from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple

Pack = Callable[[Path, Path, Path], Path]
ONE = "vmm/exit_io.c"       # the file that the tricks are about


def members(folder: Path) -> Iterator[Tuple[str, bytes]]:
    """Name and contents of each file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


# --- Honest ones ---------------------------------------------------------------------------

def as_folder(folder: Path, place: Path, victim: Path) -> Path:
    return folder


def as_zip(folder: Path, place: Path, victim: Path) -> Path:
    """A zip as `make handin` and file managers make it."""
    with zipfile.ZipFile(place / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members(folder):
            archive.writestr(name, data)
    return place / "s.zip"


def as_tar(folder: Path, place: Path, victim: Path) -> Path:
    with tarfile.open(place / "s.tar.gz", "w:gz") as archive:
        archive.add(folder, "work")
    return place / "s.tar.gz"


# --- Zips ----------------------------------------------------------------------------------

def _zip_with(folder: Path, place: Path, more: Callable[[zipfile.ZipFile], None]) -> Path:
    path = as_zip(folder, place, folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")     # of a name that is there twice
        more(archive)
    return path


def zip_bomb(folder: Path, place: Path, victim: Path) -> Path:
    """One of the files unpacks to a gigabyte, out of some megabytes."""
    (folder / ONE).unlink()
    return _zip_with(folder, place, lambda archive: archive.writestr(
        ONE, bytes(1 << 30), compresslevel=1))


def zip_lies(folder: Path, place: Path, victim: Path) -> Path:
    """The directory says that the bomb is ten bytes long."""
    path = zip_bomb(folder, place, victim)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(ONE.encode()))
    struct.pack_into("<I", data, at + 24, 10)
    path.write_bytes(data)
    return path


def zip_absolute(folder: Path, place: Path, victim: Path) -> Path:
    return _zip_with(folder, place,
                     lambda archive: archive.writestr(str(victim / "file"), b"written"))


def zip_climbs(folder: Path, place: Path, victim: Path) -> Path:
    climb = "../" * 12 + str(victim / "file").lstrip("/")
    return _zip_with(folder, place, lambda archive: archive.writestr(climb, b"written"))


def zip_link(folder: Path, place: Path, victim: Path) -> Path:
    """A link to a folder outside, and a file below it."""
    def add(archive: zipfile.ZipFile) -> None:
        link = zipfile.ZipInfo("labs/out")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(victim))
        archive.writestr("labs/out/file", b"written")
    return _zip_with(folder, place, add)


def zip_twice(folder: Path, place: Path, victim: Path) -> Path:
    """Two files of one name: checked is the one, taken the other."""
    return _zip_with(folder, place, lambda archive: archive.writestr(ONE, b"#error second\n"))


def zip_encrypted(folder: Path, place: Path, victim: Path) -> Path:
    path = as_zip(folder, place, victim)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    return path


# --- Tars ----------------------------------------------------------------------------------

def _tar_with(folder: Path, place: Path, *infos: Tuple[tarfile.TarInfo, bytes]) -> Path:
    path = place / "s.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, ".")
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar_climbs(folder: Path, place: Path, victim: Path) -> Path:
    return _tar_with(folder, place, (_info(f"../../../../../../..{victim}/file"), b"written"))


def tar_link(folder: Path, place: Path, victim: Path) -> Path:
    """A link in the place of a file, to the reference's: a submission that has all points."""
    from grader.plan import ROOT
    (folder / ONE).unlink()
    return _tar_with(folder, place, (_info(ONE, tarfile.SYMTYPE, str(ROOT / ONE)), b""))


def tar_device(folder: Path, place: Path, victim: Path) -> Path:
    (folder / ONE).unlink()
    device = _info(ONE, tarfile.CHRTYPE)
    device.devmajor, device.devminor = 1, 5
    return _tar_with(folder, place, (device, b""))


def tar_bomb(folder: Path, place: Path, victim: Path) -> Path:
    """300 MiB of zeros in front of the files, in a little more than one."""
    path = place / "s.tar.gz"
    head = _info("zeros")
    head.size = 300 << 20
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        file.write(squeeze.compress(head.tobuf()))
        for _ in range(300):
            file.write(squeeze.compress(bytes(1 << 20)))
        rest = _tar_with(folder, place)
        file.write(squeeze.compress(rest.read_bytes()) + squeeze.flush())
    return path


# --- Folders -------------------------------------------------------------------------------

def link_to_reference(folder: Path, place: Path, victim: Path) -> Path:
    """One file is a link to the reference's."""
    from grader.plan import ROOT
    (folder / ONE).unlink()
    (folder / ONE).symlink_to(ROOT / ONE)
    return folder


def folder_link_to_reference(folder: Path, place: Path, victim: Path) -> Path:
    """The folder of the files is a link."""
    from grader.plan import ROOT
    (folder / "vmm").rename(place / "away")
    (folder / "vmm").symlink_to(ROOT / "vmm")
    return folder


def folder_for_a_file(folder: Path, place: Path, victim: Path) -> Path:
    (folder / ONE).unlink()
    (folder / ONE).mkdir()
    return folder


def fifo_for_a_file(folder: Path, place: Path, victim: Path) -> Path:
    """Whoever reads it waits for ever."""
    (folder / ONE).unlink()
    os.mkfifo(folder / ONE)
    return folder


def endless_file(folder: Path, place: Path, victim: Path) -> Path:
    """A file of 8 TiB that takes no disk."""
    with open(folder / ONE, "ab") as file:
        file.truncate(8 << 40)
    return folder


def strange_names(folder: Path, place: Path, victim: Path) -> Path:
    """Names that shells, makes and pages stumble over, and one file less."""
    for name in ("a b.c", "new\nline.c", "$(touch x).c", "-rf", "<script>alert(1)<b>",
                 "\x1b[2J", "%s%n", "a;touch x;.c", ".hidden", "x" * 200):
        (folder / "vmm" / name).write_text("#error taken\n")
    (folder / "vmm" / "\udcff\udcfe").write_text("half a character")
    (folder / ONE).rename(folder / "vmm" / "exit_io.c ")
    return folder


def loops_of_links(folder: Path, place: Path, victim: Path) -> Path:
    """Links that lead to themselves and to all of the machine, and one file less."""
    (folder / "labs/loop").symlink_to(".")
    (folder / "labs/all").symlink_to("/")
    (folder / ONE).unlink()
    (folder / ONE).symlink_to("exit_io.c")
    return folder


PACKINGS: Dict[str, Pack] = {"folder": as_folder, "zip": as_zip, "tar": as_tar, **{
    pack.__name__: pack for pack in (
        zip_bomb, zip_lies, zip_absolute, zip_climbs, zip_link, zip_twice, zip_encrypted,
        tar_climbs, tar_link, tar_device, tar_bomb, link_to_reference, folder_link_to_reference,
        folder_for_a_file, fifo_for_a_file, endless_file, strange_names, loops_of_links)}}


def twin_of(packing: str) -> str:
    """The honest packing of the same kind."""
    return next((kind for kind in ("zip", "tar") if packing.startswith(kind)), "folder")
