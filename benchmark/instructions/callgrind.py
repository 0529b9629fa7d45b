"""Valgrind's callgrind: switch its counting on and off from inside, and read what it wrote."""

import ctypes
import mmap
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

TOOL = ord("C") << 24 | ord("T") << 16  # the first of callgrind's client requests (callgrind.h)
DUMP, ZERO, START, STOP = 0, 1, 4, 5

# `VALGRIND_DO_CLIENT_REQUEST` of valgrind.h for x86-64, as a function of the request's address:
# rotations of rdi that add up to nothing, which valgrind alone takes for a request.
REQUEST = bytes.fromhex(
    "4889f8"  # mov rax, rdi     the request
    "31d2"  # xor edx, edx       the answer outside of valgrind
    "48c1c703"  # rol rdi, 3
    "48c1c70d"  # rol rdi, 13
    "48c1c73d"  # rol rdi, 61
    "48c1c733"  # rol rdi, 51
    "4887db"  # xchg rbx, rbx
    "4889d0"  # mov rax, rdx
    "c3"  # ret
)


def requests() -> Callable[[int], None]:
    """A function that sends one of the requests above to callgrind; elsewhere it does nothing."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(REQUEST)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    send = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(address)

    def request(number: int, _keep: mmap.mmap = memory) -> None:
        words = (ctypes.c_long * 6)(TOOL + number)
        send(ctypes.addressof(words))

    return request


def counts(dump: Path) -> Counter[str]:
    """Instructions by function, as "name (library)"; an address where the name was stripped.

    Args:
        dump: a file of callgrind (format: valgrind's manual, "Callgrind Format Specification").
    """
    found: Counter[str] = Counter()
    names: dict[str, str] = {}  # "ob" or "fn" with the number: the name, which is written once
    now = {"ob": "", "fn": ""}
    called = False  # the next line holds what a callee took, which counts there
    for line in dump.read_text(errors="replace").splitlines():
        if kind := re.match(r"(ob|fn)=\((\d+)\)(?: (.*))?", line):
            key = kind[1] + kind[2]
            names[key] = kind[3] or names.get(key, "?")
            now[kind[1]] = names[key]
        elif line.startswith("calls="):
            called = True
        elif kind := re.match(r"c(ob|fn)=\((\d+)\) (.*)", line):
            names[kind[1] + kind[2]] = kind[3]
        elif cost := re.match(r"(?:[+-]?\d+|\*) (\d+)$", line):
            if not called:
                found[_name(now["fn"], now["ob"])] += int(cost[1])
            called = False
    return found


def _name(function: str, library: str) -> str:
    address = re.fullmatch(r"0x0*([0-9a-f]+)", function)
    return f"{'0x' + address[1] if address else function} ({PurePosixPath(library).name})"
