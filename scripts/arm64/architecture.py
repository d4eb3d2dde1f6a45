"""The architectures and kernels, and how each is built for and emulated."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from .programs import install

# The release of Debian whose kernel is the oldest that the balancer supports: 6.1.
OLDEST = "bookworm"


@dataclass(frozen=True)
class Architecture:
    """One of them: what Debian calls it, and the release and package that its kernel is from."""

    name: str
    debian: str
    release: str
    kernel: str
    target: str
    compiler: str
    strip: str
    emulator: str
    machine: tuple[str, ...]
    can_be_accelerated: bool  # it is what this machine is
    console: str
    loader: str
    packages: tuple[tuple[str, str], ...]  # (program or file, the package that brings it)

    def install_tools(self) -> None:
        """Installs what is missing; raises CannotRun where that is impossible."""
        missing = [package for what, package in self.packages if not _is_there(what)]
        if missing:
            install(missing)


def _is_there(what: str) -> bool:
    return Path(what).exists() if what.startswith("/") else shutil.which(what) is not None


ARM64 = Architecture(
    name="arm64",
    debian="arm64",
    release=OLDEST,
    kernel="linux-image-cloud-arm64",
    target="aarch64-unknown-linux-gnu",
    compiler="aarch64-linux-gnu-gcc",
    strip="aarch64-linux-gnu-strip",
    emulator="qemu-system-aarch64",
    # The core of Graviton 2, the oldest that is supported.
    machine=("-M", "virt", "-cpu", "neoverse-n1"),
    can_be_accelerated=False,
    console="ttyAMA0",
    loader="ld-linux-aarch64.so.1",
    packages=(
        ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("/usr/aarch64-linux-gnu/lib/libc.so", "libc6-dev-arm64-cross"),
        ("qemu-system-aarch64", "qemu-system-arm"),
    ),
)
# Larger pages than amd64 has. Debian builds none of 64 KiB.
ARM64_16K = replace(ARM64, name="arm64-16k", release="trixie", kernel="linux-image-arm64-16k")
AMD64 = Architecture(
    name="amd64",
    debian="amd64",
    release=OLDEST,
    kernel="linux-image-cloud-amd64",
    target="x86_64-unknown-linux-gnu",
    compiler="cc",
    strip="strip",
    emulator="qemu-system-x86_64",
    # Not what a hypervisor below this machine may refuse to be set.
    machine=("-M", "q35", "-cpu", "max,-arch-capabilities"),
    can_be_accelerated=True,
    console="ttyS0",
    loader="ld-linux-x86-64.so.2",
    packages=(("cc", "gcc"), ("qemu-system-x86_64", "qemu-system-x86")),
)
