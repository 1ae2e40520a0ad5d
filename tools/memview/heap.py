# SPDX-License-Identifier: MIT
"""heap.py - the blocks of the heap, walked from its first header to its last.

The heap tiles the held part of its window with blocks, each behind a header. Everything that
depends on what a header looks like is in the class Format below, and on nothing else in this file:
when the kernel's heap_block.h changes, that class changes.
"""
from dataclasses import dataclass

from memview.physical import Unreadable


@dataclass(frozen=True)
class Block:
    payload: int
    size: int       # payload bytes as rounded
    requested: int  # 0 for a free block
    live: bool
    caller: int     # 0: not recorded


# ---- what a header looks like: src/mem/heap_block.h -------------------------------------------
class Format:
    """64-bit: 16 bytes, units:36 slack:6 live:1 check:21 | previous:36 caller:28.
    32-bit: 8 bytes, units:25 previous:25 slack:6 live:1 check:7. Units of 16 bytes."""

    UNIT = 16

    def __init__(self, bits):
        self.wide = bits == 64
        self.header = 16 if self.wide else 8

    def window(self, view):
        """(start, top, limit): [start, top) is held, [top, limit) may be."""
        return view.start, view.top, view.limit

    def first(self, view):
        return view.start + self.UNIT - self.header

    def last(self, view):
        return view.top - self.header

    def read(self, view, memory, at):
        """(bytes of the whole block, bytes of the one before or 0, Block, is the header sound)."""
        raw = int.from_bytes(memory.read(at, self.header), "little")
        low, high = raw & (1 << 64) - 1, raw >> 64
        if self.wide:
            units, previous = low & (1 << 36) - 1, high & (1 << 36) - 1
            slack, live, check = low >> 36 & 63, low >> 42 & 1, low >> 43
            caller = view.caller_base + (high >> 36) if live else 0
        else:
            units, previous = low & (1 << 25) - 1, low >> 25 & (1 << 25) - 1
            slack, live, check, caller = low >> 50 & 63, low >> 56 & 1, low >> 57, 0
        size = units * self.UNIT - self.header
        block = Block(at + self.header, size, size - slack if live else 0, bool(live), caller)
        sound = check == self._check(view, at, low, high)
        return units * self.UNIT, previous * self.UNIT, block, sound

    def _check(self, view, at, low, high):
        shift = 43 if self.wide else 57
        x = low & (1 << shift) - 1
        if self.wide:
            x ^= high * 0x9e3779b97f4a7c15
        x ^= at ^ view.secret
        return (x * 0xd6e8feb86659fd93 & (1 << 64) - 1) >> shift


def heap_window(kernel):
    """(start, top, limit) of the kernel's heap; zeroes before there is one."""
    return Format(kernel.image.bits).window(kernel.view.heap)


# ---- the walk ---------------------------------------------------------------------------------
class Heap:
    """blocks, and `damage`: (address, words) for everything that cannot be."""

    def __init__(self, kernel):
        self.blocks, self.damage = [], []
        self.start = self.top = self.limit = 0
        self.view = kernel.view.heap
        if not kernel.has_heap:
            return
        self.format = Format(kernel.image.bits)
        self.start, self.top, self.limit = heap_window(kernel)
        try:
            self._walk(kernel)
        except Unreadable as error:
            self.damage.append((error.address, "the heap cannot be read here"))
        self._compare()

    def _walk(self, memory):
        at, last = self.format.first(self.view), self.format.last(self.view)
        before = 0
        while at < last:
            size, previous, block, sound = self.format.read(self.view, memory, at)
            if not sound:
                self.damage.append((at, "a header does not match its check"))
            if previous != before:
                self.damage.append((at, "a header disagrees with the block before it"))
            if not size or at + size > last:
                self.damage.append((at, "a block reaches behind the heap"))
                return
            if self.blocks and not block.live and not self.blocks[-1].live:
                self.damage.append((at, "two free blocks side by side"))
            self.blocks.append(block)
            at, before = at + size, size

    def _compare(self):
        """The heap's own sums against the walk's."""
        if self.damage:
            return
        stats = self.view.stats
        for name, ours in (("used", self.used), ("free", self.free),
                           ("blocks", len(self.live)), ("mapped", self.mapped)):
            if stats.has(name) and getattr(stats, name) != ours:
                self.damage.append((self.start, f"stats.{name} is {getattr(stats, name)}, "
                                                f"the blocks add up to {ours}"))

    @property
    def mapped(self):
        return self.top - self.start

    @property
    def live(self):
        return [b for b in self.blocks if b.live]

    @property
    def dead(self):
        return [b for b in self.blocks if not b.live]

    @property
    def used(self):
        return sum(b.size for b in self.live)

    @property
    def free(self):
        return sum(b.size for b in self.dead)

    @property
    def largest(self):
        return max((b.size for b in self.dead), default=0)
