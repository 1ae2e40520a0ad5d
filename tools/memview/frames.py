# SPDX-License-Identifier: MIT
"""frames.py - what the kernel believes of every physical frame: boot map and bitmaps.

A frame is absent (no usable RAM), reserved since boot (the boot map names its owner), free, or held
(given out while the kernel runs). The boot map decides the first two; of the rest, one bit a frame
says which. The bits lie in "spans" of a dense index (src/mem/pmm_layout.c): a span is blocks of 512
frames side by side. A block whose bit in the tree `whole` is set is wholly free, and its leaf is
not yet written unless it lies in the written part of the hot span; so a leaf may be garbage.
Caches in front of the allocator hold frames whose bits say free: bits are the truth.
"""
import bisect
from dataclasses import dataclass

from memview.physical import PAGE

BLOCK = 512  # PMM_BLOCK of include/mem/pmm.h
FREE, HELD, ABSENT = "free", "held", "absent"


@dataclass(frozen=True)
class Run:
    """Frames [first, end) of which the same is believed: `state` is FREE, HELD or an owner since
    boot; `tag` is the owner of held frames, where it is known."""
    first: int
    end: int
    state: str
    tag: str = ""

    @property
    def frames(self):
        return self.end - self.first

    @property
    def reserved(self):
        return self.state not in (FREE, HELD, ABSENT)


def boot_ranges(kernel):
    """The canonical map: (start, end, kind, owner value, owner name)."""
    view = kernel.view.map
    for i in range(view.count):
        r = view.points("ranges", i)
        yield r.start, r.last + 1, kernel.kinds[r.kind], r.owner, kernel.owners[r.owner]


class Bits:
    """One bit a frame, 1 = free, behind the dense index."""

    def __init__(self, kernel):
        self.pmm = pmm = kernel.view.pmm
        self.kernel = kernel
        self.word = pmm.element_bytes("leaf")
        self.spans = []
        for i in range(pmm.span_count):
            s = pmm.points("spans", i)
            self.spans.append((s.frame, s.index, s.frames))
        self.hot = pmm.hot.index
        self.written = pmm.written
        levels = pmm.whole.level
        self.whole = int.from_bytes(kernel.read(levels[0], (pmm.blocks + 7) // 8), "little")
        self.leaf, self.tags = pmm.leaf, pmm.tags
        self._blocks = {}

    def _untouched(self, block):
        wrapped = (block * BLOCK - self.hot) % (1 << 8 * self.word)
        return self.whole >> block & 1 and wrapped >= self.written

    def block(self, block):
        """The 512 bits of a block of the index."""
        if block not in self._blocks:
            if self._untouched(block):
                self._blocks[block] = (1 << BLOCK) - 1
            else:
                data = self.kernel.read(self.leaf + block * BLOCK // 8, BLOCK // 8)
                self._blocks[block] = int.from_bytes(data, "little")
        return self._blocks[block]

    def index(self, frame):
        at = bisect.bisect_right(self.spans, (frame, 1 << 64, 0)) - 1
        if at < 0 or frame - self.spans[at][0] >= self.spans[at][2]:
            return None
        return frame - self.spans[at][0] + self.spans[at][1]

    def stretches(self, first, end):
        """(first, end, free) of [first, end), which lies in spans."""
        at = first
        while at < end:
            index = self.index(at)
            if index is None:
                yield at, end, False
                return
            shift = index % BLOCK
            bits = self.block(index // BLOCK) >> shift
            free = bool(bits & 1)
            other = ~bits if free else bits
            length = min((other & -other).bit_length() - 1 if other & (1 << BLOCK - shift) - 1
                         else BLOCK - shift, BLOCK - shift, end - at)
            yield at, at + length, free
            at += length

    def word_address(self, frame):
        """Virtual address and bit of a frame's bit."""
        index = self.index(frame)
        bits = 8 * self.word
        return self.leaf + index // bits * self.word, index % bits

    def tag_runs(self, first, end):
        """(first, end, owner value) of frames that carry tags."""
        index = self.index(first)
        tags = self.kernel.read(self.tags + index, end - first)
        start = 0
        for i in range(1, len(tags) + 1):
            if i == len(tags) or tags[i] != tags[start]:
                yield first + start, first + i, tags[start]
                start = i


class Frames:
    """Every run of RAM, in order."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.bits = Bits(kernel) if kernel.has_frames else None
        limit = kernel.view.map.limit or 1 << 64
        self.limit = limit // PAGE
        self.runs, self.above_limit = [], 0
        for start, end, kind, owner, name in boot_ranges(kernel) if kernel.has_map else ():
            if kind == "usable":
                self.above_limit += max(0, end - max(start, limit)) // PAGE
                self._add(start // PAGE, min(end, limit) // PAGE, owner, name)
        self.starts = [run.first for run in self.runs]

    def _push(self, run):
        if run.first >= run.end:
            return
        last = self.runs[-1] if self.runs else None
        if last and last.end == run.first and (last.state, last.tag) == (run.state, run.tag):
            self.runs[-1] = Run(last.first, run.end, run.state, run.tag)
        else:
            self.runs.append(run)

    def _add(self, first, end, owner, name):
        if 0 < owner < self.kernel.reserved_end:
            self._push(Run(first, end, name))
        elif not self.bits:
            self._push(Run(first, end, HELD if owner else FREE, name if owner else ""))
        else:
            for a, b, free in self.bits.stretches(first, end):
                self._push_bits(a, b, free)

    def _push_bits(self, first, end, free):
        if free or not self.bits.tags:
            self._push(Run(first, end, FREE if free else HELD))
            return
        for a, b, tag in self.bits.tag_runs(first, end):
            self._push(Run(a, b, HELD, self.kernel.owners.get(tag, "?")))

    def at(self, frame):
        """The run that holds the frame; an absent one for what is no RAM."""
        i = bisect.bisect_right(self.starts, frame) - 1
        if i >= 0 and frame < self.runs[i].end:
            return self.runs[i]
        return Run(frame, frame + 1, ABSENT)

    def count(self, state=None):
        return sum(run.frames for run in self.runs if state is None or run.state == state)

    @property
    def total(self):
        return self.count()

    @property
    def free(self):
        return self.count(FREE)

    @property
    def held(self):
        return self.count(HELD)

    @property
    def reserved(self):
        return self.total - self.free - self.held

    @property
    def end(self):
        return self.runs[-1].end if self.runs else 0

    def free_runs(self):
        return [run for run in self.runs if run.state == FREE]

    def by_order(self, orders=11):
        """Free aligned blocks of 2^order frames, greedy: the largest that fits, from below."""
        counts = [0] * orders
        for run in self.free_runs():
            at = run.first
            while at < run.end:
                order = min((at & -at).bit_length() - 1 if at else orders - 1, orders - 1)
                while at + (1 << order) > run.end:
                    order -= 1
                counts[order] += 1
                at += 1 << order
        return counts

    # ---- the ledger: what the allocator has counted ----

    def ledger(self):
        """Owner name -> frames, as the allocator's own counters say."""
        pmm, owners = self.kernel.view.pmm, self.kernel.owners
        word = 1 << 8 * self.bits.word
        counts = {name: pmm.at_boot[v] if v < self.kernel.reserved_end else pmm.held[v]
                  for v, name in owners.items() if v}
        cache = pmm.points("caches") if pmm.caches else None
        while cache:
            for value, name in owners.items():
                change = cache.held[value]
                if value >= self.kernel.reserved_end:
                    counts[name] += change - word if change >= word // 2 else change
            cache = cache.points("next") if cache.next else None
        return {name: count for name, count in counts.items() if count}
