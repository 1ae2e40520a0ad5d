# SPDX-License-Identifier: MIT
"""The reader of tools/memview against the kernel's own word, and against planted damage.

One machine for each target works for a while (self-tests, random heap calls), is asked for its
reports, stopped and dumped. The reader then has the dump and nothing else.
"""
import collections
import html
import json
import random
import re
import subprocess
from types import SimpleNamespace

import pytest

import dumps
import harness
from memview.frames import FREE
from memview.physical import PAGE, Patched, Unreadable, XpText, open_dump
from memview.tables import PRESENT

MEMVIEW = harness.ROOT / "tools" / "memview" / "memview.py"


@pytest.fixture(scope="module", params=harness.ARCHES)
def worked(request, tmp_path_factory):
    """A kernel that has worked, its reports, and its memory."""
    arch, directory = request.param, tmp_path_factory.mktemp("dump")
    with harness.Machine(arch, cpu="max", timeout=60) as machine:
        machine.wait_prompt()
        machine.run("heap_test 3000")
        assert "FAIL" not in machine.run("selftest")
        payload = machine.run("alloc 200").split()[-1]
        for words in ("100", "20000", "300 1 64"):
            machine.run(f"alloc {words}")
        machine.run(f"free {payload}")  # it waits in its bin
        reports = {name: machine.json(name) for name in ("meminfo", "mmap", "pmm", "frames", "heap",
                                                         "leaks", "ptdump")}
        dump = dumps.Dump(arch, directory, machine)
    return SimpleNamespace(arch=arch, dump=dump, reports=reports, whole=dump.picture().whole(),
                           directory=directory)


# ---- the kernel's own word --------------------------------------------------------------------
@pytest.mark.parametrize("report", ["meminfo", "pmm", "mmap"])
def test_counts_agree_with_the_kernel(worked, report):
    theirs = worked.reports[report]
    assert worked.whole[report] == {key: theirs[key] for key in worked.whole[report]}


def free_frames(stretches, ranges):
    """The free frames of RAM, whatever a report says of the holes in between."""
    usable = [(int(r["start"], 16), int(r["end"], 16)) for r in ranges if r["kind"] == "usable"]
    free = [(int(s["start"], 16), int(s["end"], 16)) for s in stretches if s["free"]]
    return {at for a, b in free for c, d in usable
            for at in range(max(a, c) // PAGE, min(b, d) // PAGE)}


def test_free_frames_agree_with_the_kernel(worked):
    ranges = worked.reports["mmap"]["ranges"]
    ours = free_frames(worked.whole["frames"]["stretches"], ranges)
    assert ours == free_frames(worked.reports["frames"]["stretches"], ranges)
    assert len(ours) == worked.reports["meminfo"]["frames"]["free"]


def pages(maps):
    """Page -> (everything but accessed and dirty, those two); the kmap window is in use while the
    kernel prints and not in the dump."""
    out = {}
    for m in maps:
        if m["name"] == "kmap window":
            continue
        unit = {"4K": 1 << 12, "2M": 1 << 21, "4M": 1 << 22, "1G": 1 << 30}[m["page"]]
        va, pa = int(m["va"], 16), int(m["pa"], 16)
        still = m["perm"].translate({ord("a"): None, ord("d"): None})
        for at in range(0, m["length"], unit):
            out[va + at] = ((pa + at, m["page"], still, m["cache"], m["name"]),
                            set(m["perm"]) & {"a", "d"})
    return out


def test_mappings_agree_with_the_kernel(worked):
    ours, theirs = (pages(r["ptdump"]["maps"]) for r in (worked.whole, worked.reports))
    assert worked.whole["ptdump"]["cr3"] == worked.reports["ptdump"]["cr3"]
    assert {va: still for va, (still, _) in ours.items()} == \
        {va: still for va, (still, _) in theirs.items()}
    assert all(touched <= ours[va][1] for va, (_, touched) in theirs.items()), "it only grows"


def test_heap_agrees_with_the_kernel(worked):
    theirs, blocks = worked.reports["heap"], worked.whole["heap"]["blocks"]
    assert sum(b[3] for b in blocks) == theirs["blocks"]
    assert sum(not b[3] for b in blocks) == theirs["free_blocks"]
    assert sum(b[1] for b in blocks if not b[3]) == theirs["free"]
    waiting = [b for b in blocks if b[5]]
    assert sum(b[1] for b in waiting) == theirs["waiting"] > 0
    assert len(waiting) == theirs["waiting_blocks"] and not any(b[3] for b in waiting)


def test_callers_agree_with_the_kernel(worked):
    """Of short blocks, and of long ones, which keep their caller behind the payload or in a table."""
    theirs = {row["symbol"]: row["blocks"] for row in worked.reports["leaks"]["callers"]}
    ours = collections.Counter(b[4] for b in worked.whole["heap"]["blocks"] if b[3])
    assert ours == theirs
    assert any(b[2] == 20000 and b[4] for b in worked.whole["heap"]["blocks"])


# ---- mark and sweep ---------------------------------------------------------------------------
def test_nothing_is_lost_and_nothing_is_owned_twice(worked):
    assert worked.whole["sweep"]["findings"] == []
    assert len(worked.whole["sweep"]["counts"]) >= 4
    assert "nobody" not in worked.whole["meminfo"]["frames"]["owners"]


class Plant:
    """Changes memory in one place. Each method is one kind of damage and returns the words of
    which the sweep must say one at least."""

    def __init__(self, dump):
        self.memory = Patched(dump.physical)
        self.picture = dump.picture(self.memory)
        self.kernel = self.picture.kernel
        self.heap = self.leaf(self.picture.heap.start)
        self.next = self.leaf(self.picture.heap.start + PAGE)
        self.free = next(r for r in self.picture.frames.runs if r.state == FREE and r.frames > 8)

    def leaf(self, va):
        return self.kernel.tables.walk(va).leaf

    def entry(self, address):
        size = self.kernel.tables.entry_bytes
        return int.from_bytes(self.memory.read(address, size), "little")

    def put(self, address, value):
        self.memory.write(address, value.to_bytes(self.kernel.tables.entry_bytes, "little"))

    def point(self, leaf, pa):
        self.put(leaf.entry_pa, self.entry(leaf.entry_pa) & ~(((1 << 40) - 1) & -PAGE) | pa)

    def flip_bit_of(self, frame):
        va, bit = self.picture.frames.bits.word_address(frame)
        self.memory.flip(self.kernel.to_physical(va), bit)

    def a_free_frame_is_marked_used(self):
        self.flip_bit_of(self.free.first + 3)
        return "leaked", "ledger"

    def a_heap_page_is_marked_free(self):
        self.flip_bit_of(self.heap.pa // PAGE)
        return ("mapped_but_free",)

    def a_page_table_is_marked_free(self):
        self.flip_bit_of(self.heap.entry_pa // PAGE)
        return ("mapped_but_free",)

    def a_heap_page_is_not_mapped(self):
        self.memory.flip(self.heap.entry_pa, 0)
        return "leaked", "missing"

    def two_heap_pages_share_a_frame(self):
        self.point(self.heap, self.next.pa)
        return "doubly_owned", "leaked"

    def a_heap_page_shows_the_kernel(self):
        self.point(self.heap, self.kernel.image.physical[0])
        return ("doubly_owned",)

    def a_heap_page_shows_a_free_frame(self):
        self.point(self.heap, (self.free.first + 3) * PAGE)
        return ("mapped_but_free",)

    def a_page_behind_the_heap_is_still_mapped(self):
        behind = self.kernel.tables.walk(self.picture.heap.top).steps[-1]
        self.put(behind.entry_pa, self.entry(self.heap.entry_pa))
        self.point(SimpleNamespace(entry_pa=behind.entry_pa), (self.free.first + 3) * PAGE)
        return ("free_but_mapped",)

    def a_used_frame_is_mapped_behind_the_heap(self):
        behind = self.kernel.tables.walk(self.picture.heap.top).steps[-1]
        self.put(behind.entry_pa, self.entry(self.heap.entry_pa))
        return ("stray",)

    def a_table_serves_twice(self):
        step = self.kernel.tables.walk(self.heap.va).steps[-2]
        self.put(step.entry_pa + 8, step.entry)
        return "doubly_owned", "stray"

    def a_table_is_lost(self):
        step = self.kernel.tables.walk(self.heap.va).steps[-2]
        self.memory.flip(step.entry_pa, 0)
        return "leaked", "missing"

    def the_image_shows_another_frame(self):
        data = self.leaf(self.kernel.symbol("kernel_data_start"))
        self.point(data, data.pa + PAGE)
        return ("misplaced",)

    def code_is_writable(self):
        self.memory.flip(self.leaf(self.kernel.symbol("kernel_text_start")).entry_pa, 1)
        return ("rights",)

    def a_header_is_overwritten(self):
        at = self.kernel.to_physical(self.picture.heap.blocks[0].payload - 5)
        self.memory.flip(at, 3)
        return ("heap_damage",)

    def a_counter_is_wrong(self):
        at = self.kernel.view.pmm.address_of("held")
        owner = self.kernel.owner_value("OWNER_HEAP")
        self.memory.flip(self.kernel.to_physical(at + 8 * owner), 0)
        return ("ledger",)


DAMAGE = [name for name in vars(Plant) if re.match("(a|the|two|code)_", name)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_planted_damage_is_noticed_and_named(worked, damage):
    plant = Plant(worked.dump)
    expected = getattr(plant, damage)()
    counts = worked.dump.picture(plant.memory).sweep.counts
    assert all(counts[kind] for kind in expected), counts


def effective_bits(tables, level, entry):
    """Bits of an entry whose change makes a difference to somebody: present, write, the frame, for
    a page also its cache type. Not: accessed, dirty, global, what is ours, what is ignored, and
    whether a page that is not cached is UC or UC-: only an MTRR could tell (SDM 3A table 12-7)."""
    top = min(tables.registers.phys_bits, 52) if tables.pae else 32
    if not tables.is_leaf(level, entry):
        return [0, 1, *range(12, top)]
    return [0, 1, *([4] if entry & 1 << 4 else [3, 4]), *range(tables.shift(level), top)]


def noticed(dump, memory):
    """A finding, or tables that lead out of memory before there can be any."""
    try:
        return bool(dump.picture(memory).sweep.findings)
    except Unreadable:
        return True


def test_random_flips_in_the_page_tables_are_noticed(worked):
    """But for the kmap window, which may show any frame, or none."""
    kernel, seed, missed = worked.dump.kernel(), random.randrange(1 << 32), []
    window = kernel.symbol("kmap_table")
    slots = kernel.to_physical(window) if window else None
    chance = random.Random(seed)
    entries = [(t.level, t.pa + i * kernel.tables.entry_bytes, e) for t in kernel.tables.tables()
               for i, e in enumerate(kernel.tables.read_table(t.pa, t.level))
               if e & PRESENT and slots not in (t.pa, e & ~(PAGE - 1))]
    for level, address, entry in chance.sample(entries, 30):
        memory = Patched(worked.dump.physical)
        bit = chance.choice(effective_bits(kernel.tables, level, entry))
        memory.flip(address, bit)
        if not noticed(worked.dump, memory):
            missed.append((level, hex(address), hex(entry), bit))
    print(f"seed {seed}: {30 - len(missed)} of 30 flips noticed")
    assert not missed, f"seed {seed}"


# ---- the program ------------------------------------------------------------------------------
def run_memview(worked, *words):
    r = worked.dump.registers
    command = [MEMVIEW, "--elf", harness.kernel_path(worked.arch), "--cr3", hex(r.cr3), *words]
    return subprocess.run([str(w) for w in command], capture_output=True, text=True)


def test_the_program_reads_a_dump(worked):
    done = run_memview(worked, "--dump", worked.dump.path, "--json", "-",
                       "-o", worked.directory / "memview.html")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["meminfo"] == worked.whole["meminfo"]
    assert "nothing lost" in done.stderr


def test_the_program_fails_on_damage(worked, tmp_path):
    plant = Plant(worked.dump)
    plant.a_heap_page_is_not_mapped()
    damaged = bytearray(worked.dump.path.read_bytes())
    for at, byte in plant.memory.bytes.items():
        damaged[at] = byte
    (tmp_path / "damaged.bin").write_bytes(damaged)
    done = run_memview(worked, "--dump", tmp_path / "damaged.bin", "--json", "-")
    assert done.returncode == 1 and "1 leaked" in done.stderr, done.stderr


def test_a_dump_that_is_cut_short_is_refused(worked, tmp_path):
    (tmp_path / "short.bin").write_bytes(worked.dump.path.read_bytes()[:1 << 20])
    done = run_memview(worked, "--dump", tmp_path / "short.bin")
    assert done.returncode == 2 and "not in the dump" in done.stderr


def test_another_address_space_is_understood(arch, tmp_path):
    """`storm` loads one of its own that shares the kernel's half, and maps what is no RAM."""
    with harness.Machine(arch, cpu="max") as machine:
        machine.wait_prompt()
        machine.run("storm 1 500")
        counts = dumps.Dump(arch, tmp_path, machine).picture().sweep.counts
        assert {kind for kind, n in counts.items() if n} <= {"misplaced"}, counts
        machine.qmp("cont")
        machine.run("storm clear")
        assert not dumps.Dump(arch, tmp_path, machine).picture().sweep.findings


def test_a_core_gives_the_same(arch, tmp_path):
    with harness.Machine(arch, cpu="max") as machine:
        machine.wait_prompt()
        dump = dumps.Dump(arch, tmp_path, machine)
        machine.qmp("dump-guest-memory", paging=False, protocol=f"file:{tmp_path}/core")
    assert dump.picture(open_dump(tmp_path / "core")).whole() == dump.picture().whole()


def test_the_text_of_bochs_is_read(tmp_path):
    text = ("[bochs]:\n0x0000000000101000 <pd+0>:\t0x00102003\t0x00000000\n"
            "0x0000000000101008 <pd+8>:\t0x12345678\t0x9abcdef0\n")
    memory = XpText(text)
    assert memory.read(0x101000, 4) == b"\x03\x20\x10\x00"
    assert memory.read(0x10100a, 4) == b"\x34\x12\xf0\xde"
    (tmp_path / "xp.txt").write_text(text)
    assert isinstance(open_dump(tmp_path / "xp.txt"), XpText)


def test_a_dump_of_bochs_is_sound(arch, tmp_path):
    done = subprocess.run([MEMVIEW, *dumps.bochs_dump(arch, tmp_path), "--elf",
                           harness.kernel_path(arch), "--json", "-"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    assert whole["stage"] == "with frames and heap"
    assert whole["meminfo"]["heap"]["mapped"] > 0 and whole["sweep"]["findings"] == []


# ---- the page ---------------------------------------------------------------------------------
def answer_of(document):
    """The text of the answer to a search."""
    inside = document.split('<section id="answer">', 1)[1].split("</section>", 1)[0]
    return html.unescape(re.sub("<[^>]*>", "", inside))


def test_the_page_opens_and_finds_an_address(worked):
    page, heap = worked.directory / "page.html", worked.whole["heap"]["start"]
    page.write_text(dumps.page.html(worked.whole), encoding="utf-8")
    document, complaints = dumps.open_page(page, hex(int(heap, 16) + 0x123))
    assert complaints == []
    pa = worked.dump.kernel().tables.translate(int(heap, 16) + 0x123)
    assert f"physical {pa:#x}" in answer_of(document)
    assert "Every frame has one owner" in document
    assert "src=" not in document and "http" not in document.replace("http://www.w3.org", "")


def test_the_page_finds_an_owner_and_shows_damage(worked):
    plant = Plant(worked.dump)
    plant.a_heap_page_is_not_mapped()
    page = worked.directory / "damaged.html"
    page.write_text(dumps.page.html(worked.dump.picture(plant.memory).whole()), encoding="utf-8")
    document, complaints = dumps.open_page(page, "page%20tables")
    assert complaints == []
    tables = worked.whole["meminfo"]["tables"]
    assert f"{tables} frames" in answer_of(document)
    assert "things are wrong" in document and "leaked: " in document


def test_a_complaint_of_a_page_would_be_heard(tmp_path):
    (tmp_path / "bad.html").write_text("<script>nothing.there()</script>")
    assert "nothing" in dumps.open_page(tmp_path / "bad.html")[1][0]
