"""Rust's standard library for arm64, for the very compiler that is in use."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from . import CannotRun
from .architecture import ARM64
from .packages import Archive, whole
from .programs import output, succeeds

# Where Debian may have the sources of a compiler as new as this one.
RELEASES = ("trixie-backports", "sid")
# In the folder of a library that was built here, which `rustup` knows nothing of.
MARK = "built-by-arm64-test"
STUB = """\
[package]
name = "stub"
version = "0.0.0"
edition = "2021"
[workspace]
[profile.release]
panic = "unwind"
debug = "line-tables-only"
"""


def provide(work: Path) -> None:
    """Sees to it that there is one; raises CannotRun where there can be none."""
    if _works():
        return
    folder = Path(output(["rustc", "--print", "sysroot"], "Rust is needed").strip())
    folder = folder / "lib" / "rustlib" / ARM64.target
    if (folder / MARK).exists():
        shutil.rmtree(folder)  # for another compiler; rustup would leave it beside its own
    if shutil.which("rustup"):
        print(f"rustup target add {ARM64.target}", flush=True)
        if succeeds(["rustup", "target", "add", ARM64.target], 180) and _works():
            return
    if folder.exists():
        raise CannotRun(f"{folder} is not for this compiler: remove it, or rustup update")
    if not os.access(folder.parent, os.W_OK):
        raise CannotRun(f"{folder.parent} cannot be written to: rustup target add {ARM64.target}")
    _build(work, folder)
    if not _works():
        raise CannotRun(f"the library built in {folder} does not work: remove it")


def _works() -> bool:
    """Whether a program can be built with it."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["rustc", "--target", ARM64.target, "-C", f"linker={ARM64.compiler}"]
        return succeeds([*command, "-o", f"{scratch}/program", "-"], 60, stdin="fn main() {}")


def _build(work: Path, folder: Path) -> None:
    """Builds it from the sources that Debian has of this compiler's version."""
    version = output(["rustc", "--version"], "Rust is needed").split(" ")[1]
    print(f"building the standard library of Rust {version} for arm64", flush=True)
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        sources = Path(scratch, "sources")
        sources.mkdir()
        _fetch_sources(version, Path(scratch), sources)
        stub = Path(scratch, "stub")
        (stub / "src").mkdir(parents=True)
        (stub / "src" / "lib.rs").write_text("#![no_std]\n")
        (stub / "Cargo.toml").write_text(STUB)
        library = sources / "usr" / "src" / f"rustc-{version}" / "library"
        # What builds a part of the compiler is built like it: its nightly features are its own.
        own = {
            "RUSTC_BOOTSTRAP": "1",
            "__CARGO_TESTS_ONLY_SRC_ROOT": str(library),
            "CARGO_TARGET_DIR": f"{scratch}/target",
            # No folder of this machine is to be in what is built with it.
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS":
                f"-Cembed-bitcode=yes --remap-path-prefix={scratch}=/rustc",
        }
        command = ["cargo", "build", "--quiet", "--release", "--target", ARM64.target]
        command.append("-Zbuild-std=std,panic_unwind,proc_macro,test")
        why = "Rust's standard library cannot be built for arm64"
        output(command, why, env={**os.environ, **own}, cwd=stub)
        with whole(folder) as new:
            (new / "lib").mkdir()
            for file in Path(scratch, "target", ARM64.target, "release").glob("**/*.rlib"):
                if not file.name.startswith("libstub"):
                    shutil.copy(file, new / "lib")
            (new / MARK).write_text(f"{version}\n")


def _fetch_sources(version: str, scratch: Path, into: Path) -> None:
    for release in RELEASES:
        archive = Archive(scratch / release, release, ARM64.debian)
        for packaged in archive.field("rust-src", "Version"):
            if packaged.startswith(f"{version}+"):
                archive.unpack(f"rust-src={packaged}", into)
                return
    raise CannotRun(
        f"no std of Rust {version} for {ARM64.target}: neither by rustup, nor does Debian have its "
        f"sources (rust-src {version}); rustup target add {ARM64.target}"
    )
