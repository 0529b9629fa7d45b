"""What callgrind writes, and what the request does outside of it."""

from pathlib import Path

from lesionlite.benchmark.instructions.callgrind import DUMP, START, counts, requests

WRITTEN = """# callgrind format
events: Ir
summary: 130

ob=(1) /usr/lib/libone.so
fl=(1) ???
fn=(1) main
16 10
+3 5
cob=(2) /opt/libtwo.so.3
cfi=(2) kernel.c
cfn=(2) 0x0000000000019a0
calls=2 +8
* 100
-1 5

ob=(2)
fl=(2)
fn=(2)
20 90
* 10

fn=(3) void f<a>(int)
1 5
fn=(1)
2 5
totals: 130
"""


def test_each_functions_own_instructions_are_counted(tmp_path: Path) -> None:
    (tmp_path / "dump").write_text(WRITTEN)
    found = counts(tmp_path / "dump")
    assert found == {
        "main (libone.so)": 20,
        "0x19a0 (libtwo.so.3)": 100,
        "void f<a>(int) (libtwo.so.3)": 5,
        "main (libtwo.so.3)": 5,
    }
    assert sum(found.values()) == 130  # what a callee took does not count twice


def test_a_thread_may_have_done_nothing(tmp_path: Path) -> None:
    (tmp_path / "dump").write_text("events: Ir\n")
    assert counts(tmp_path / "dump") == {}


def test_outside_of_valgrind_a_request_does_nothing() -> None:
    request = requests()
    for number in (START, DUMP):
        request(number)
