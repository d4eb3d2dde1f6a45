"""What can be known before anything is built is said before."""

import unittest

from .. import places
from . import binaries, script


class Arguments(script.ScriptTest):
    def refused(self, *arguments, because: str):
        said = self.run_script(*arguments, status=2)
        self.assertIn(because, said)
        self.assertIn("usage: build_push.sh", said)
        self.assertFalse(self.target.exists(), "something was done")

    def test_wrong_arguments_get_the_usage_and_do_nothing(self):
        self.refused("--pull", because="not an argument: --pull")
        self.refused("v1", because="not an argument: v1")
        self.refused("--version", because="--version needs a value")
        self.refused("--arch", "riscv64", because="not: riscv64")
        self.refused("--arch=", "--no-push", because="--arch is amd64 or arm64, not: ")
        self.refused("--from", "/nonexistent", because="--from is a folder")

    def test_versions_with_strange_characters_are_refused(self):
        for version in ["", "../up", "a/b", "a b", "ä", "-x", "a" * 65, "a\nb", "$(id)"]:
            self.refused("--no-push", "--version", version, because="--version is 1 to 64")
        self.refused("--no-push", "--version", "latest", because="must not be latest")

    def test_arguments_that_contradict_each_other(self):
        self.refused("--arch", "arm64", because="--arch needs --no-push")
        self.refused("--no-push", "--replace", because="not with --no-push")
        self.refused("--from", "/tmp", because="--from needs --version")

    def test_help_goes_to_standard_output(self):
        process = self.start("--help")
        output, errors = process.communicate()
        self.assertEqual((process.returncode, errors), (0, ""))
        for option in ("--no-push", "--arch", "--version", "--from", "--replace", "ARTIFACT_BUCKET"):
            self.assertIn(option, output)


class Surroundings(script.ScriptTest):
    def setUp(self):
        super().setUp()
        # None of these runs may come so far as to compile.
        self.use_program("cargo", 'echo "cargo ran: $*" >&2; exit 99')

    def test_without_the_standard_library_it_says_what_to_install(self):
        empty = self.folder / "no-std"
        empty.mkdir()
        self.use_program("rustc", f'exec {places.program("rustc")} --sysroot {empty} "$@"')
        said = self.run_script("--no-push", "--arch", "arm64", "--version", "v1", status=1)
        self.assertIn("standard library for arm64 cannot be used: error[E0463]", said)
        self.assertIn("rustup target add aarch64-unknown-linux-gnu", said)
        self.assertIn("scripts/arm64-test --set-up", said)
        self.assertNotIn("cargo ran", said)
        self.assertEqual(self.built(), [])

    def test_without_rust_it_says_so(self):
        self.hide_program("rustc")
        said = self.run_script("--no-push", "--version", "v1", status=1)
        self.assertIn("there is no rustc", said)

    def test_a_second_run_at_a_time_is_refused(self):
        pair = binaries.pair(self.folder / "pair")
        dist = self.target / "dist"
        dist.mkdir(parents=True)
        self.use_program("flock", "exit 1")
        said = self.run_script("--no-push", "--version", "v1", "--from", pair, status=1)
        self.assertIn(f"another build_push.sh works in {dist}", said)


if __name__ == "__main__":
    unittest.main()
