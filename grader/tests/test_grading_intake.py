"""What is taken from a submission, and what is refused."""
from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Dict

import pytest

from grader.grading import archive, intake, source
from grader.plan import RunError

WANTED = ("vmm/one.c", "vmm/two.c")
GOOD = {"vmm/one.c": b"int one;\n", "vmm/two.c": b"int two;\n"}


def folder(tmp_path: Path, files: Dict[str, bytes]) -> Path:
    place = tmp_path / "handed in"
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def zipped(tmp_path: Path, files: Dict[str, bytes]) -> Path:
    path = tmp_path / "handed in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def tarred(tmp_path: Path, files: Dict[str, bytes], **changes: object) -> Path:
    path = tmp_path / "handed in.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in changes.items():
                setattr(info, key, value)
            file.addfile(info, io.BytesIO(data))
    return path


KINDS = pytest.mark.parametrize("pack", (folder, zipped, tarred))


@KINDS
def test_the_files_named_are_taken_and_no_other(tmp_path, pack):
    taken = intake.take(pack(tmp_path, {**GOOD, "Makefile": b"x", "test_x.py": b"y"}), WANTED)
    assert taken.files == GOOD and not taken.problems
    assert taken.ignored == ["Makefile", "test_x.py"] and taken.ignored_count == 2
    assert set(taken.hashes) == set(WANTED)


@KINDS
def test_one_wrapping_folder_is_no_harm(tmp_path, pack):
    wrapped = {f"ada-lab1-main/{name}": data for name, data in GOOD.items()}
    assert intake.take(pack(tmp_path, wrapped), WANTED).files == GOOD


@KINDS
def test_two_folders_are_not_guessed_between(tmp_path, pack):
    both = {f"{top}/{name}": data for name, data in GOOD.items() for top in ("a", "b")}
    assert not intake.take(pack(tmp_path, both), WANTED).files


@KINDS
def test_what_is_missing_or_unfit_is_named_and_the_rest_taken(tmp_path, pack):
    for data, why in ((None, "missing"), (b"a\0b", "zero byte"), (b"\xff\xfe", "UTF-8"),
                      (b"x" * (source.MOST_BYTES + 1), "longer than 256 KiB")):
        files = {"vmm/one.c": GOOD["vmm/one.c"]}
        if data is not None:
            files["vmm/two.c"] = data
        taken = intake.take(pack(tmp_path, files), WANTED)
        assert list(taken.files) == ["vmm/one.c"]
        assert why in taken.problems["vmm/two.c"]
    whole = {**GOOD, "vmm/two.c": b"x" * source.MOST_BYTES}
    assert not intake.take(pack(tmp_path, whole), WANTED).problems


def test_what_is_as_in_the_project_is_not_called_ignored(tmp_path):
    tree = tmp_path / "project"
    tree.mkdir()
    (tree / "README").write_bytes(b"as given")
    (tree / "vm.c").write_bytes(b"as given")
    place = folder(tmp_path, {**GOOD, "README": b"as given", "vm.c": b"changed"})
    assert intake.take(place, WANTED, tree).ignored == ["vm.c"]
    assert intake.take(place, WANTED).ignored_count == 2


# --- Folders -----------------------------------------------------------------------

def test_no_link_is_followed(tmp_path):
    secret = tmp_path / "secret.c"
    secret.write_text("secret")
    place = folder(tmp_path, {"vmm/one.c": b"x"})
    (place / "vmm/two.c").symlink_to(secret)
    taken = intake.take(place, WANTED)
    assert list(taken.files) == ["vmm/one.c"] and "link" in taken.problems["vmm/two.c"]


def test_no_folder_behind_a_link_is_entered(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "one.c").write_text("secret")
    place = tmp_path / "handed in"
    place.mkdir()
    (place / "vmm").symlink_to(outside)
    taken = intake.take(place, WANTED)
    assert not taken.files and len(taken.problems) == 2


def test_what_is_no_file_is_not_waited_for(tmp_path):
    place = folder(tmp_path, {"vmm/one.c": b"x"})
    os.mkfifo(place / "vmm/two.c")
    assert "no regular file" in intake.take(place, WANTED).problems["vmm/two.c"]


def test_names_that_are_no_text_are_shown_as_far_as_they_can(tmp_path):
    place = folder(tmp_path, GOOD)
    with open(os.fsencode(place) + b"/bad\xff\nname", "wb"):
        pass
    shown, = intake.take(place, WANTED).ignored
    assert shown.startswith("bad") and shown.isprintable()


def test_a_commit_is_read_and_git_is_not_run(tmp_path):
    sha = "0123456789abcdef0123456789abcdef01234567"
    place = folder(tmp_path, {**GOOD, ".git/HEAD": b"ref: refs/heads/main\n",
                              ".git/refs/heads/main": sha.encode() + b"\n",
                              ".git/config": b"[core]\nfsmonitor = touch ran\n"})
    taken = intake.take(place, WANTED)
    assert taken.commit == sha and taken.ignored_count == 0
    (place / ".git/HEAD").write_text("ref: refs/../../secret\n")
    assert intake.take(place, WANTED).commit == ""


def test_a_submission_that_is_not_there_is_the_callers_mistake(tmp_path):
    with pytest.raises(RunError, match="no submission"):
        intake.take(tmp_path / "nobody", WANTED)


# --- Archives ----------------------------------------------------------------------

BAD_NAMES = pytest.mark.parametrize("name", ("../vmm/one.c", "a/../../x", "/etc/passwd",
                                             "c:/x", "a\\..\\x"))


@BAD_NAMES
@pytest.mark.parametrize("pack", (zipped, tarred))
def test_names_that_lead_outside_refuse_the_archive(tmp_path, pack, name):
    with pytest.raises(RunError, match="outside|not relative"):
        intake.take(pack(tmp_path, {**GOOD, name: b"x"}), WANTED)


def test_a_link_in_a_zip_refuses_it(tmp_path):
    path = zipped(tmp_path, GOOD)
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(RunError, match="link or a device"):
        intake.take(path, WANTED)


@pytest.mark.parametrize("kind", (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
                                  tarfile.FIFOTYPE))
def test_links_and_devices_in_a_tar_refuse_it(tmp_path, kind):
    with pytest.raises(RunError, match="link or a device"):
        intake.take(tarred(tmp_path, GOOD, type=kind, linkname="/etc/passwd", size=0), WANTED)


def test_two_members_of_one_name_refuse_the_archive(tmp_path):
    path = zipped(tmp_path, GOOD)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning):
        file.writestr("vmm/one.c", "another")
    with pytest.raises(RunError, match="twice"):
        intake.take(path, WANTED)


def test_an_encrypted_member_refuses_the_zip(tmp_path):
    raw = bytearray(zipped(tmp_path, GOOD).read_bytes())
    directory = raw.index(b"PK\x01\x02")
    raw[directory + 8] |= archive.ENCRYPTED
    path = tmp_path / "secret.zip"
    path.write_bytes(raw)
    with pytest.raises(RunError, match="encrypted"):
        intake.take(path, WANTED)


def test_a_zip_that_lies_about_its_size_is_read_no_further(tmp_path):
    path = zipped(tmp_path, {**GOOD, "vmm/two.c": b" " * (64 << 20)})
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    raw[entry + 24:entry + 28] = (10).to_bytes(4, "little")
    path.write_bytes(raw)
    taken = intake.take(path, WANTED)
    assert list(taken.files) == ["vmm/one.c"]


def test_a_bomb_of_a_tar_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_TOTAL", 1 << 20)
    with pytest.raises(RunError, match="unpacks to more than 1 MiB"):
        intake.take(tarred(tmp_path, {"bomb": bytes(2 << 20), **GOOD}), WANTED)


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_NAMES", 20)
    many = {f"f{i}": b"" for i in range(30)}
    for pack in (zipped, tarred):
        with pytest.raises(RunError, match="more than 20 files"):
            intake.take(pack(tmp_path, many), WANTED)


def test_an_archive_in_an_archive_is_just_a_file(tmp_path):
    inner = zipped(tmp_path, GOOD).read_bytes()
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as file:
        file.writestr("inner.zip", inner)
    taken = intake.take(outer, WANTED)
    assert not taken.files and taken.ignored == ["inner.zip"]


@pytest.mark.parametrize("data", (b"", b"PK", b"no archive at all", b"PK\x05\x06" + bytes(18)))
def test_what_is_no_archive_is_told(tmp_path, data):
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    if data.startswith(b"PK\x05"):          # an empty zip is one
        assert len(intake.take(path, WANTED).problems) == 2
        return
    with pytest.raises(RunError, match="no zip, tar file or folder"):
        intake.take(path, WANTED)
