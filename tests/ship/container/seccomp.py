"""Runs a program under a seccomp profile in Docker's format: python -m … PROFILE [-NAME…] COMMAND…

libseccomp turns the profile into a filter, as the container's runtime has it do. Of names that this
machine's architecture lacks, the profile is silent here as there. `-NAME` leaves a system call out.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # seccomp.h
UNKNOWN = -1  # __NR_SCMP_ERROR
MASKED_EQUAL = 7  # SCMP_CMP_MASKED_EQ


class Argument(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [("index", ctypes.c_uint), ("operator", ctypes.c_int),
                ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]


def library() -> ctypes.CDLL:
    """Raises OSError where there is none."""
    found = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    found.seccomp_init.restype = ctypes.c_void_p
    return found


def apply(profile: dict, left_out: Iterable[str]) -> None:
    """Holds for this process from now on, and for what it becomes."""
    seccomp = library()
    filter_ = ctypes.c_void_p(seccomp.seccomp_init(action(profile["defaultAction"],
                                                          profile.get("defaultErrnoRet", 1))))
    for group in profile["syscalls"]:
        arguments = [compare(argument) for argument in group.get("args", [])]
        packed = (Argument * len(arguments))(*arguments)
        for name in set(group["names"]) - set(left_out):
            number = seccomp.seccomp_syscall_resolve_name(name.encode())
            if number == UNKNOWN:
                continue
            failed = seccomp.seccomp_rule_add_array(
                filter_, ctypes.c_uint32(action(group["action"], group.get("errnoRet", 1))),
                ctypes.c_int(number), ctypes.c_uint(len(arguments)), packed)
            # A pseudo number is that of another architecture's system call.
            if failed and number >= 0:
                raise OSError(-failed, f"seccomp_rule_add_array: {name}")
    if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    failed = seccomp.seccomp_load(filter_)
    if failed:
        raise OSError(-failed, "seccomp_load")


def action(name: str, number: int) -> int:
    """Of the two that the profile has; KeyError for another."""
    return {"SCMP_ACT_ALLOW": ALLOW, "SCMP_ACT_ERRNO": ERRNO | number}[name]


def compare(argument: dict) -> Argument:
    assert argument["op"] == "SCMP_CMP_MASKED_EQ", argument
    return Argument(argument["index"], MASKED_EQUAL, argument["value"], argument["valueTwo"])


def main() -> None:
    path, *rest = sys.argv[1:]
    left_out = []
    while rest[0].startswith("-"):
        left_out.append(rest.pop(0)[1:])
    apply(json.loads(Path(path).read_text()), left_out)
    os.execv(rest[0], rest)


if __name__ == "__main__":
    main()
