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
    waiting: bool   # free, in a bin
    caller: int     # 0: not recorded


# ---- what the heap looks like: include/mem/heap.h, src/mem/heap_block.h and heap_callers.h ------
LIVE, ALIGNED, BINNED, FREE, DAMAGED = range(5)  # enum heap_state
HEADER, UNIT, TAIL, NUMBERS, SEALED = 8, 16, 4, 256, 1 << 64


@dataclass(frozen=True)
class Tile:
    """A block as it stands: its bytes with the header, its state, is the block before it free?"""
    bytes: int
    state: int
    prev: bool
    block: Block


class Format:
    """A header is 8 bytes: (fields + state * 2^40) * multiplier - 16 * offset of the payload, modulo
    2^64; the multiplier has eight zero bits at its end. The fields: prev:1 caller:24 size:14 long:1. A
    long block has more bits of size for the caller. On x86_64 they are all 24, and the caller is in its
    last four bytes, behind a canary. On i386 they are the upper 16, and the lower 8 tell which word of
    the table before the first block's header is the caller. A free block's fields are its units of 16
    bytes. The wild memory at the end has no header."""

    def __init__(self, view, bits):
        self.view, self.has_tail = view, bits == 64
        self.wild, self.wild_bytes = view.wild, view.wild_bytes
        self.zero, self.inverse = view.zero, view.inverse
        self.caller_base = view.caller_base

    @staticmethod
    def window(view):
        """(start, end): all that may ever be the heap's."""
        return view.limit - view.stats.window, view.limit

    @staticmethod
    def held(view):
        """(start, top): what should be mapped."""
        return view.low, view.top

    def first(self):
        return self.view.first - HEADER

    def last(self):
        return self.view.top - HEADER

    def read(self, memory, at):
        payload = at + HEADER
        if at == self.wild:
            size = self.wild_bytes
            return Tile(size, FREE, False, Block(payload, size - HEADER, 0, False, False, 0))
        word = int.from_bytes(memory.read(at, HEADER), "little")
        opened = (word + (payload - self.zero) * UNIT) * self.inverse % SEALED
        state, fields = opened >> 48, opened >> 8 & (1 << 40) - 1
        if opened & 0xff or state >= DAMAGED:
            return Tile(0, DAMAGED, False, None)
        if state == FREE:
            size = fields * UNIT
            return Tile(size, FREE, False, Block(payload, size - HEADER, 0, False, False, 0))
        return self._used(memory, payload, state, fields)

    def _used(self, memory, payload, state, fields):
        is_long, low = fields >> 39, fields >> 1 & 0xffffff
        high = low >> (0 if self.has_tail else 8) if is_long else 0
        asked = fields >> 25 & 0x3fff | high << 14
        tail = TAIL if is_long and self.has_tail else 0
        size = (asked + tail + HEADER + UNIT - 1) // UNIT * UNIT
        live = state in (LIVE, ALIGNED)
        if live and is_long:
            low = self._long_caller(memory, payload - HEADER + size, low & 0xff)
        caller = self.caller_base + low if live and low else 0
        block = Block(payload, size - HEADER, asked if live else 0, live, state == BINNED, caller)
        return Tile(size, state, bool(fields & 1), block)

    def _long_caller(self, memory, end, number):
        """The lower bits of who asked for the block that ends there; 0: not known."""
        if self.has_tail:
            return int.from_bytes(memory.read(end - TAIL, TAIL), "little") >> 8
        at = self.view.first - UNIT - 4 * (NUMBERS - number)
        low = int.from_bytes(memory.read(at, 4), "little")
        return low if number and low < 1 << 24 else 0


def heap_window(kernel):
    """(start, end) of the kernel's heap; zeroes before there is one."""
    view = kernel.view.heap
    return Format.window(view) if view.start else (0, 0)


# ---- the walk ---------------------------------------------------------------------------------
class Heap:
    """blocks, and `damage`: (address, words) for everything that cannot be."""

    def __init__(self, kernel):
        self.blocks, self.damage = [], []
        self.start = self.top = 0
        self.limit = heap_window(kernel)[1]
        self.view = kernel.view.heap
        if not kernel.has_heap:
            return
        self.start, self.top = Format.held(self.view)
        self.format = Format(self.view, kernel.image.bits)
        try:
            self._walk(kernel)
        except Unreadable as error:
            self.damage.append((error.address, "the heap cannot be read here"))
        if not self.damage and self.view.stats.mapped != self.mapped:
            self.damage.append((self.start, f"stats.mapped is {self.view.stats.mapped}, and "
                                            f"{self.mapped} bytes are held"))

    def _walk(self, memory):
        at, last, before = self.format.first(), self.format.last(), None
        while at < last:
            tile = self.format.read(memory, at)
            if tile.state == DAMAGED:
                self.damage.append((at, "a header that is none"))
                return
            self._compare(at, tile, before)
            if not tile.bytes or at + tile.bytes > last:
                self.damage.append((at, "a block reaches behind the heap"))
                return
            self.blocks.append(tile.block)
            at, before = at + tile.bytes, tile

    def _compare(self, at, tile, before):
        """With the block before: PREV says whether it is free, and two free ones would be one."""
        after_free = before is not None and before.state == FREE
        if tile.state == FREE and after_free:
            self.damage.append((at, "two free blocks side by side"))
        elif tile.state != FREE and tile.prev != after_free:
            self.damage.append((at, "a header disagrees with the block before it"))

    def holds(self, va):
        """Should this address of the window be mapped?"""
        return self.start <= va < self.top

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
    def waiting(self):
        return [b for b in self.blocks if b.waiting]

    @property
    def used(self):
        return sum(b.size for b in self.live)

    @property
    def free(self):
        return sum(b.size for b in self.dead)

    @property
    def largest(self):
        return max((b.size for b in self.dead), default=0)
