# SPDX-License-Identifier: MIT
"""Every self-test passes on every machine: machines.py has the table, docs/machines.md shows it.

The machines with a star run in `make test`, the others in `make matrix`, and then each CPU of a
short list with each size of RAM besides.
"""
import pytest

import harness
import machines

LONG = pytest.mark.matrix
# What the largest machine does besides.
BESIDES = {"4T": '"run=selftest; pmm; heap_test 5000; storm 1 2000; storm check; storm clear; storm edges; storm clear"'}

BIOS_SWEEP = {
    "i386": (("486", "pentium", "qemu32", "max"),
             ("8M", "9M", "16M", "63M", "64M", "128M", "1G", "3G", "4G", "5G")),
    "x86_64": (("qemu64", "Haswell", "max"),
               ("16M", "17M", "64M", "128M", "1G", "3G", "4G", "5G")),
}
FIRMWARE_SWEEP = (("ovmf64", "pc"), ("ovmf64", "q35"), ("ovmf32", "q35"))


def sweep():
    """What is not in the table: each CPU with each size, each firmware with three sizes."""
    for arch, (cpus, memories) in BIOS_SWEEP.items():
        for chipset in ("pc", "q35"):
            for cpu in cpus:
                for memory in memories:
                    yield machines.Configuration("QEMU", arch, chipset, cpu, memory, "bios", False)
        for firmware, chipset in FIRMWARE_SWEEP:
            for memory in ("128M", "1G", "5G"):
                yield machines.Configuration("QEMU", arch, chipset, "max", memory, firmware, False)


def rows():
    listed = {c.name for c in machines.ALL}
    for c in [*machines.ALL, *(s for s in sweep() if s.name not in listed)]:
        yield pytest.param(c, id=c.name, marks=() if c.always else LONG)


def start(c):
    line = BESIDES.get(c.memory, "selftest")
    if c.emulator == "Bochs":
        return harness.boot_bochs(c.arch, cmdline=line, cpu=c.cpu, memory=c.memory, timeout=120)
    if c.emulator == "v86":
        return harness.boot_v86(cmdline=line, memory=c.memory)
    cpu, extra = harness.huge(c.cpu, c.memory) if c.memory.endswith("T") else (c.cpu, ())
    return harness.boot(c.arch, machine=c.chipset, cpu=cpu, memory=c.memory, firmware=c.firmware,
                        cmdline=line, timeout=60 if c.firmware == "bios" else 90, extra=extra)


@pytest.mark.parametrize("machine", rows())
def test_selftest(machine):
    run = start(machine)
    assert run.passed, run.explain()


def test_the_table_is_what_it_claims():
    """At least 24 machines, all kinds of them, each once, and a third in `make test`."""
    table = machines.ALL
    assert len({c.name for c in table}) == len(table) >= 24
    assert 0.3 < sum(c.always for c in table) / len(table) < 0.4
    assert {(c.arch, c.firmware) for c in table} == {
        (arch, firmware) for arch in harness.ARCHES for firmware in harness.FIRMWARES}
    for arch in harness.ARCHES:
        assert len({c.cpu for c in table if c.emulator == "Bochs" and c.arch == arch}) >= 6
        assert {c.chipset for c in table if c.emulator == "QEMU" and c.arch == arch} == {"pc", "q35"}
    assert {"8M", "4T"} <= {c.memory for c in table}
    assert {c.cpu for c in table} >= {"486", "max", "v86"}


def test_the_document_shows_the_table():
    text = machines.DOCUMENT.read_text()
    assert machines.document(text) == text, "tests/boot/machines.py --document writes it"


def test_v86_tells_a_failure_from_a_pass():
    run = harness.boot_v86(cmdline="test-panic")
    assert run.verdict == "fail" and "PANIC" in run.text, run.explain()


def test_x86_64_on_a_cpu_without_long_mode_says_so():
    """qemu-system-i386 offers CPUs that cannot run it: one sentence, a fail verdict, no reset."""
    run = harness.boot("i386", iso=harness.iso_path("x86_64"), cpu="qemu32", timeout=30)
    assert run.verdict == "fail", run.explain()
    assert "no long mode" in run.text


def test_i386_says_how_much_memory_it_leaves_alone():
    with harness.Machine("i386", memory="5G", cpu="max") as machine:
        assert "left alone" in machine.wait_prompt()
        report = machine.json("mmap")
    assert report["above_limit_frames"] == (5 - 3) << 18, "pc maps 3 GiB below the hole at 4 GiB"


def test_less_than_anybody_asked_for(arch):
    """Half of what i386 promises still passes; half of that ends in words, not in an exception."""
    assert harness.boot(arch, memory="4M").passed
    run = harness.boot(arch, memory="3M", timeout=20)
    assert run.verdict in ("pass", "fail"), run.explain()
    assert "EXCEPTION" not in run.text and "PANIC" not in run.text, run.explain()
