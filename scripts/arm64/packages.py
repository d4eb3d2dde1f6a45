"""Debian packages unpacked into a folder: kernels and busybox, of a release that need not be this
machine's. Nothing is installed by it, and apt's own lists stay as they are."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import CannotRun
from .architecture import Architecture
from .programs import output

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Archive:
    """Debian's archive as apt sees it from `folder`: one release and architecture."""

    def __init__(self, folder: Path, release: str, architecture: str):
        self._why = f"Debian's packages ({release}, {architecture}) cannot be had"
        for name in ("state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        sources, status = folder / "sources.list", folder / "status"
        status.touch()
        signed = f"[arch={architecture},amd64 signed-by={KEYRING}]"
        sources.write_text(f"deb {signed} {_mirror()} {release} main\n")
        settings = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::State": folder / "state",
            "Dir::State::status": status,
            "Dir::Cache": folder / "cache",
            "APT::Architecture": architecture,
            "APT::Architectures::": architecture,
            "APT::Sandbox::User": "root",
        }
        self._options = [part for item in settings.items() for part in ("-o", "{}={}".format(*item))]
        output(["apt-get", "-qq", *self._options, "update"], self._why)

    def field(self, package: str, name: str) -> list[str]:
        """A field of every version there is."""
        shown = output(["apt-cache", *self._options, "show", package], self._why)
        return re.findall(rf"^{name}: (.*)$", shown, re.MULTILINE)

    def unpack(self, package: str, into: Path) -> None:
        """Fetches a package (`NAME` or `NAME=VERSION`) and unpacks its files into a folder."""
        with tempfile.TemporaryDirectory(dir=into.parent) as fetched:
            command = ["apt-get", "-qq", *self._options, "download", package]
            output(command, self._why, cwd=Path(fetched))
            for file in Path(fetched).glob("*.deb"):
                output(["dpkg-deb", "--extract", str(file), str(into)], self._why)


def _mirror() -> str:
    """Where this machine's apt gets Debian from."""
    why = "apt-get is needed, on Debian or a system made from it"
    wanted = ["--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]
    for line in output(["apt-get", "indextargets", *wanted], why).splitlines():
        origin, label, place = line.split("|")
        if (origin, label) == ("Debian", "Debian"):
            return place
    raise CannotRun("apt knows no mirror of Debian's: add one to its sources and apt-get update")


@contextlib.contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which is called `folder` only once it is full."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="partial-") as partial:
        filled = Path(partial, "filled")
        filled.mkdir()
        yield filled
        filled.rename(folder)


def kernel(work: Path, architecture: Architecture) -> Path:
    """The kernel of that architecture; fetched once."""
    folder = work / f"kernel-{architecture.name}"
    if not folder.exists():
        with whole(folder) as new, tempfile.TemporaryDirectory(dir=work) as state:
            archive = Archive(Path(state), architecture.release, architecture.debian)
            # Not pinned: a point release takes the kernel before it out of the archive.
            needs = archive.field(architecture.kernel, "Depends")[0]
            archive.unpack(needs.split(" ")[0], new)
            archive.unpack("busybox-static", new)
    found = sorted(folder.glob("boot/vmlinuz-*"))
    if not found:
        raise CannotRun(f"there is no kernel in {folder}: remove that folder and try again")
    return found[0]


def busybox(work: Path, architecture: Architecture) -> Path:
    """The shell of the virtual machine, which comes with the kernel."""
    folder = work / f"kernel-{architecture.name}"
    # In one folder since Debian 13.
    places = (folder / "bin" / "busybox", folder / "usr" / "bin" / "busybox")
    return next(path for path in places if path.exists())
