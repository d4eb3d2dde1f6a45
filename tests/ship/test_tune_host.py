"""scripts/tune-host, on hosts made of files, and on this one."""

from __future__ import annotations

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from . import places

SCRIPT = places.ROOT / "scripts" / "tune-host"
SETTINGS = places.ROOT / "deploy" / "60-stateless-load-balancer.conf"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def wanted_sysctls() -> dict[str, str]:
    lines = [line for line in SETTINGS.read_text().splitlines() if re.match(r"[a-z]", line)]
    pairs = (line.split("=", 1) for line in lines)
    return {name.strip(): " ".join(value.split()) for name, value in pairs}


class Host:
    """A machine as tune-host sees it: files below a folder. All is as wanted at first."""

    def __init__(self, folder: Path, cpus: int, queues: int) -> None:
        self.root = folder
        self.write("sys/devices/system/cpu/online", f"0-{cpus - 1}\n")
        for name, value in wanted_sysctls().items():
            self.write(self.sysctl(name), value.replace(" ", "\t") + "\n")
        device = "sys/devices/pci0/virtio2"
        mask = f"{(1 << cpus) - 1:x}" if queues < cpus else "0"
        lines = ["     CPU0  CPU1", "  1:   0   0   virtio2-config"]
        for queue in range(queues):
            self.write(f"{device}/net/eth0/queues/rx-{queue}/rps_cpus", mask + "\n")
            self.write(f"proc/irq/{40 + queue}/effective_affinity_list", f"{queue % cpus}\n")
            self.write(f"proc/irq/{40 + queue}/smp_affinity_list", f"{queue % cpus}\n")
            lines.append(f" {40 + queue}:  17   0   PCI-MSIX  {queue}-edge  virtio2-input.{queue}")
        self.write("proc/interrupts", "\n".join([*lines, "NMI:  0  0  Non-maskable interrupts\n"]))
        card = self.root / device / "net/eth0"
        (card / "device").symlink_to(self.root / device)
        (self.root / "sys/class/net").mkdir(parents=True)
        (self.root / "sys/class/net/eth0").symlink_to(card)

    @staticmethod
    def sysctl(name: str) -> str:
        return "proc/sys/" + name.replace(".", "/")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text().strip()

    def files(self) -> dict[str, str]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path): path.read_text() for path in found}

    def check(self) -> subprocess.CompletedProcess[str]:
        return run("--check", "--root", str(self.root))

    def apply(self) -> subprocess.CompletedProcess[str]:
        return run("--apply", "--root", str(self.root))


class TuneHost(unittest.TestCase):
    def host(self, cpus: int = 4, queues: int = 4) -> Host:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Host(Path(folder.name), cpus, queues)

    def assert_mended(self, host: Host, name: str) -> None:
        """--check names the setting and changes nothing; --apply leaves nothing to complain of."""
        before = host.files()
        checked = host.check()
        self.assertEqual(checked.returncode, 1, checked.stdout + checked.stderr)
        self.assertRegex(checked.stdout, rf"(?m)^DIFFER +{re.escape(name)} .*wanted: \S")
        self.assertEqual(host.files(), before)
        applied = host.apply()
        self.assertEqual(applied.returncode, 0, applied.stdout + applied.stderr)
        self.assertRegex(applied.stdout, rf"(?m)^set +{re.escape(name)} ")
        checked = host.check()
        # The interrupts' effective affinity is the kernel's to change, which a file is not.
        if "IRQ" not in name:
            self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_a_host_that_is_as_wanted(self):
        for cpus, queues in [(4, 4), (2, 8), (96, 8), (1, 1)]:
            with self.subTest(cpus=cpus, queues=queues):
                checked = self.host(cpus, queues).check()
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
                self.assertRegex(checked.stdout, r"\n0 of \d+ settings differ")

    def test_every_sysctl_of_the_file_is_compared_and_has_a_reason(self):
        sysctls = wanted_sysctls()
        self.assertIn("net.ipv4.ip_local_port_range", sysctls)
        for name, value in sysctls.items():
            with self.subTest(name):
                host = self.host()
                host.write(host.sysctl(name), "60000 60001" if " " in value else "0")
                self.assert_mended(host, name)
                self.assertEqual(host.read(host.sysctl(name)), value)
                self.assertRegex(host.check().stdout, rf"{re.escape(name)} .*\n {{8}}[A-Z]\w+ ")

    def test_more_than_is_wanted_is_enough(self):
        host = self.host()
        host.write(host.sysctl("net.ipv4.ip_local_port_range"), "1024 65535")
        host.write(host.sysctl("net.core.somaxconn"), "1000000")
        self.assertEqual(host.check().returncode, 0)

    def test_a_range_has_to_be_wide_at_both_ends(self):
        name = "net.ipv4.ip_local_port_range"
        low, high = (int(end) for end in wanted_sysctls()[name].split())
        for narrow in (f"{low + 1} {high}", f"{low} {high - 1}"):
            with self.subTest(narrow):
                host = self.host()
                host.write(host.sysctl(name), narrow)
                self.assert_mended(host, name)

    def test_a_switch_is_not_a_size(self):
        name = "net.ipv4.tcp_migrate_req"
        for other in ("0", "2"):
            with self.subTest(other):
                host = self.host()
                host.write(host.sysctl(name), other)
                self.assert_mended(host, name)

    def test_a_sysctl_that_the_kernel_lacks_is_left_out(self):
        host = self.host()
        (host.root / host.sysctl("net.ipv4.tcp_migrate_req")).unlink()
        checked = host.check()
        self.assertEqual(checked.returncode, 0)
        self.assertNotIn("tcp_migrate_req", checked.stdout)

    def test_sysctls_are_kept_over_restarts(self):
        host = self.host()
        host.write(host.sysctl("net.core.somaxconn"), "128")
        host.apply()
        kept = host.root / "etc/sysctl.d" / SETTINGS.name
        self.assertEqual(kept.read_text(), SETTINGS.read_text())
        self.assertEqual([path.name for path in kept.parent.iterdir()], [SETTINGS.name])

    def test_the_file_of_the_package_is_not_written_twice(self):
        host = self.host()
        host.write(f"usr/lib/sysctl.d/{SETTINGS.name}", SETTINGS.read_text())
        host.apply()
        self.assertFalse((host.root / "etc/sysctl.d").exists())

    def test_too_few_queues_need_rps(self):
        host = self.host(cpus=40, queues=2)
        queue = "sys/class/net/eth0/queues/rx-1/rps_cpus"
        host.write(queue, "ff,ffffffff")
        host.write("sys/class/net/eth0/queues/rx-0/rps_cpus", "00,00000000")
        self.assert_mended(host, "eth0 rx-0 rps_cpus")
        self.assertEqual(host.read(queue), "ff,ffffffff")

    def test_rps_is_one_hop_too_many_where_there_are_queues_enough(self):
        host = self.host()
        host.write("sys/class/net/eth0/queues/rx-2/rps_cpus", "f")
        self.assert_mended(host, "eth0 rx-2 rps_cpus")
        self.assertEqual(host.read("sys/class/net/eth0/queues/rx-2/rps_cpus"), "0")

    def test_queues_that_share_a_cpu_are_spread(self):
        host = self.host()
        host.write("proc/irq/42/effective_affinity_list", "1")
        host.write("proc/irq/42/smp_affinity_list", "0-3")
        self.assert_mended(host, "eth0 IRQ 42 smp_affinity_list")
        self.assertEqual(host.read("proc/irq/42/smp_affinity_list"), "2")
        self.assertEqual(host.read("proc/irq/41/smp_affinity_list"), "1")

    def test_io_uring_is_named_and_left_alone(self):
        host = self.host()
        host.write(host.sysctl("kernel.io_uring_disabled"), "2")
        checked = host.check()
        self.assertEqual(checked.returncode, 1)
        self.assertRegex(checked.stdout, r"DIFFER +kernel.io_uring_disabled +2 +wanted: 0")
        self.assertEqual(host.apply().returncode, 0)
        self.assertEqual(host.read(host.sysctl("kernel.io_uring_disabled")), "2")

    def test_a_table_of_tracked_connections_that_is_too_small(self):
        host = self.host()
        host.write(host.sysctl("net.netfilter.nf_conntrack_max"), "65536")
        self.assert_mended(host, "net.netfilter.nf_conntrack_max")

    def test_what_cannot_be_set_is_told(self):
        host = self.host()
        path = host.root / host.sysctl("net.core.somaxconn")
        host.write(host.sysctl("net.core.somaxconn"), "128")
        path.unlink()
        path.symlink_to("/proc/sys/kernel/ostype")  # "Linux": nobody may write it
        applied = host.apply()
        self.assertEqual(applied.returncode, 1)
        self.assertRegex(applied.stdout, r"FAIL +net.core.somaxconn .*wanted: \d+: \w")

    def test_wrong_arguments(self):
        for arguments in [(), ("--check", "--apply"), ("--aply",), ("--check", "now"), ("--root",)]:
            with self.subTest(arguments):
                ran = run(*arguments)
                self.assertEqual((ran.returncode, ran.stdout), (2, ""))
                self.assertIn("usage: tune-host", ran.stderr)

    def test_a_folder_that_is_no_host(self):
        ran = run("--check", "--root", "/nonexistent")
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stderr, r"^tune-host: /nonexistent/\S+: No such file or directory: ")

    def test_this_host(self):
        ran = run("--check")
        self.assertIn(ran.returncode, (0, 1), ran.stderr)
        self.assertRegex(ran.stdout, r"net\.ipv4\.ip_local_port_range +\d+ \d+")


if __name__ == "__main__":
    unittest.main()
