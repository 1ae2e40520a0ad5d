# SPDX-License-Identifier: MIT
"""While the kernel starts a frame is refused: it stops with a name, or goes on, and has lost nothing.

Each boot refuses another frame (test-refuse=n), or that and all after it (test-refuse-from=n): page
tables before there is a frame allocator, its own memory, the first pages of the heap, the smoke
test. What was built until then agrees with whose the frames are. `make matrix` refuses every frame.
"""
import re

import harness
import pytest

WORDS = ["test-refuse", "test-refuse-from"]
STEP = {"i386": 17, "x86_64": 3}
STOPS = {r"kernel page tables: MEM_NO_FRAME; (\d+) stand in \1 frames", r"frame allocator: MEM_NO_FRAME \(.*\)",
         r"heap: MEM_NO_FRAME; ledger: exact", r"smoke test"}


def start(arch, word, n):
    return harness.boot(arch, memory="32M", cmdline=f'{word}={n} run="meminfo"')


def tally(run):
    """How many frames were asked for; was one refused?"""
    found = re.search(r"refuse: of (\d+) frames while the kernel started (one|none) was refused", run.text)
    return int(found[1]), found[2] == "one"


def outcome(run):
    """The step at which it stopped, or "started"."""
    if run.passed:
        assert tally(run)[1], run.explain()
        return "started"
    said = re.search(r"twinpage: verdict fail: (.*)", run.text)
    assert run.verdict == "fail" and said, run.explain()
    assert any(re.fullmatch(stop, said[1].strip()) for stop in STOPS), run.explain()
    return said[1].split(":")[0]


def refuse(arch, word, step):
    total, refused = tally(start(arch, word, 100000))
    assert not refused and total > 30
    outcomes = [outcome(start(arch, word, n)) for n in range(1, total + 1, step)]
    assert outcomes[-1] != "started" or step > 1, "the last frame is the heap's"
    assert {"kernel page tables", "heap"} <= set(outcomes)
    assert tally(start(arch, word, total + 1)) == (total, False)


@pytest.mark.parametrize("arch, word", [(a, w) for a in harness.ARCHES for w in WORDS])
def test_some_frames_are_refused(arch, word):
    refuse(arch, word, STEP[arch])


@pytest.mark.matrix
@pytest.mark.parametrize("arch, word", [(a, w) for a in harness.ARCHES for w in WORDS])
def test_every_frame_is_refused(arch, word):
    refuse(arch, word, 1)
