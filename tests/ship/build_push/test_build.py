"""From the compiler's output to what counts as built. The compiler is one that is fast."""

import shutil
import signal
import subprocess
import unittest

from .. import places
from . import binaries, script

TRIPLES = {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}


class Build(script.ScriptTest):
    def setUp(self):
        super().setUp()
        self.pair = binaries.pair(self.folder / "pair")
        self.use_rustc_with_every_library()
        self.use_program("cargo", "")
        self.zigbuild = self.target / "zigbuild"
        (self.zigbuild / "bin").mkdir(parents=True)
        wanted = places.ROOT / "scripts" / "release" / "requirements.txt"
        shutil.copy(wanted, self.zigbuild / "requirements.txt")
        self.compile_with(
            f"""
            echo "$*" "${{CARGO_ENCODED_RUSTFLAGS//$'\\x1f'/ }}" >>"{self.folder}/calls"
            case "$*" in
            *--target\\ x86_64-unknown-linux-gnu.2.34*) triple=x86_64-unknown-linux-gnu name=amd64 ;;
            *--target\\ aarch64-unknown-linux-gnu.2.34*) triple=aarch64-unknown-linux-gnu name=arm64 ;;
            esac
            mkdir -p "$CARGO_TARGET_DIR/$triple/release"
            cp "{self.pair}/stateless-load-balancer-$name" \
                "$CARGO_TARGET_DIR/$triple/release/stateless-load-balancer"
            """
        )

    def compile_with(self, text: str):
        path = self.zigbuild / "bin" / "cargo-zigbuild"
        path.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{text}\n")
        path.chmod(0o755)

    def test_both_come_out_checked_with_their_sums(self):
        said = self.run_script("--no-push", "--version", "v1")
        self.assertIn(f"Built {self.target}/dist/v1", said)
        self.assertEqual(self.built(), ["v1"])
        folder = self.target / "dist" / "v1"
        for name in binaries.NAMES.values():
            self.assertEqual((folder / name).stat().st_mode & 0o777, 0o755)
        checked = subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, check=False
        )
        self.assertEqual(checked.returncode, 0, checked)
        units = len(list(folder.glob("*.service")) + list(folder.glob("*.socket")))
        self.assertEqual(units, 2)
        self.assertEqual(len(checked.stdout.splitlines()), len(list(folder.iterdir())) - 1)

        # What was built is what a later push takes.
        self.run_script("--no-push", "--version", "v1", "--from", folder)

    def test_debug_information_goes_and_names_stay(self):
        binaries.compile_program(self.pair / binaries.NAMES[binaries.OWN], "-g")
        self.run_script("--no-push", "--version", "v1", "--arch", binaries.OWN)
        binary = self.target / "dist" / "v1" / binaries.NAMES[binaries.OWN]
        command = ["readelf", "--wide", "--section-headers", "--symbols", str(binary)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        self.assertNotIn(".debug_info", shown)
        self.assertRegex(shown, r"FUNC .* main\n")

    def test_what_the_compiler_is_told(self):
        self.run_script("--no-push", "--version", "v1")
        amd64, arm64 = (self.folder / "calls").read_text().splitlines()
        for call in (amd64, arm64):
            self.assertIn("--release --locked", call)
            self.assertIn(f"--remap-path-prefix={places.ROOT}=.", call)
        self.assertTrue(amd64.endswith(" -Ctarget-cpu=x86-64"), amd64)
        self.assertTrue(arm64.endswith(" -Ctarget-cpu=neoverse-n1"), arm64)

    def test_one_architecture_only(self):
        self.run_script("--no-push", "--version", "v1", "--arch", "arm64")
        found = {path.name for path in (self.target / "dist" / "v1").glob("*-a*64")}
        self.assertEqual(found, {binaries.NAMES["arm64"]})

    def test_the_default_version_is_that_of_the_commit(self):
        self.run_script("--no-push", "--arch", "amd64")
        self.assertRegex(self.built()[0], r"^\d+\.\d+\.\d+-g[0-9a-f]{12}(-dirty)?$")

    def test_a_checkout_that_changes_meanwhile(self):
        # Which commit it is, git says before the build and after it.
        self.use_program("git", f"""[[ $1 != describe ]] || cat "{self.folder}/commit" """)
        (self.folder / "commit").write_text("0123456789ab")
        path = self.zigbuild / "bin" / "cargo-zigbuild"
        self.compile_with(f'echo "0123456789ab-dirty" >"{self.folder}/commit"\n{path.read_text()}')
        said = self.run_script("--no-push", status=1)
        self.assertRegex(said, "has changed from .*-g0123456789ab to .*-g0123456789ab-dirty during")
        self.assertEqual(self.built(), [])

    def test_one_that_fails_leaves_the_last_whole_one(self):
        self.run_script("--no-push", "--version", "v1")
        before = (self.target / "dist" / "v1" / "SHA256SUMS").read_bytes()
        self.compile_with("exit 101")
        said = self.run_script("--no-push", "--version", "v1", status=1)
        self.assertIn("the build for amd64 failed", said)
        self.assertEqual(self.built(), ["v1"])
        self.assertEqual((self.target / "dist" / "v1" / "SHA256SUMS").read_bytes(), before)

    def test_folders_of_this_machine_must_not_be_named(self):
        text = f"{self.target}/zigbuild"
        binaries.compile_program(self.pair / binaries.NAMES[binaries.OWN], text=text)
        said = self.run_script("--no-push", "--version", "v1", "--arch", binaries.OWN, status=1)
        self.assertIn(f"names a folder of this machine: {self.target}", said)
        self.assertEqual(self.built(), [])

    def test_interrupted_while_compiling_nothing_runs_on(self):
        mark = f"BUILD_PUSH_TEST={self.folder}"
        self.environment["BUILD_PUSH_TEST"] = str(self.folder)
        for ended_by, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(ended_by):
                started = self.folder / f"started-{status}"
                subprocess.run(["mkfifo", str(started)], check=True)
                # As cargo does, it waits for what it has started.
                self.compile_with(f'sleep 1000 & echo >"{started}"; wait')
                process = self.start("--no-push", "--version", "v1")
                self.assertEqual(started.read_text(), "\n")
                process.send_signal(ended_by)
                self.assertIn("interrupted while building; nothing was", self.end(process, status))
                self.assert_none_left(mark)
                self.assertEqual(self.built(), [])


if __name__ == "__main__":
    unittest.main()
