"""The sandbox: where a submission is built and run.

Bubblewrap gives it namespaces of its own: no network, no process but its own, of
the file system only the tools (/usr) and one folder.  Where the system forbids that,
it has the limits and, for root, another user: then the score is labelled, since a
submission could have looked around (DESIGN.md, section 7).  Everything that was
started is gone when a command has ended (processes.py).
"""
from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from grader import remove
from grader.grading import limits as bounds
from grader.grading.limits import Limits
from grader.plan import ROOT, RunError

NAMESPACES, ANOTHER_USER, LIMITS_ONLY = "namespaces", "user", "limits"
KINDS = (NAMESPACES, ANOTHER_USER, LIMITS_ONLY)
FORCE = "NESTLING_SANDBOX"  # the kit's own tests take another kind than the best one
INSIDE = "/sandbox"         # where the one folder is that it works in
PATH = "/usr/bin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/tmp", "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8"}
TOOL_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SHARED = ("/tmp", "/var/tmp", "/dev/shm")
PROBE = Limits(cpu_s=5, memory=bounds.MACHINE.memory, file=1 << 20)


@dataclass(frozen=True)
class Sandbox:
    """One way to confine a command; `reason` says why it is not the best one."""

    kind: str
    uid: int
    reason: str = ""
    disposable: bool = False

    @property
    def trusted(self) -> bool:
        """Whether a score from here can be trusted."""
        return self.kind == NAMESPACES or self.disposable

    @property
    def label(self) -> str:
        """One sentence for reports."""
        if self.kind == NAMESPACES:
            return "built and run in a sandbox with namespaces of its own"
        how = ("as another user, with limits" if self.kind == ANOTHER_USER else
               "as the grader's own user, with limits only")
        judged = ("the machine was declared disposable" if self.disposable else
                  "the score is not to be trusted for submissions that may be hostile")
        return f"built and run {how}, not in a sandbox ({self.reason}); {judged}"

    def wrap(self, folder: Path, limits: Limits, writable: bool = True) -> List[str]:
        """The words before a command that is to work in `folder`, and nowhere else.  Where it is
        not to write, the folder must not have been handed over: without namespaces that is all
        that forbids it."""
        words = bounds.prlimit(limits, self.uid)
        if self.uid != os.getuid():
            words = bounds.setpriv(self.uid) + words
        if self.kind == NAMESPACES:
            return _bubblewrap(folder, limits, writable) + words
        return ["env", "-i", *(f"{key}={value}" for key, value in ENVIRONMENT.items())] + words

    def hand_over(self, folder: Path) -> None:
        """Let the sandboxed user write in `folder` and to everything in it."""
        if self.uid == os.getuid():
            return
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.lchown(os.path.join(place, name), self.uid, self.uid)
        os.chown(folder, self.uid, self.uid)

    def sweep(self) -> None:
        """Remove what another user left in the folders that all users share."""
        if self.kind != ANOTHER_USER:
            return
        for folder in filter(os.path.isdir, SHARED):
            for entry in os.scandir(folder):
                try:
                    if entry.stat(follow_symlinks=False).st_uid != self.uid:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        remove.tree(Path(entry.path))
                    else:
                        os.unlink(entry.path)
                except OSError:
                    continue


def find(disposable: bool = False, force: Optional[str] = None) -> Sandbox:
    """The best sandbox that works here."""
    force = force or os.environ.get(FORCE) or ""
    if force and force not in KINDS:
        raise RunError(f"there is no sandbox '{force}'; there are: {', '.join(KINDS)}")
    for tool in ("prlimit", "setpriv", "env"):
        if shutil.which(tool, path=PATH) is None:
            raise RunError(f"{tool} is missing: install util-linux and coreutils")
    root = os.getuid() == 0
    first = KINDS.index(force) if force else 0
    reason = f"{force} was asked for" if force else ""
    for kind in KINDS[first:]:
        if kind == ANOTHER_USER and not root:
            continue
        uid = bounds.spare_uid() if root and kind != LIMITS_ONLY else os.getuid()
        candidate = Sandbox(kind, uid, reason, disposable)
        complaint = _probe(candidate)
        if not complaint:
            return candidate
        reason = reason or f"bubblewrap does not work here: {complaint}"
    raise RunError(f"no command can be confined on this machine: {complaint}")


def _probe(sandbox: Sandbox) -> str:
    """'' if the sandbox works, else what stands in its way."""
    if sandbox.kind == NAMESPACES and shutil.which("bwrap") is None:
        return "it is not installed"
    with tempfile.TemporaryDirectory(prefix="nestling-") as name:
        folder = Path(name)
        sandbox.hand_over(folder)
        try:
            made = subprocess.run(sandbox.wrap(folder, PROBE) + ["touch", "written"], cwd=folder,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                  text=True, errors="replace", check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if made.returncode == 0 and (folder / "written").is_file():
            return ""
        return (made.stderr.strip().splitlines() or [f"it ended with {made.returncode}"])[-1]


def _bubblewrap(folder: Path, limits: Limits, writable: bool) -> List[str]:
    """No network, no /proc, no environment; /usr is read only, `folder` is INSIDE."""
    words = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    for key, value in ENVIRONMENT.items():
        words += ["--setenv", key, value]
    if os.getuid() == 0:  # a user namespace would map root to itself, which no limit binds
        words += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
                  "--unshare-cgroup-try"]
        for right in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            words += ["--cap-add", right]
    else:
        words += ["--unshare-all"] + _if_known("--unshare-user", "--disable-userns")
    words += ["--ro-bind", "/usr", "/usr"]
    for name in TOOL_FOLDERS:
        if os.path.islink(name):
            words += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            words += ["--ro-bind", name, name]
    for name in ("/etc", "/dev"):
        words += ["--dir", name, "--chmod", "0755", name]
    words += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    if str(ROOT).startswith("/usr/"):
        words += ["--tmpfs", str(ROOT)]
    for name in ("null", "zero", "urandom"):
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    words += _if_known("--size", str(limits.tmp)) + ["--tmpfs", "/tmp", "--chmod", "1777", "/tmp"]
    words += ["--bind" if writable else "--ro-bind", str(folder.resolve()), INSIDE]
    words += ["--chdir", INSIDE]
    return words + ["--remount-ro", "/", "--"]


def _if_known(*words: str) -> List[str]:
    """These words, if this bubblewrap knows the options among them (0.7 and 0.8 added some)."""
    known = _help().split()
    return list(words) if all(word in known for word in words if word[:2] == "--") else []


@functools.lru_cache(maxsize=None)
def _help() -> str:
    return subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False).stdout
