# SPDX-License-Identifier: MIT
"""tables.py - x86 page tables, written from the manual (SDM 3A chapter 4), not from the kernel.

Control registers decide the shape (4.1.1): 32-bit, PAE, 4-level, 5-level, or no paging at all. A
table is an array of entries; an entry that is present either ends the walk (a leaf: level 1, or PS
set where large pages exist) or points to the next table. What a page allows is decided by all
levels together (4.6): writing and user access must be allowed by each, and execute-disable on any
one forbids execution.
"""
import struct
from dataclasses import dataclass

from memview.physical import PAGE, Unreadable

PRESENT, WRITE, USER, PWT, PCD, ACCESSED, DIRTY, LARGE, GLOBAL = (1 << i for i in range(9))
PAT_4K, PAT_LARGE, NX = 1 << 7, 1 << 12, 1 << 63
CR0_PG, CR4_PSE, CR4_PAE, CR4_PGE, CR4_LA57 = 1 << 31, 1 << 4, 1 << 5, 1 << 7, 1 << 12
EFER_LMA, EFER_NXE = 1 << 10, 1 << 11
CACHES = {0: "uc", 1: "wc", 4: "wt", 5: "wp", 6: "wb", 7: "uc"}  # SDM 3A table 12-10; 7 is UC-
TABLES_MAX = 200_000  # a dump whose tables point in circles must not keep us for ever


@dataclass(frozen=True)
class Registers:
    cr3: int
    cr4: int = CR4_PAE
    efer: int = EFER_LMA | EFER_NXE
    cr0: int = 0x80010033
    pat: int = 0x0007040100070406  # WB WT UC- UC WC WT UC- UC
    phys_bits: int = 52


@dataclass(frozen=True)
class Step:
    level: int
    entry_pa: int
    entry: int


@dataclass(frozen=True)
class Leaf:
    """One page as the CPU sees it: effective permissions, cache type of the leaf."""
    va: int
    size: int
    pa: int
    level: int
    entry_pa: int
    write: bool
    exec: bool
    user: bool
    glob: bool
    accessed: bool
    dirty: bool
    cache: str

    @property
    def perm(self):
        return "r" + "".join(letter for letter, is_set in zip("wxugad", (
            self.write, self.exec, self.user, self.glob, self.accessed, self.dirty)) if is_set)


@dataclass(frozen=True)
class Table:
    """A page table on the way down: `va` is the first address it serves."""
    pa: int
    level: int
    va: int
    entry_pa: int  # of the entry that points here; -1 for the root


@dataclass(frozen=True)
class Walk:
    va: int
    canonical: bool
    steps: tuple
    leaf: Leaf = None
    reserved: bool = False

    @property
    def pa(self):
        return self.leaf.pa + self.va % self.leaf.size if self.leaf else None


class PageTables:
    def __init__(self, memory, registers):
        self.memory, self.registers = memory, registers
        self._shape()
        self._cache = {}

    def _shape(self):
        r = self.registers
        self.on = bool(r.cr0 & CR0_PG)
        self.long = bool(r.efer & EFER_LMA)
        self.pae = self.long or bool(r.cr4 & CR4_PAE)
        self.entry_bytes = 8 if self.pae else 4
        self.index_bits = 9 if self.pae else 10
        self.levels = (5 if r.cr4 & CR4_LA57 else 4) if self.long else 3 if self.pae else 2
        self.va_bits = 12 + 9 * self.levels if self.long else 32
        self.nx = self.pae and bool(r.efer & EFER_NXE)
        self.word = 64 if self.long else 32

    @property
    def mode(self):
        if not self.on:
            return "no paging"
        return {2: "32-bit, 2 levels", 3: "PAE, 3 levels", 4: "4 levels", 5: "5 levels"}[self.levels]

    @property
    def root(self):
        return self.registers.cr3 & ((1 << 52) - PAGE if self.long else 0xffffffe0 if self.pae
                                     else 0xfffff000)

    # ---- geometry ----

    def shift(self, level):
        return 12 + self.index_bits * (level - 1)

    def entries(self, level):
        return 4 if self.levels == 3 and level == 3 else 1 << self.index_bits

    def canonical(self, va):
        high = va >> (self.va_bits - 1)
        return high == 0 or high == (1 << (self.word - self.va_bits + 1)) - 1

    def widen(self, va):
        """Bits above the translated ones copy the highest of those (SDM 1 3.3.7.1)."""
        sign = va >> (self.va_bits - 1) & 1
        return va | (-(1 << self.va_bits) & (1 << self.word) - 1 if sign and self.long else 0)

    # ---- entries ----

    def read_table(self, pa, level):
        if pa not in self._cache:
            count = self.entries(level)
            data = self.memory.read(pa, count * self.entry_bytes)
            self._cache[pa] = struct.unpack(f"<{count}{'Q' if self.pae else 'I'}", data)
        return self._cache[pa]

    def is_leaf(self, level, entry):
        if level == 1:
            return True
        if not entry & LARGE or level > 3 or (self.levels == 3 and level == 3):
            return False
        return self.long or self.pae or bool(self.registers.cr4 & CR4_PSE)

    def next_table(self, entry):
        return entry & ((1 << 52) - PAGE if self.pae else 0xfffff000)

    def leaf_pa(self, level, entry):
        size = 1 << self.shift(level)
        if self.pae:
            return entry & ((1 << 52) - 1) & ~(size - 1)
        high = (entry >> 13 & 0xff) << 32 if level == 2 else 0  # PSE-36, table 4-4
        return entry & ~(size - 1) | high

    def reserved(self, level, entry):
        """Is a bit set that must be zero (tables 4-4 to 4-20)?"""
        r = self.registers
        if not self.pae:
            if level == 1 or not self.is_leaf(level, entry):
                return False
            return bool(entry & 1 << 21) or self.leaf_pa(level, entry) >> min(r.phys_bits, 40) != 0
        if (entry & (1 << 52) - 1) >> max(r.phys_bits, 12) or (entry & NX and not self.nx):
            return True
        if level > 3 and entry & LARGE:
            return True
        if level == 1 or not self.is_leaf(level, entry):
            return False
        return bool(entry & (1 << self.shift(level)) - (1 << 13) & (1 << 52) - 1)

    def cache_of(self, level, entry):
        pat = bool(entry & (PAT_4K if level == 1 else PAT_LARGE))
        index = pat << 2 | bool(entry & PCD) << 1 | bool(entry & PWT)
        return CACHES.get(self.registers.pat >> 8 * index & 7, "?")

    def _leaf(self, va, level, entry, entry_pa, rights):
        write, user, execute = rights
        return Leaf(va, 1 << self.shift(level), self.leaf_pa(level, entry), level, entry_pa,
                    write, execute, user,
                    bool(entry & GLOBAL) and bool(self.registers.cr4 & CR4_PGE),
                    bool(entry & ACCESSED), bool(entry & DIRTY), self.cache_of(level, entry))

    def narrow(self, rights, level, entry):
        if self.levels == 3 and level == 3:  # PAE's top level has no rights (4.4.1)
            return rights
        write, user, execute = rights
        return (write and bool(entry & WRITE), user and bool(entry & USER),
                execute and not (self.nx and entry & NX))

    # ---- one address ----

    def walk(self, va):
        if not self.on:
            leaf = Leaf(va & -PAGE, PAGE, va & -PAGE, 1, -1, *(True,) * 3, *(False,) * 3, "wb")
            return Walk(va, True, (), leaf)
        if not self.canonical(va):
            return Walk(va, False, ())
        table, rights, steps = self.root, (True, True, True), []
        for level in range(self.levels, 0, -1):
            index = va >> self.shift(level) & self.entries(level) - 1
            entry = self.read_table(table, level)[index]
            steps.append(Step(level, table + index * self.entry_bytes, entry))
            if not entry & PRESENT:
                break
            if self.reserved(level, entry):
                return Walk(va, True, tuple(steps), reserved=True)
            rights = self.narrow(rights, level, entry)
            if self.is_leaf(level, entry):
                page = va & -(1 << self.shift(level)) & (1 << self.word) - 1
                return Walk(va, True, tuple(steps),
                            self._leaf(page, level, entry, steps[-1].entry_pa, rights))
            table = self.next_table(entry)
        return Walk(va, True, tuple(steps))

    def translate(self, va):
        return self.walk(va).pa

    # ---- all of them ----

    def visit(self):
        """Every table and every leaf below the root, depth first, in address order."""
        if not self.on:
            return
        self._seen = 0
        yield Table(self.root, self.levels, 0, -1)
        yield from self._visit(self.root, self.levels, 0, (True, True, True))

    def _visit(self, table, level, base, rights):
        self._seen += 1
        if self._seen > TABLES_MAX:
            raise Unreadable(table, PAGE)
        for index, entry in enumerate(self.read_table(table, level)):
            if not entry & PRESENT or self.reserved(level, entry):
                continue
            va = self.widen(base + (index << self.shift(level)))
            entry_pa = table + index * self.entry_bytes
            now = self.narrow(rights, level, entry)
            if self.is_leaf(level, entry):
                yield self._leaf(va, level, entry, entry_pa, now)
                continue
            below = self.next_table(entry)
            yield Table(below, level - 1, va, entry_pa)
            yield from self._visit(below, level - 1, va, now)

    def leaves(self):
        return (found for found in self.visit() if isinstance(found, Leaf))

    def tables(self):
        return (found for found in self.visit() if isinstance(found, Table))


def merge(leaves, touched=True, apart=lambda leaf: None):
    """Neighbours that continue each other become one (first leaf, bytes); `touched`: accessed and
    dirty count as differences; `apart`: another one that does."""
    def key(leaf):
        same = (leaf.size, leaf.write, leaf.exec, leaf.user, leaf.glob, leaf.cache, apart(leaf))
        return same + ((leaf.accessed, leaf.dirty) if touched else ())

    stretches = []
    for leaf in leaves:
        if stretches:
            first, size = stretches[-1]
            if (first.va + size, first.pa + size, key(first)) == (leaf.va, leaf.pa, key(leaf)):
                stretches[-1] = (first, size + leaf.size)
                continue
        stretches.append((leaf, leaf.size))
    return stretches
