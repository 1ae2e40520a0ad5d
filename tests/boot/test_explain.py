# SPDX-License-Identifier: MIT
"""test_explain.py - what the kernel says of an address, and of an access that failed.

A fault is told in four pieces: who tried what from where (function, file and line), whose memory it
is, which entry on which level forbids it, and what usually leads there.
"""
import random
import re
import subprocess

import pytest

import harness

TOLD = re.compile(
    r"  (?P<who>the kernel|user code) tried to (?P<what>.*?) (?P<va>0x[0-9a-f]+) from (?P<place>.*);\n"
    r"  that address belongs to (?P<owner>.*),\n"
    r"  and (?P<why>.*)\.\n"
    r"  Usual cause: (?P<cause>.*)\.\n")
ENTRY = re.compile(r"the (PTE|PDE|PDPTE|PML4E) at 0x[0-9a-f]+ has (.*?): (.*)")

# kind: what was tried, whose memory, the bit, its meaning, the cause; in words that must be there
MISTAKES = {
    "null": ("write to", "the null page", "P clear", "nothing is mapped there", "NULL pointer"),
    "text": ("write to", "kernel text", "W clear", "the page is read-only", "wild pointer"),
    "rodata": ("write to", "kernel rodata", "W clear", "the page is read-only", "const"),
    "unmapped": ("write to", "the heap's window", "P clear", "nothing is mapped there", "beyond"),
    "user": ("write to", "user space", "P clear", "nothing is mapped there", "user pointer"),
    "freed": ("write to", "the heap's window", "P clear", "nothing is mapped there",
              "use after free"),
    "stack": ("push onto its stack at", "the guard page of the boot stack", "P clear",
              "nothing is mapped there", "stack overflow"),
}


def told(run):
    found = TOLD.search(run.text)
    assert found, run.explain()
    return found.groupdict()


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_fault_is_a_sentence(arch, kind):
    run = harness.boot(arch, cpu="max", cmdline=f'run="fault {kind}"', timeout=30)
    assert run.verdict == "fail", run.explain()
    tried, owner, bit, meaning, cause = MISTAKES[kind]
    t = told(run)
    assert t["who"] == "the kernel" and t["what"] == tried and owner in t["owner"], t
    level, state, means = ENTRY.fullmatch(t["why"]).groups()
    assert state == bit and means == meaning and cause in t["cause"], t
    assert re.search(rf"    {level} +at 0x[0-9a-f]+ holds 0x[0-9a-f]+  <- .*{bit}", run.text)
    function = "recurse" if kind == "stack" else f"fault_{kind}"
    assert re.fullmatch(rf"{function}\+0x[0-9a-f]+ \(src/diag/fault_command\.c:\d+\)", t["place"]), t
    calls = re.search(r"shell_execute\+0x[0-9a-f]+ \(src/diag/shell\.c:\d+\)", run.text)
    assert calls or kind == "stack", run.text  # so deep that the list ends before


def test_the_tables_that_are_loaded_are_blamed(arch):
    """The kernel's own have a page there; the CPU has walked others, in which a storm lives."""
    run = harness.boot(arch, cpu="max", cmdline='run="map 0x8048000; storm 1 20; fault user"', timeout=30)
    assert run.verdict == "fail", run.explain()
    assert "P clear: nothing is mapped there" in told(run)["why"], run.text


def test_jumping_to_data_names_the_caller():
    run = harness.boot("x86_64", cpu="max", cmdline='run="fault exec"', timeout=30)
    t = told(run)
    assert t["what"] == "execute" and t["owner"] in ("kernel data", "kernel rodata"), t
    assert "has NX set: the page is no-execute" in t["why"] and "function pointer" in t["cause"], t
    assert re.fullmatch(r"\w+\+0x[0-9a-f]+ \(src/diag/\w+\.c:\d+\)", t["place"]), t


def test_an_address_that_cannot_be_is_found_in_a_register():
    run = harness.boot("x86_64", cpu="max", cmdline='run="fault canonical"', timeout=30)
    assert run.verdict == "fail", run.explain()
    assert "general protection" in run.text
    text = run.text
    assert re.search(r"r[a-z0-9]+ holds 0x1000000000000, which is no address: it is not canonical",
                     text), run.explain()
    assert re.search(r"use it from fault_canonical\+0x[0-9a-f]+ \(src/diag/fault_command\.c:\d+\)",
                     text), run.explain()


def symbols(arch):
    lines = subprocess.run(["nm", harness.kernel_path(arch)], capture_output=True, text=True,
                           check=True).stdout.split("\n")
    return {name: int(value, 16) for value, _, name in (s.split() for s in lines if s)}


def denied(answer):
    return {d["access"]: (d["bit"], d.get("level")) for d in answer["denied"]}


def test_why_names_owner_and_bits(shell):
    arch = shell.arch
    at = symbols(arch)
    wide = arch == "x86_64"
    nothing = {"write": "P", "execute": "P", "user": "P"}

    null = shell.json("why 0x10")
    assert "null page" in null["owner"] and not null["mapped"]
    assert {a: bit for a, (bit, _) in denied(null).items()} == nothing

    text = shell.json(f"why {at['map_page']:#x}")
    assert text["owner"].startswith("kernel text, map_page+0x0 (src/mem/paging"), text
    assert text["mapped"] and denied(text)["write"] == ("W", 1) and "execute" not in denied(text)
    assert denied(text)["user"][0] == "U"

    data = shell.json(f"why {at['kernel']:#x}")
    assert data["owner"] == "kernel data" and "write" not in denied(data)
    assert denied(data).get("execute") == (("NX", 1) if wide else None)

    guard = shell.json(f"why {at['boot_stack_guard']:#x}")
    assert guard["owner"] == "the guard page of the boot stack" and not guard["mapped"]

    stack = shell.json(f"why {at['boot_stack_top'] - 8:#x}")
    assert stack["owner"] == "the boot stack, 8 bytes below its top" and stack["mapped"]

    block = re.search(r"0x[0-9a-f]{8,}", shell.run("alloc 100"))[0]
    heap = shell.json(f"why {block}")
    assert re.match(r"the heap, byte \d+ of a (live|freed) block of \d+ bytes at 0x", heap["owner"])

    user = shell.json("why 0x8048000")
    assert user["owner"] == "user space" and not user["mapped"]
    if wide:
        hole = shell.json("why 0x900000000000")
        assert "no such address" in hole["owner"]
        assert {bit for bit, _ in denied(hole).values()} == {"address"}


def test_before_the_heap_is_nothing_to_free(shell):
    """Not a header that would be read there: the page before the heap is not mapped."""
    heap = {"i386": 0xd0000000, "x86_64": 0xffffc00000000000}[shell.arch]
    for address in (heap - 16, heap, heap + 16, heap + 4096 * 16):
        assert "foreign pointer" in shell.run(f"free {address:#x}"), hex(address)
    assert shell.json("heap")["faults"]["foreign pointer"] == 4


def test_why_is_one_sentence(shell):
    arch = shell.arch
    at = symbols(arch)
    text = shell.run(f"why {at['map_page']:#x}").strip()
    sentence = " ".join(text.split())
    assert sentence.count(". ") == 0 and sentence.endswith("."), sentence
    assert "a 4K page maps it" in sentence and "writing is denied by the PTE's W" in sentence
    assert "usage: why ADDR" in shell.run("why")


def test_walk_says_what_each_level_decides(shell):
    arch = shell.arch
    at = symbols(arch)
    levels = shell.json(f"walk {at['map_page']:#x}")["levels"]
    assert levels[-1]["decides"] == "W clear: no writing"
    assert levels[0]["decides"] == "U clear: kernel only"
    assert shell.json("walk 0x0")["levels"][-1]["decides"] == "P clear: nothing is mapped there"
    assert re.search(r"PTE .*<- decides\n +W clear: no writing\n",
                     shell.run(f"walk {at['map_page']:#x}"))


def test_ptdump_ends_with_the_audit(shell):
    arch = shell.arch
    last = shell.run("ptdump").rstrip().splitlines()[-1]
    assert re.fullmatch(r"  W\^X holds.*: .*, 0 writable aliases of code", last), last
    dump = shell.json("ptdump")
    assert dump["wx_holds"] and dump["writable_executable"] == dump["writable_aliases"] == 0
    assert dump["nx"] == (arch == "x86_64")


def test_lines_are_those_of_the_debug_information(shell):
    """The packed table against addr2line, at random places of random functions."""
    arch = shell.arch
    chosen = random.Random(arch)
    at = sorted(value for name, value in symbols(arch).items()
                if re.match(r"(paging|map|unmap|heap|pmm|bootmap|shell|fmt|vfmt|report)_?", name))
    begin, end = symbols(arch)["kernel_text_start"], symbols(arch)["kernel_text_end"]
    places = [a for a in at if begin <= a < end]
    places = [a + chosen.choice((0, 0, 9, 23)) for a in chosen.sample(places, 25)]
    truth = subprocess.run(["addr2line", "-e", harness.kernel_path(arch)] + [hex(a) for a in places],
                           capture_output=True, text=True, check=True).stdout.split("\n")
    for address, expected in zip(places, truth):
        if "?" in expected:
            continue  # Clang: code of no line in particular; the table goes on with the line before
        owner = shell.json(f"why {address:#x}")["owner"]
        expected = re.sub(r"^(\./)+|^.*/(?=(src|include)/)| \(discriminator.*", "", expected)
        assert owner.endswith(f"({expected})"), (hex(address), owner, expected)
