# SPDX-License-Identifier: MIT
"""What allocating costs on the host, by counted instructions: the same on every run, never a clock.

The bounds are promises, somewhat above what is measured now (`make bench-host` prints that).
"""
import concurrent.futures
import lzma
import platform
import statistics
import subprocess
from pathlib import Path

import pytest

import harness

HOST = harness.BUILD / "host"
MIB = (256, 4096)

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="steps x86_64 code")


@pytest.fixture(scope="module")
def frames():
    """(source, MiB, cell) -> figure. Ending well, it says that no frame was lost or given twice."""
    done = subprocess.run([HOST / "pmm_table", "-t", "-o", *map(str, MIB)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {(source, int(mib), cell): float(figure) for source, mib, cell, figure in rows}


@pytest.mark.parametrize("cell, most", [
    ("churn-50-alloc", 60), ("churn-50-free", 60),
    ("churn-99-alloc", 60), ("churn-99-free", 60),
    ("settled-alloc", 100), ("settled-free", 120),
    ("burst-alloc", 60), ("burst-free", 60),
    ("worst-call", 250), ("run-2m", 120), ("run-33", 200), ("run-7", 150), ("last-frame", 120),
])
@pytest.mark.parametrize("mib", MIB)
def test_calls_stay_cheap(frames, mib, cell, most):
    assert frames["ours", mib, cell] <= most


@pytest.mark.parametrize("mib", MIB)
def test_cached_calls_are_a_few_instructions(frames, mib):
    for level in ("churn-50", "churn-90", "churn-99", "settled"):
        assert frames["ours, cached", mib, f"{level}-alloc"] <= 14
        assert frames["ours, cached", mib, f"{level}-free"] <= 18


def test_more_memory_does_not_cost_more(frames):
    small, large = MIB
    for level in ("churn-50", "churn-90", "churn-99", "burst"):
        for call in ("alloc", "free"):
            cell = f"{level}-{call}"
            assert frames["ours", large, cell] <= 1.15 * frames["ours", small, cell], cell


def test_metadata_is_an_eighth_of_a_byte_a_frame(frames):
    assert all(frames["ours", mib, "metadata"] <= 0.1275 for mib in MIB)


MISTAKEN = """
#include "pmm_measure.h"
#include "step.h"
#include "yardsticks/free_list.c"

static uint64_t calls;

static uint64_t take_mistaken(void)
{
    uint64_t frame = take();
    return ++calls == 5000 ? MISTAKE : frame;
}

int main(void)
{
    struct frame_source source = source_free_list;
    struct figure out[PMM_CELLS];
    source.alloc = take_mistaken;
    step_init();
    pmm_measure(&source, 1 << 16, out);
    return 0;
}
"""


@pytest.mark.parametrize("mistake, said", [
    ("frame", None),
    ("3", "frame 0x3 given out twice"),
    ("1 << 16", "frame 0x10000 does not exist"),
    ("take()", "0xffff is how many were had"),
], ids=["none", "twice", "foreign", "lost"])
def test_an_allocator_that_errs_ends_the_table(tmp_path, mistake, said):
    (tmp_path / "main.c").write_text(MISTAKEN)
    bench = harness.ROOT / "bench"
    subprocess.run(["gcc", "-std=gnu2x", "-O2", f"-I{bench}", f"-DMISTAKE={mistake}", "-o",
                    tmp_path / "main", tmp_path / "main.c", bench / "pmm_measure.c",
                    bench / "step.c"], check=True)
    done = subprocess.run([tmp_path / "main"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == (1 if said else 0)
    assert not said or said in done.stderr


RECORDED = sorted((harness.ROOT / "bench" / "traces").glob("*.trace.xz"))
MADE_UP = ("kernel", "processes", "server", "vectors", "comb")


def check(trace, heap=HOST / "heap_bench.so"):
    return subprocess.run([HOST / "heap_replay", "check", heap, trace], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_every_made_up_trace_is_tested():
    names = subprocess.check_output([HOST / "heap_replay", "traces"], text=True).split()
    assert tuple(names) == MADE_UP and len(RECORDED) == 3


def unpacked(trace, directory):
    """A name as it is; of a recorded trace the path of a plain file."""
    if trace not in RECORDED:
        return trace
    plain = directory / trace.name.split(".")[0]
    plain.write_bytes(lzma.decompress(trace.read_bytes()))
    return plain


@pytest.mark.parametrize("trace", [*MADE_UP, *RECORDED], ids=lambda t: Path(t).name.split(".")[0])
def test_a_trace_replays_with_no_block_damaged(tmp_path, trace):
    done = check(unpacked(trace, tmp_path))
    assert done.returncode == 0, done.stdout
    calls, peak, footprint = map(int, done.stdout.split())
    assert calls >= 40000 and 0 < peak <= footprint


@pytest.mark.parametrize("traces, most", [(RECORDED, 62), (MADE_UP, 53)], ids=["recorded", "made up"])
def test_heap_calls_stay_cheap(tmp_path, traces, most):
    """The first calls of each trace, while the heap grows: it is checks, searches and merges, too."""
    def step(trace):
        words = [HOST / "heap_replay", "step", HOST / "heap_bench.so", unpacked(trace, tmp_path), "10000"]
        return map(int, subprocess.check_output(words, text=True).split())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        calls, instructions, longest = zip(*pool.map(step, traces))
    assert min(calls) >= 7000 and max(longest) <= 700, longest
    costs = [sum_ / count for sum_, count in zip(instructions, calls)]
    assert statistics.geometric_mean(costs) <= most, costs


class Units:
    """A trace that takes blocks of so many units of 16 bytes, side by side."""
    FIRST, PAGE = 258, 256  # where the first one begins, in x86_64; units of a page

    def __init__(self):
        self.lines, self.at, self.taken = [], self.FIRST, 0

    def take(self, units, align=""):
        self.at += units
        self.taken += 1
        self.lines.append(f"a {16 * units - (8 if units < 1024 else 12)} {align}")
        return self.taken

    def fill(self, end, most):
        """All up to there is in use, by blocks of so many units at most."""
        while (gap := end - self.at) > 0:
            self.take(min(gap, most))

    def take_up_to(self, page, units, most):
        """The block ends in that page, all before it is in use."""
        self.fill(page * self.PAGE + 100 - units, most)
        return self.take(units)

    def free(self, *blocks):
        self.lines += [f"f {self.taken - block}" for block in blocks]


LAST_CALLS = {"allocate": [1400], "small": [40], "aligned": [1400, 1024], "above": [1400, 8192], "wild": [8500, 65536]}
LARGEST = {"allocate": 1500, "small": 300, "aligned": 1500, "above": 1921, "wild": 8510}
BOUNDS = [("join", 242, 42), ("grow", 280, 42), ("trim", 312, 34), ("little", 482, 34), ("allocate", 220, 56),
          ("small", 310, 56), ("aligned", 278, 56), ("above", 304, 66), ("wild", 452, 38)]


def stepped(trace, calls):
    """Calls made, instructions of all, and of the longest."""
    words = [HOST / "heap_replay", "step", HOST / "heap_bench.so", trace, str(calls)]
    return list(map(int, subprocess.check_output(words, text=True).split()))


def deepest_heap(call, levels):
    """A heap in which the last call changes a fork of each level, and all ways are as long as they get.

    The largest block in the tree lies at the last side of each fork, but that there must be room for what growth asks
    for, and for four blocks that are loose. To join, it leaves the tree, and one that is loose comes into it; to grow,
    another block of the tree grows as well. To trim, it is the last one, and goes back to the owner; so it does when
    little else is taken. A search finds loose blocks that are large enough, but stand behind it. Of a block that is cut
    little is left, which goes into a list.
    """
    heap, loose, freed, pages, most = Units(), [], [], 8 ** levels, 7000 if levels < 5 else 56000
    searches = call in LAST_CALLS and call != "wild"

    def leave_loose(first, others):
        for units in (first, others, others, others):
            loose.append(heap.take(units))
            heap.take(100)
    if call == "wild":
        larger = heap.take(13000)
        heap.take(100)
    if not searches:
        leave_loose(400, 258)
    if call in ("trim", "little"):
        while call == "little" and heap.at < pages // 4 * Units.PAGE - most:
            freed.append(heap.take(most))
            heap.take(3)
        heap.fill(pages // 4 * Units.PAGE, most)
        largest, between = heap.take(pages // 8 * Units.PAGE), heap.take(100)
    else:
        last = pages // 2 - 1 if call == "grow" else pages - (81 if searches else 49)
        largest = heap.take_up_to(last, LARGEST.get(call, 450), most)
        between, behind = heap.take(100), heap.take(300 if call == "grow" else 20)
        heap.take(100)
    if searches:
        leave_loose(1925, 1925)
    if call == "wild":
        heap.free(larger)
    if call == "grow":
        heap.free(behind)
    heap.free(*freed, largest, *loose)
    if call == "wild":
        heap.take(13000)
    if call in LAST_CALLS:
        heap.take(*LAST_CALLS[call])
    else:
        heap.free(between)
    return "\n".join(heap.lines) + "\n"


@pytest.mark.parametrize("call, most, each", BOUNDS)
@pytest.mark.parametrize("levels", [4, 5, 6])
def test_the_longest_calls_are_those_that_walk_the_tree(tmp_path, call, most, each, levels):
    """heap.c's bounds, in 16 MiB, 128 MiB and 1 GiB; what the heap grows for adds a level."""
    trace = tmp_path / "deep.trace"
    trace.write_text(deepest_heap(call, levels))
    calls = trace.read_text().count("\n")
    before, with_last = stepped(trace, calls - 1), stepped(trace, calls)
    took, bound = with_last[1] - before[1], most + each * (levels + (call == "wild"))
    assert with_last[0] == calls and bound - 40 <= took <= bound, took


@pytest.mark.parametrize("levels", [4, 5, 6])
def test_the_last_free_forgets_all_others(tmp_path, levels):
    """It lies between two large free blocks; what waits in bins reaches up to the top."""
    heap = Units()
    before, last, behind, between = heap.take(300), heap.take(3), heap.take(300), []
    loose = [between.append(heap.take(3)) or heap.take(260) for _ in range(6)]
    heap.fill(8 ** levels * Units.PAGE - 20000, 7000 if levels < 5 else 56000)
    filled = range(loose[-1] + 1, heap.taken + 1)
    heap.free(*[heap.take(5) for _ in range(20)])
    heap.free(before, behind, *loose, *between, *filled)
    trace = tmp_path / "last.trace"
    trace.write_text("\n".join([*heap.lines, f"f {heap.taken - last}"]) + "\n")
    took = stepped(trace, len(heap.lines) + 1)[1] - stepped(trace, len(heap.lines))[1]
    assert -40 <= took - (560 + 14 * levels) <= 0, took


@pytest.mark.parametrize("pages, sizes, free, most, before, least", [
    (64, range(2, 70), 90, 500, 0, 610), (192, range(3, 70, 4), 90, 500, 0, 610),
    (32730, range(3, 70, 4), 90, 56000, 40, 610), (192, range(2, 70), 300, 500, 0, 300)],
    ids=["and a level is added", "behind three empty bins", "behind those, a level and a page of records are added",
         "and the first is next to too much"])
def test_growth_merges_one_block_at_most(tmp_path, pages, sizes, free, most, before, least):
    """Binned blocks, each between two that are free; then the heap grows to more than so many pages."""
    heap, beside, binned = Units(), [], []
    heap.take(300)
    for units in sizes:
        heap.take(2)
        beside.append(heap.take(free))
        binned.append(heap.take(units))
        beside.append(heap.take(free))
    heap.take(2)
    heap.fill(pages * Units.PAGE - 400, most)
    last = heap.take(200)
    heap.take(2)
    heap.free(*beside, *binned)
    for _ in range(before):
        heap.take(190)
    heap.free(last)
    heap.take(200)
    heap.take(190)
    trace = tmp_path / "growth.trace"
    trace.write_text("\n".join(heap.lines) + "\n")
    longest = stepped(trace, len(heap.lines))[2]
    assert least <= longest <= 692, longest


@pytest.mark.parametrize("mib", [1, 8, 64])
def test_a_large_step_takes_little_more(tmp_path, mib):
    """Beside what growth takes, ten instructions for each record, which is 256 KiB."""
    trace = tmp_path / "large.trace"
    trace.write_text(f"a 100\na {mib << 20}\n")
    assert stepped(trace, 2)[2] <= 350 + 10 * 4 * mib


@pytest.mark.parametrize("traces, least", [(RECORDED, 0.88), (MADE_UP[:3], 0.84)],
                         ids=["recorded", "kernels"])
def test_the_heap_holds_little_more_than_is_asked_for(tmp_path, traces, least):
    parts = []
    for trace in traces:
        _, peak, footprint = map(int, check(unpacked(trace, tmp_path)).stdout.split())
        parts.append(peak / footprint)
    assert statistics.geometric_mean(parts) >= least, parts


@pytest.mark.parametrize("text", ["", "b 1\n", "a 0\n", "f 0\n", "a 8\nf 1\n", "a 8\nf 0\nf 0\n",
                                  "a 8\nf 0\nr 0 9\n", "a 8\nr 0 0\n", "a x\n"])
def test_what_is_no_trace_is_refused(tmp_path, text):
    trace = tmp_path / "odd.trace"
    trace.write_text(text)
    done = check(trace)
    assert done.returncode == 2 and f"no trace {trace}" in done.stdout


def test_an_absent_heap_is_named():
    done = check("kernel", "no-such-heap.so")
    assert done.returncode == 3 and "there is no no-such-heap.so here" in done.stdout
