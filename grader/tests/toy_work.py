"""A work for the tests of workers: job["do"] says what it does."""
from __future__ import annotations

import os
import signal
import subprocess
from typing import Any, Callable, Dict

SEEN = []           # by this process


def work(job: Dict[str, Any], tell: Callable[..., None]) -> int:
    """Tell how the process is, and then do what the job says."""
    SEEN.append(job)
    tell(at="is", environment=dict(os.environ), folder=os.getcwd(), seen=len(SEEN),
         session=os.getsid(0) == os.getpid(), hatchery=os.getppid())
    print("said to the log")
    if job["do"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job["do"] == "raise":
        raise ValueError("so it was asked")
    if job["do"] == "hang":
        child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "sleep", "1000"])
        tell(at="hangs", child=child.pid)
        child.wait()
    return int(job.get("code", 0))
