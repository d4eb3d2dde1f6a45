"""Small programs that pass for the balancer's binaries, and ones that have one thing wrong."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import unittest
from pathlib import Path

NAMES = {"amd64": "stateless-load-balancer-amd64", "arm64": "stateless-load-balancer-arm64"}
OWN = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
OTHER = "amd64" if OWN == "arm64" else "arm64"

# e_machine in the header of an ELF file: EM_X86_64 and EM_AARCH64.
MACHINE = {"amd64": 62, "arm64": 183}
MACHINE_OFFSET = 18

PROGRAM = """
#include <stdio.h>
#include <string.h>
const char *const where = "%s";
int main(int count, char **arguments) {
    if (count != 2 || strcmp(arguments[1], "--version") != 0) return 64;
    puts("stateless-load-balancer 0.1.0");
    return where[0] == '!';
}
"""


def compile_program(path: Path, *options: str, text: str = "") -> Path:
    """A program for this machine, with `text` somewhere within."""
    compiler = shutil.which("cc")
    if compiler is None or not OWN:
        raise unittest.SkipTest("there is no C compiler for amd64 or arm64")
    source = path.with_suffix(".c")
    source.write_text(PROGRAM % text)
    command = [compiler, "-O1", "-o", str(path), str(source), *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise unittest.SkipTest(f"cc {' '.join(options)}: {ran.stderr.strip()}")
    source.unlink()
    return path


def pair(folder: Path) -> Path:
    """A folder with both binaries. The other architecture's is this one's under another flag: no
    check can tell, since it cannot be run here."""
    folder.mkdir(parents=True, exist_ok=True)
    own = compile_program(folder / NAMES[OWN])
    for_machine(OTHER, own, folder / NAMES[OTHER])
    return folder


def for_machine(architecture: str, source: Path, path: Path) -> None:
    image = bytearray(source.read_bytes())
    image[MACHINE_OFFSET] = MACHINE[architecture]
    path.write_bytes(image)


def with_glibc(version: bytes, path: Path) -> None:
    """Has the symbols that the program needs of glibc 2.34 be of another version instead."""
    image, count = re.subn(rb"GLIBC_2\.34\0", b"GLIBC_" + version + b"\0", path.read_bytes())
    if count == 0:
        raise unittest.SkipTest("this machine's C library is older than 2.34")
    path.write_bytes(image)
