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


PLACE = 512  # units of 16 bytes: two pages, so that no two large blocks end in the same one


def beside(place, depth):
    """All places that differ in just one of the numbers by which forks tell their sides: bit 13, then two at a time."""
    digits = [1, *(3 << bit for bit in range(1, 2 * depth - 1, 2))]
    others = {place & ~mask | side for mask in digits for side in (0, mask, mask & -mask, mask & mask << 1)}
    return {other for other in others - {place} if other >= 8}


def deepest_heap(call, depth):
    """A heap in which the last call walks whole ways, and each fork on them knows another largest block then.

    The block that leaves the tree came second, so that its own fork stands far up, and must be moved. To join, what
    is freed grows a block in the tree, and the loose one comes into it; else a block of the tree grows as well.
    """
    end, middle = (1 << 2 * depth - 1) - 1, 1 << 2 * depth - 2
    leaves, far = {"allocate": (end, 8), "align": (end, 8), "small": (8, end)}.get(call, (middle - 1, middle))
    size = dict.fromkeys(beside(leaves, depth) | {far}, 300)
    if far == middle:
        size |= dict.fromkeys(beside(end if call == "join" else far, depth) - {leaves}, 300)
    if call == "join":
        size[end] = 450
    size[leaves] = {"free": 400, "join": 400, "merge": PLACE - 69, "small": 400}.get(call, 450)
    lines, at, name = ["a 61304"], 8, {}

    def take(units):
        lines.append(f"a {16 * units - (8 if units < 1024 else 12)}")
        return len(lines) - 1
    for place in sorted(size):
        while at < place:
            step = min(place - at, 8192)
            take(step * PLACE)
            at += step
        name[place], behind = take(size[place]), take(PLACE - size[place])
        if place == leaves:
            between = behind
        at += 1
    loose, _ = take(258), take(80)
    order = [far, leaves, *sorted(size.keys() - {far, leaves})]
    if call == "join":
        order = [end - 1, leaves, *sorted(size.keys() - {end - 1, leaves, far, end})]
        loose = name[end]

    def free(block):
        return f"f {len(lines) - 1 - block}"  # blocks are named from the last one on
    in_bins = [take(68) for _ in range(1600)] if call == "merge" else []
    frees = [free(block) for block in [*(name[place] for place in order), loose]]
    last = {"allocate": ["a 6392"], "align": ["a 4312 512"], "small": ["a 632"]}.get(call, [free(between)])
    return "\n".join([*lines, *frees, *last, *map(free, in_bins)]) + "\n"


@pytest.mark.parametrize("call, depth, most", [
    ("free", 7, 385 + 37 * 7), ("join", 7, 405 + 62 * 7), ("merge", 5, 465 + 37 * 5),
    ("allocate", 7, 340 + 35 * 7), ("small", 7, 475 + 33 * 7), ("align", 7, 445 + 35 * 7)])
def test_the_longest_calls_are_those_that_walk_the_tree(tmp_path, call, depth, most):
    """heap.c's bounds, in 64 and 4 MiB: every call stepped; the last is the longest, or one of those that fill bins."""
    trace = tmp_path / "deep.trace"
    trace.write_text(deepest_heap(call, depth))
    words = [HOST / "heap_replay", "step", HOST / "heap_bench.so", trace, "100000"]
    calls, _, longest = map(int, subprocess.check_output(words, text=True).split())
    assert calls == trace.read_text().count("\n") and most - 40 <= longest <= most, longest


@pytest.mark.parametrize("traces, least", [(RECORDED, 0.88), (MADE_UP[:3], 0.86)],
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
