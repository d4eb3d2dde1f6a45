"""What comes into the bucket, in which order, and what does not. The client is the real one."""

import hashlib
import signal
import unittest
from pathlib import Path

from .. import places
from . import binaries, script, store


class Upload(script.ScriptTest):
    def setUp(self):
        super().setUp()
        self.store = store.Store()
        self.addCleanup(self.store.close)
        aws = Path(places.program("aws")).parent
        self.environment.update(
            AWS_ENDPOINT_URL=self.store.url,
            ARTIFACT_BUCKET="artifacts",
            PATH=f"{self.environment['PATH']}:{aws}",
        )
        self.pair = binaries.pair(self.folder / "pair")
        deploy = places.ROOT / "deploy"
        self.files = {path.name: path for path in self.pair.iterdir()}
        for kind in ("*.service", "*.socket", "*.conf"):
            self.files.update({path.name: path for path in deploy.glob(kind)})
        self.keys = [f"v1/{name}" for name in sorted(self.files)] + ["v1/SHA256SUMS"]

    def push(self, *arguments: str, status: int = 0) -> str:
        return self.run_script("--version", "v1", "--from", self.pair, *arguments, status=status)

    def assert_whole(self):
        objects = self.store.objects()
        self.assertEqual(set(objects), {*self.keys, "latest"})
        sums = dict(line.split("  ") for line in objects["v1/SHA256SUMS"].decode().splitlines())
        self.assertEqual(set(sums.values()), set(self.files))
        for found, name in sums.items():
            self.assertEqual(objects[f"v1/{name}"], self.files[name].read_bytes(), name)
            self.assertEqual(hashlib.sha256(objects[f"v1/{name}"]).hexdigest(), found, name)
        self.assertEqual(objects["latest"], b"v1\n")


class Succeeds(Upload):
    def test_everything_and_latest_last(self):
        self.assertIn("s3://artifacts/latest now names v1", self.push())
        self.assertEqual(self.store.uploads(), [*self.keys, "latest"])
        self.assert_whole()
        self.assertIn("v1/stateless-load-balancer.service", self.keys)


class Refuses(Upload):
    def setUp(self):
        super().setUp()
        self.use_program("cargo", 'echo "cargo ran: $*" >&2; exit 99')
        self.use_rustc_with_every_library()

    def refused(self, *reasons: str):
        said = self.run_script("--version", "v1", status=1)
        for reason in reasons:
            self.assertIn(reason, said)
        self.assertNotIn("cargo ran", said)
        self.assertEqual(self.built(), [])
        self.assertEqual(self.store.uploads(), [])

    def test_before_the_build_without_a_bucket_s_name(self):
        del self.environment["ARTIFACT_BUCKET"]
        self.refused("ARTIFACT_BUCKET is not set", "--no-push")
        self.environment["ARTIFACT_BUCKET"] = "s3://artifacts/"
        self.refused("without s3:// and folders, not: s3://artifacts/")

    def test_before_the_build_where_the_bucket_does_not_exist(self):
        self.environment["ARTIFACT_BUCKET"] = "nobodys"
        self.refused("the bucket nobodys does not exist (ARTIFACT_BUCKET)")

    def test_before_the_build_where_the_bucket_is_forbidden(self):
        self.store.refuse_all("403 Forbidden")
        self.refused("may not be used with these credentials")

    def test_before_the_build_where_nobody_answers(self):
        self.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
        self.refused("cannot be reached", "127.0.0.1:1")

    def test_before_the_build_without_credentials(self):
        del self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"]
        self.refused("cannot be reached", "credentials")

    def test_before_the_build_without_the_client(self):
        self.hide_program("aws")
        self.refused("there is no aws client", "--no-push")

    def test_before_the_build_where_the_client_is_too_old(self):
        self.use_program("aws", 'echo "Unknown options: --if-none-match" >&2; exit 255')
        self.refused("September 2024", "Unknown options: --if-none-match")

    def test_other_contents_under_the_same_version(self):
        key = f"v1/{binaries.NAMES['arm64']}"
        self.store.put(key, b"another build")
        said = self.push(status=1)
        self.assertIn(f"with other contents: {binaries.NAMES['arm64']}.", said)
        self.assertNotIn("to go on", said)
        self.assertEqual(self.store.uploads(), [])
        self.assertEqual(self.store.objects(), {key: b"another build"})

        self.push("--replace")
        self.assert_whole()

    def test_one_wrong_binary_keeps_both_at_home(self):
        own = self.pair / binaries.NAMES[binaries.OWN]
        (self.pair / binaries.NAMES[binaries.OTHER]).write_bytes(own.read_bytes())
        self.push(status=1)
        self.assertEqual(self.store.objects(), {})


class Fails(Upload):
    def test_half_way_latest_stays_and_a_second_try_completes(self):
        self.store.put("latest", b"v0\n")
        self.store.refuse(self.keys[1], "503 Slow Down")
        said = self.push(status=1)
        self.assertIn(f"the upload of s3://artifacts/{self.keys[1]} failed", said)
        self.assertIn("latest was not moved", said)
        self.assertIn(f"s3://artifacts/v1/ has: {Path(self.keys[0]).name}\n", said)
        self.assertIn(f"to go on: ./build_push.sh --version v1 --from {self.pair}", said)
        self.assertEqual(set(self.store.objects()), {self.keys[0], "latest"})
        self.assertEqual(self.store.objects()["latest"], b"v0\n")

        self.store.refused.clear()
        self.store.requests.clear()
        self.push()
        self.assertEqual(self.store.uploads(), [*self.keys[1:], "latest"])
        self.assert_whole()

    def test_interrupted_while_a_request_is_under_way(self):
        self.store.hold(self.keys[1])
        process = self.start("--version", "v1", "--from", self.pair)
        self.assertTrue(self.store.holding.wait(script.PATIENCE_SECONDS))
        process.send_signal(signal.SIGINT)
        said = self.end(process, 130)
        self.assertIn("interrupted while uploading; latest was not moved", said)
        self.assertIn(f"to go on: ./build_push.sh --version v1 --from {self.pair}", said)
        self.assert_none_left(self.store.url)
        self.assertEqual(self.built(), [])
        self.assertNotIn("latest", self.store.uploads())


if __name__ == "__main__":
    unittest.main()
