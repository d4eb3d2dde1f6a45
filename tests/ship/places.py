"""Where things are: the checkout, what cargo built, the programs of tests/requirements.txt."""

from __future__ import annotations

import os
import shutil
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")


def program(name: str) -> str:
    """The path of a program beside this Python, else on the PATH; without it the test is skipped."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise unittest.SkipTest(f"there is no {name}")
    return found


def balancer() -> Path:
    """The binary that `cargo test` has built."""
    built = TARGET / "debug" / "stateless-load-balancer"
    if not built.exists():
        raise unittest.SkipTest(f"there is no {built}: cargo build")
    return built


def scripts() -> list[Path]:
    """Every file of the project that a shell runs."""
    skipped = {".git", "target"}
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped]
        found += [path for name in names if is_shell(path := Path(folder, name))]
    return sorted(found)


def is_shell(path: Path) -> bool:
    """Whether the first line names sh or bash."""
    with path.open("rb") as file:
        first = file.readline(64).decode(errors="replace").strip()
    return first in ("#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/bash")
