"""What is wrong with a binary is found before it counts."""

import unittest

from . import binaries, script


class Binaries(script.ScriptTest):
    def setUp(self):
        super().setUp()
        self.pair = binaries.pair(self.folder / "pair")
        self.own = self.pair / binaries.NAMES[binaries.OWN]
        self.other = self.pair / binaries.NAMES[binaries.OTHER]

    def check(self, status: int = 0) -> str:
        return self.run_script("--no-push", "--version", "v1", "--from", self.pair, status=status)

    def refused(self, *reasons: str):
        said = self.check(status=1)
        for reason in reasons:
            self.assertIn(reason, said)
        self.assertEqual(self.built(), [])

    def test_two_that_are_right_pass(self):
        said = self.check()
        for path in (self.own, self.other):
            self.assertRegex(said, rf"{path.name}: {path.stat().st_size} bytes, needs glibc 2\.\d+")

    def test_without_the_right_to_run_it_still_passes(self):
        self.own.chmod(0o644)
        self.check()

    def test_another_machine_under_the_name(self):
        self.other.write_bytes(self.own.read_bytes())
        self.refused(f"{self.other.name} is ELF64 for ", f"; {binaries.OTHER} is ELF64 for ")

    def test_one_is_missing(self):
        self.other.unlink()
        self.refused(f"{self.other.name} is missing")

    def test_what_is_no_elf_file_or_half_of_one(self):
        whole = self.other.read_bytes()
        self.other.write_bytes(whole[: len(whole) // 2])
        self.refused(f"{self.other.name} is not a whole ELF file")
        self.other.write_bytes(b"#!/bin/sh\nexit 0\n")
        self.refused(f"{self.other.name} is not a whole ELF file")
        self.other.write_bytes(b"")
        self.refused(f"{self.other.name} is not a whole ELF file")

    def test_a_newer_glibc_is_named_with_the_symbol(self):
        binaries.with_glibc(b"2.35", self.own)
        self.refused(f"{self.own.name} needs GLIBC_2.35 (__libc_start_main)", "GLIBC_2.34 is the newest")
        binaries.with_glibc(b"2.34", binaries.pair(self.pair) / self.own.name)
        binaries.with_glibc(b"9.10", self.other)
        self.refused(f"{self.other.name} needs GLIBC_9.10 (__libc_start_main)")

    def test_a_newer_loader_counts_as_a_newer_glibc(self):
        binaries.compile_program(self.own, "-Wl,-z,pack-relative-relocs")
        if b"GLIBC_ABI_DT_RELR" not in self.own.read_bytes():
            self.skipTest("this linker cannot pack relocations")
        self.refused("needs GLIBC_ABI_DT_RELR (no symbol, but a feature of the loader)")

    def test_a_debug_build(self):
        binaries.compile_program(self.own, "-g")
        self.refused(f"{self.own.name} has debug information", "--release")

    def test_a_library_that_is_not_everywhere(self):
        odd = binaries.compile_program(self.folder / "libodd.so", "-shared", "-fPIC")
        binaries.compile_program(self.own, "-Wl,--no-as-needed", str(odd), "-Wl,-soname,libodd.so")
        self.refused(f"{self.own.name} needs ", "libodd.so, which a plain system does not have")

    def test_one_that_does_not_start(self):
        binaries.compile_program(self.own, text="!")
        self.refused(f"{self.own.name} --version ended with status 1")

    def test_sums_of_an_earlier_build_have_to_fit(self):
        (self.pair / "SHA256SUMS").write_text(f"{'0' * 64}  {self.own.name}\n")
        self.refused(f"SHA256SUMS says ({self.own.name}: FAILED)")


if __name__ == "__main__":
    unittest.main()
