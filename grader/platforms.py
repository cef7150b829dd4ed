"""The platforms there are: the one place where a platform is registered."""
from __future__ import annotations

from typing import Tuple

from grader import bochs
from grader.platform import Platform
from grader.qemu_svm import QemuSvm

PLATFORMS: Tuple[Platform, ...] = (
    QemuSvm(),
    *bochs.PLATFORMS,
)


def find(name: str) -> Platform:
    """The platform `name`; KeyError with the list of those there are."""
    for platform in PLATFORMS:
        if platform.name == name:
            return platform
    known = ", ".join(platform.name for platform in PLATFORMS)
    raise KeyError(f"there is no platform '{name}'; there are: {known}")
