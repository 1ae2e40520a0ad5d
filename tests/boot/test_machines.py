# SPDX-License-Identifier: MIT
"""Every self-test passes on every machine of a table: chipset, CPU, RAM, firmware, emulator.

The rows without a mark run in `make test`, the others in `make matrix`.
"""
import pytest

import harness

LONG = pytest.mark.matrix


def row(arch, machine, cpu, memory, firmware="bios", marks=()):
    return pytest.param(arch, machine, cpu, memory, firmware, marks=marks,
                        id=f"{arch}-{machine}-{cpu}-{memory}-{firmware}")


# Each CPU, each chipset, each firmware, the least and the most RAM appear at least once.
SHORT_TABLE = [
    row("i386", "pc", "486", "8M"),
    row("i386", "pc", "pentium", "16M"),
    row("i386", "q35", "qemu32", "64M"),
    row("i386", "q35", "max", "5G"),
    row("i386", "q35", "max", "256M", "ovmf64"),
    row("i386", "q35", "qemu32", "256M", "ovmf32"),
    row("x86_64", "pc", "qemu64", "16M"),
    row("x86_64", "q35", "Haswell", "64M"),
    row("x86_64", "pc", "max", "5G"),
    row("x86_64", "pc", "max", "256M", "ovmf64"),
    row("x86_64", "q35", "qemu64", "256M", "ovmf32"),
]

BIOS_TABLE = {
    "i386": (("486", "pentium", "qemu32", "max"),
             ("8M", "9M", "16M", "63M", "64M", "128M", "1G", "3G", "4G", "5G")),
    "x86_64": (("qemu64", "Haswell", "max"),
               ("16M", "17M", "64M", "128M", "1G", "3G", "4G", "5G")),
}
SHORT_IDS = {r.id for r in SHORT_TABLE}
LONG_TABLE = [
    r for r in
    [row(arch, machine, cpu, memory, marks=LONG)
     for arch, (cpus, memories) in BIOS_TABLE.items()
     for machine in ("pc", "q35") for cpu in cpus for memory in memories]
    + [row(arch, machine, "max", memory, firmware, marks=LONG)
       for arch in harness.ARCHES for firmware, machine in
       (("ovmf64", "pc"), ("ovmf64", "q35"), ("ovmf32", "q35")) for memory in ("128M", "1G", "5G")]
    if r.id not in SHORT_IDS
]


@pytest.mark.parametrize("arch, machine, cpu, memory, firmware", SHORT_TABLE + LONG_TABLE)
def test_selftest_in_qemu(arch, machine, cpu, memory, firmware):
    run = harness.boot(arch, machine=machine, cpu=cpu, memory=memory, firmware=firmware,
                       cmdline="selftest", timeout=60 if firmware == "bios" else 90)
    assert run.passed, run.explain()


@pytest.mark.parametrize("memory", [
    "64M", pytest.param("32M", marks=LONG), pytest.param("512M", marks=LONG),
    pytest.param("2048M", marks=LONG),
])
def test_selftest_in_bochs(arch, memory):
    run = harness.boot_bochs(arch, cmdline="selftest", memory=memory, timeout=120)
    assert run.passed, run.explain()


@pytest.mark.parametrize("cpu", ["pentium", "p3_katmai", pytest.param("corei7_skylake_x", marks=LONG)])
def test_i386_on_other_bochs_cpus(cpu):
    run = harness.boot_bochs("i386", cmdline="selftest", cpu=cpu, timeout=120)
    assert run.passed, run.explain()


@pytest.mark.parametrize("memory", [
    "64M", pytest.param("8M", marks=LONG), pytest.param("16M", marks=LONG),
    pytest.param("512M", marks=LONG),
])
def test_selftest_in_v86(memory):
    """An emulator in WebAssembly: its TLB, its translation to blocks, its devices."""
    run = harness.boot_v86(memory=memory)
    assert run.passed, run.explain()


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
