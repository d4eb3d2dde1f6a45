"""The file system that a kernel starts with: a cpio archive of the format "newc" (cpio(5))."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO


class Initramfs:
    """Writes the archive, file by file. The folders that a file is in come before it."""

    def __init__(self, output: BinaryIO):
        self._output = output
        self._entries = 0
        self._folders: set[str] = set()

    def folder(self, path: str) -> None:
        """A folder and those it is in; `path` begins with a slash."""
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if name not in self._folders:
                self._folders.add(name)
                self._write(name, stat.S_IFDIR | 0o755, b"")

    def file(self, path: str, contents: bytes) -> None:
        """A file that may be executed."""
        self._parent(path)
        self._write(path.strip("/"), stat.S_IFREG | 0o755, contents)

    def copy(self, path: str, source: Path) -> None:
        """A file of this machine, under another path."""
        self.file(path, source.read_bytes())

    def link(self, path: str, to: str) -> None:
        """A symbolic link."""
        self._parent(path)
        self._write(path.strip("/"), stat.S_IFLNK | 0o777, to.encode())

    def end(self) -> None:
        """Writes what marks the end."""
        self._write("TRAILER!!!", 0, b"")

    def _parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent:
            self.folder(parent)

    def _write(self, name: str, mode: int, contents: bytes) -> None:
        self._entries += 1
        encoded = name.encode() + b"\0"
        # inode, mode, owner, group, links, time, size, device (2), device of a node (2), length of
        # the name, checksum
        fields = [self._entries, mode, 0, 0, 1, 0, len(contents), 0, 0, 0, 0, len(encoded), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._output.write(_padded(head + encoded))
        self._output.write(_padded(contents))


def _padded(block: bytes) -> bytes:
    return block + b"\0" * (-len(block) % 4)
