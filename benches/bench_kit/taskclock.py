"""CPU time as perf counts it: the wall time that threads spend on a CPU.

The scheduler's own sum (`schedstat`, and with it `stat`, getrusage and cgroups) proved biased: on
a busy two-core virtual machine, sampling every CPU 2,000 times a second found 23 % more time in
this balancer than its schedstat had, 7 % more in nginx, 10 % more in HAProxy. perf's task-clock is
closer to the samples, so it is used wherever perf may be; the JSON has both.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess

from .errors import BenchError
from .processes import in_child

ACK_SECONDS = 10.0


def parse_task_clock_us(text: str) -> float:
    """Microseconds from the `perf stat -x,` line of task-clock, which is in milliseconds."""
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith("task-clock"):
            if fields[0] == "<not counted>":
                return 0.0  # no thread ran at all: an idle nginx
            try:
                return float(fields[0]) * 1000
            except ValueError:
                break  # <not supported>
    raise BenchError(f"perf counted no task-clock:\n{text.strip()}")


def is_available() -> bool:
    """Whether perf is there and may count kernel time of our own processes."""
    if not shutil.which("perf"):
        return False
    # Without the privilege perf quietly leaves the kernel's part out and names the event so.
    command = ["perf", "stat", "-x,", "-e", "task-clock", "-p", str(os.getpid()), "sleep", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and ",task-clock," in done.stderr


class TaskClock:
    """Counts all threads of `pids`, those they start included, from `start` until `stop`."""

    def __init__(self, pids: list[int]):
        control_read, self._control = os.pipe()
        self._ack, ack_write = os.pipe()
        command = ["perf", "stat", "-x,", "-e", "task-clock", "-p", ",".join(map(str, pids))]
        command += ["--delay=-1", f"--control=fd:{control_read},{ack_write}"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=(control_read, ack_write),
                start_new_session=True,
                preexec_fn=in_child,
            )
        finally:
            os.close(control_read)
            os.close(ack_write)

    def start(self) -> None:
        """Returns once counting has begun."""
        self._command(b"enable\n")

    def stop(self) -> float:
        """Ends counting; the microseconds since `start`."""
        self._command(b"disable\n")
        self._process.send_signal(signal.SIGINT)
        return parse_task_clock_us(self._process.communicate(timeout=ACK_SECONDS)[1])

    def close(self) -> None:
        """Ends perf, whatever state it is in."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stderr.close()
        os.close(self._control)
        os.close(self._ack)

    def _command(self, command: bytes) -> None:
        try:
            os.write(self._control, command)
        except OSError as error:
            raise BenchError(f"perf ended early: {error.strerror}")
        answer = select.poll()  # not select(): thousands of descriptors are open in idle-3000
        answer.register(self._ack, select.POLLIN)
        if not answer.poll(ACK_SECONDS * 1000) or not os.read(self._ack, 64):
            raise BenchError(f"perf did not obey {command.decode().strip()!r}")


def count(pids: list[int], use_perf: bool, work):
    """Runs `work()`; its result, and microseconds of task-clock meanwhile (None without perf)."""
    if not use_perf:
        return work(), None
    clock = TaskClock(pids)
    try:
        clock.start()
        result = work()
        return result, clock.stop()
    finally:
        clock.close()
