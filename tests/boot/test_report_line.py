# SPDX-License-Identifier: MIT
"""The second serial line: a program asks there while a person types on the first."""
import json
import socket
import time

import pytest

import harness

MANY = 60  # reports


class ReportLine:
    """The far end of COM2: `ask` sends a line and returns the one that comes back."""

    def __init__(self, listener):
        self.connection = listener.accept()[0]
        self.connection.settimeout(20 * harness.SLOWER)
        self.stream = self.connection.makefile("rwb")

    def send(self, line):
        self.stream.write(line.encode() + b"\r")
        self.stream.flush()

    def ask(self, line):
        self.send(line)
        return json.loads(self.stream.readline())


@pytest.fixture
def lines(arch, tmp_path):
    """A machine with both lines in use."""
    with socket.socket(socket.AF_UNIX) as listener:
        path = str(tmp_path / "reports")
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(20 * harness.SLOWER)
        extra = ("-chardev", f"socket,id=reports,path={path}",
                 "-device", "isa-serial,chardev=reports,index=1")
        with harness.Machine(arch, extra=extra) as machine:
            machine.wait_prompt()
            yield machine, ReportLine(listener)


def test_an_answer_goes_out_where_the_question_came_in(lines):
    machine, reports = lines
    machine.line.send("meminf")  # a person in the middle of a word
    for _ in range(20):
        assert reports.ask("frames -j")["cmd"] == "frames"
        assert reports.ask("mmap -j")["cmd"] == "mmap"
    machine.line.send("o\r")
    seen = machine.wait_prompt()
    assert "physical memory" in seen
    assert "stretches" not in seen and "ranges" not in seen, seen


def test_no_byte_is_lost_on_a_reader_who_is_slow(lines):
    """More than the socket holds is on its way when somebody begins to read."""
    _, reports = lines
    for _ in range(MANY):
        reports.send("ptdump -j")
    time.sleep(3)
    for _ in range(MANY):
        assert json.loads(reports.stream.readline())["cmd"] == "ptdump"


def test_both_lines_tell_the_same(lines):
    machine, reports = lines
    assert reports.ask("mmap -j") == machine.json("mmap")
    assert reports.ask("ptdump -j")["cr3"] == machine.json("ptdump")["cr3"]


def test_what_was_sent_before_anybody_listened_does_no_harm(arch, tmp_path):
    """Keys pressed and questions asked during boot: both lines work afterwards."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "reports"))
        listener.listen(1)
        extra = ("-chardev", f"socket,id=reports,path={tmp_path / 'reports'}",
                 "-device", "isa-serial,chardev=reports,index=1")
        with harness.Machine(arch, extra=extra) as machine:
            machine.line.send("x" * 40)
            reports = ReportLine(listener)
            reports.send("meminfo -j")  # may be lost or cut, may be answered late
            machine.wait_prompt()
            machine.line.send("\x15")
            reports.send("")
            reports.send("pmm -j")
            assert any(b'"cmd":"pmm"' in reports.stream.readline() for _ in range(3))
            assert machine.json("pmm")["holds"]


def test_nonsense_is_answered_and_what_is_too_long_is_dropped(lines):
    _, reports = lines
    assert "error" in reports.ask("frobnicate -j")
    reports.send("")
    reports.send("x" * 1000)
    assert reports.ask("pmm -j")["holds"]


def test_the_end_of_the_run_is_for_everybody(lines):
    machine, reports = lines
    reports.send("fault panic")
    run = machine.end()
    assert run.verdict == "fail" and "PANIC" in run.text, run.explain()
