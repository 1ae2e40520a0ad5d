# SPDX-License-Identifier: MIT
"""test_heap_reports.py - what the shell says of the heap: its picture, its blocks, who holds them; of
wrong frees; and of a heap that somebody wrote over, here through gdb's protocol."""
import re

import pytest

import gdbstub
import harness

WIDTH = 80  # columns of a text screen


class Damaged:
    """A machine whose memory can be written to while its shell waits."""

    def __init__(self, machine, path):
        self.machine, self.path = machine, path

    def blocks(self, size, count):
        self.machine.run(f"alloc {size} {count}")
        return [int(b["payload"], 16) for b in self.machine.json("blocks")["blocks"]
                if b["live"] and b["requested"] == size]

    def write(self, address, data):
        self.machine.qmp("stop")
        stub = gdbstub.Stub(self.path, self.machine.timeout)
        stub.order(f"M{address:x},{len(data):x}:{data.hex()}")
        stub.order("D")
        stub.close()
        self.machine.qmp("cont")


@pytest.fixture
def heap(arch, tmp_path):
    path = tmp_path / "gdb"
    with harness.Machine(arch, extra=["-gdb", f"unix:{path},server=on,wait=off"]) as machine:
        machine.wait_prompt()
        yield Damaged(machine, path)


def test_blocks_fit_on_a_screen(shell):
    shell.run("alloc 100 3")
    lines = shell.run("blocks").splitlines()
    assert sum("command_alloc" in line for line in lines) >= 3
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)


def test_the_picture_ends_where_the_heap_does(shell):
    shell.run("alloc 5000 20")
    rows = re.findall(r"^  (0x[0-9a-f]+) ([█▒░·]+)$", shell.run("heap"), re.M)
    cell = (int(rows[1][0], 16) - int(rows[0][0], 16)) // len(rows[0][1])
    last = shell.json("blocks")["blocks"][-1]
    end = int(rows[-1][0], 16) + len(rows[-1][1]) * cell
    assert 0 <= end - (int(last["payload"], 16) + last["size"]) < cell


def test_sizes_are_counted_as_asked_for(shell):
    def counts():
        return shell.json("heap")["histogram"]
    before = counts()
    payloads = [shell.run(f"alloc {size}").split()[-1] for size in (16, 128, 129, 4096)]
    assert [n - b for n, b in zip(counts(), before)] == [1, 0, 0, 1, 1, 0, 0, 0, 1] + [0] * 9
    assert re.search(r"^    up to 4 KiB +\d+ +\d+$", shell.run("heap"), re.M)
    for payload in payloads:
        shell.run(f"free {payload}")
    assert counts() == before


def test_words_that_blocks_and_alloc_refuse(shell):
    for words in ("blocks here", "alloc 0", "alloc 16 0", "alloc 16 1 0", "alloc 16 1 24", "alloc 16 1 32 1",
                  *(["blocks 0x1ffffffff"] if shell.arch == "i386" else [])):
        assert "usage: " + words.split()[0] in shell.run(words)
    shown = shell.run("blocks")
    more = re.search(r"and (\d+) blocks? more, from `blocks (0x[0-9a-f]+)` on", shown)
    assert not more or more[2] in shell.run(f"blocks {more[2]}").splitlines()[1]


def test_an_aligned_block_is_merged_when_it_is_freed(shell):
    payload, behind = (shell.run(f"alloc 1000 1 {align}").split()[-1] for align in (4096, 16))
    assert int(payload, 16) % 4096 == 0
    before = shell.json("heap")
    shell.run(f"free {payload}")
    after = shell.json("heap")
    assert after["waiting"] == before["waiting"] and after["free"] > before["free"]
    shell.run(f"free {behind}")


def test_what_waits_in_bins_is_told_from_what_is_free(shell):
    payload, behind = (shell.run("alloc 1000").split()[-1] for _ in range(2))
    before = shell.json("heap")
    shell.run(f"free {payload}")
    after = shell.json("heap")
    assert after["waiting_blocks"] == before["waiting_blocks"] + 1
    assert after["waiting"] - before["waiting"] == after["free"] - before["free"] >= 1000
    assert [b["waiting"] for b in shell.json("blocks")["blocks"] if b["payload"] == payload] == [True]
    assert re.search(rf"^  {payload} ░+ .* free, in its bin$", shell.run(f"blocks {payload}"), re.M)
    said = shell.run("heap")
    assert "░" in "".join(re.findall(r"^  0x[0-9a-f]+ (\S+)$", said, re.M))
    assert max(map(len, said.splitlines())) <= WIDTH
    shell.run("heap trim")
    assert shell.json("heap")["waiting_blocks"] == 0
    assert "in its bin" not in shell.run(f"blocks {payload}")
    shell.run(f"free {behind}")


def test_an_overrun_into_the_gap(heap):
    first, second, *_ = heap.blocks(100, 4)
    heap.write(first + 100, b"\xaa")
    check = heap.machine.run("heap check")
    assert "behind the payload" in check
    assert f"first at the live block at {first:#x}, 100 bytes, asked for by command_alloc+" in check
    said = heap.machine.run(f"free {first:#x}")
    assert f"overrun: {first:#x} (live block at {first:#x}, 100 bytes, asked for by command_alloc" in said
    assert "called from command_free" in said
    assert "heap:" not in heap.machine.run(f"free {second:#x}")


def test_an_overrun_into_the_next_header(heap):
    first, second, *_ = heap.blocks(104, 4)
    heap.write(first + 105, bytes(7))  # its first byte is the canary
    check = heap.machine.run("heap check")
    assert "invariants broken: H1: intact blocks tile" in check
    assert f"right behind the live block at {first:#x}, 104 bytes, asked for by command_alloc+" in check
    assert int(heap.machine.json("heap")["where"], 16) == first
    said = heap.machine.run(f"free {second:#x}")
    assert f"damaged header: {second:#x} (behind a live block at {first:#x}, 104 bytes, asked for by " \
        "command_alloc" in said


def test_reports_say_that_damage_hides_blocks(heap):
    first, second, *_ = heap.blocks(104, 4)
    heap.machine.run("leaks keep")
    assert heap.machine.json("leaks")["whole"] and heap.machine.json("blocks")["whole"]
    heap.write(second - 8, b"\x55" * 8)
    leaks, blocks = heap.machine.json("leaks"), heap.machine.json("blocks")
    assert not leaks["whole"] and sum(row["blocks"] for row in leaks["callers"]) == 1
    assert not blocks["whole"] and [int(b["payload"], 16) for b in blocks["blocks"]] == [first]
    assert "not counted" in heap.machine.run("leaks") and "not counted" in heap.machine.run("leaks diff")
    for report in ("blocks", "heap"):
        assert f"the header at {second - 8:#x} is damaged" in heap.machine.run(report)
    assert not heap.machine.json("heap")["whole"]
    assert "what lies behind is not counted" in heap.machine.run("meminfo")
    assert "behind a damaged header" in heap.machine.run(f"why {second:#x}")
    assert "byte 100 of a live block" in heap.machine.run(f"why {first + 100:#x}")
    assert re.search(r"FAILED: [HG]1: ", heap.machine.run("heap_test 10"))


def test_leaks_by_symbol_and_what_has_changed(shell):
    assert "kept, of " in shell.run("leaks keep")
    assert shell.json("leaks keep") == shell.json("leaks")
    shell.run("alloc 100 7")
    assert re.search(r"^ +7 +700  command_alloc\+0x", shell.run("leaks diff"), re.M)
    last = [b for b in shell.json("blocks")["blocks"] if b["live"]][-1]
    shell.run(f"free {last['payload']}")
    assert re.search(r"^ +6 +600  command_alloc\+0x", shell.run("leaks diff"), re.M)
    shell.run("leaks keep")
    assert "none" in shell.run("leaks diff")


def give_all_back(machine):
    """The lowest block last: when it alone is live, others wait in bins, which `heap trim` merges."""
    live = [b["payload"] for b in machine.json("blocks")["blocks"] if b["live"]]
    for payload in live[2::2] + live[1::2][::-1]:
        machine.run(f"free {payload}")
    waiting, trimmed = machine.json("heap")["mapped"], machine.json("heap trim")
    assert trimmed["blocks"] == 1 and trimmed["holds"] and trimmed["mapped"] <= waiting
    machine.run(f"free {live[0]}")


def test_an_empty_heap_is_as_large_as_at_first(arch):
    with harness.Machine(arch, memory="64M") as machine:
        machine.wait_prompt()
        before = machine.json("meminfo")
        machine.run("heap_test 20000")
        after = machine.json("meminfo")
        assert after["frames"] == before["frames"] and after["heap"] == before["heap"]
        assert machine.json("heap")["grown"] > 0


def test_all_memory_and_back(arch):
    """The whole window on i386, all RAM on x86_64; then each frame is where it was."""
    with harness.Machine(arch, memory="600M", timeout=60) as machine:
        machine.wait_prompt()
        before = machine.json("meminfo")
        for size in (16000000, 1 << 20, 1 << 16, 4096, 256, 16):
            assert "no block of" in machine.run(f"alloc {size} 100000")
        heap, frames = machine.json("heap"), machine.json("meminfo")["frames"]
        assert heap["holds"] and (heap["mapped"] == heap["window"] if arch == "i386" else frames["free"] < 4), heap
        give_all_back(machine)
        after = machine.json("meminfo")
        assert after["frames"] == before["frames"] and after["tables"] == before["tables"]
        assert after["heap"] == before["heap"]
