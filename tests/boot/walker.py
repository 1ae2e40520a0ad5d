# SPDX-License-Identifier: MIT
"""walker.py - reads page tables out of a dump of physical memory, as the hardware would.

Written from the manual (SDM 3A 4.3 for two levels, 4.5 for four, 4.6 for what levels allow together,
4.9 and 12.12 for cache types) and from nothing else: it shares no line and no constant with the
kernel, so that the two can be witnesses of each other. It knows what a CPU knows: CR0, CR3, CR4,
EFER, the PAT, the width of physical addresses, and memory.

`leaves()` gives every page in address order; `merge()` puts neighbours together. A page:

    va, length, pa     numbers; va with its sign bits, as a pointer holds it
    perm               letters of "rwxug": what all levels together allow
    cache              "wb" "wt" "uc" "uc-" "wc" "wp": what the PAT entry says
    accessed, dirty    of the leaf
    own                the leaf entry itself, whatever the levels above it take away
"""
import struct
from dataclasses import dataclass

P, W, U, PWT, PCD, A, D, PS, G = (1 << bit for bit in range(9))
NX = 1 << 63
ADDRESS64 = (1 << 52) - (1 << 12)

PAT_POWER_UP = 0x0007040600070406
CACHE_TYPES = {0: "uc", 1: "wc", 4: "wt", 5: "wp", 6: "wb", 7: "uc-"}


class BadTables(Exception):
    """An entry that would fault: a reserved bit, or a table outside of memory."""


@dataclass(frozen=True)
class Page:
    va: int
    length: int
    pa: int
    perm: str
    cache: str
    accessed: bool
    dirty: bool
    own: int
    page: int  # bytes of one page: with `length` the same until merged


@dataclass
class Cpu:
    """The registers that decide. The width is CPUID's; `pat` None: this CPU has no PAT."""
    cr3: int
    cr0: int = 1 << 31 | 1 << 16
    cr4: int = 0
    efer: int = 0
    phys_bits: int = 32
    pat: int | None = PAT_POWER_UP
    gib_pages: bool = False

    @property
    def long_mode(self):
        return bool(self.efer >> 10 & 1)

    @property
    def nx(self):
        return self.long_mode and bool(self.efer >> 11 & 1)

    @property
    def pse(self):
        return bool(self.cr4 >> 4 & 1)

    @property
    def pge(self):
        return bool(self.cr4 >> 7 & 1)

    @property
    def levels(self):
        return 4 if self.long_mode else 2


class Tables:
    """Page tables in `memory`, physical from address 0; anything that can be sliced."""

    def __init__(self, cpu, memory):
        self.cpu, self.memory = cpu, memory
        self.size = 8 if cpu.long_mode else 4
        self.bits = 9 if cpu.long_mode else 10
        self.entries = 1 << self.bits
        self.format = f"<{self.entries}{'Q' if cpu.long_mode else 'I'}"
        self.seen = set()  # frames that were read as tables
        self.changed = {}  # physical address of an entry -> what it is pretended to hold

    def load(self, table):
        """All entries of a table."""
        if table + 4096 > len(self.memory):
            raise BadTables(f"a table at {table:#x}, where there is no memory")
        entries = list(struct.unpack(self.format, self.memory[table:table + 4096]))
        for at, entry in self.changed.items():
            if table <= at < table + 4096:
                entries[(at - table) // self.size] = entry
        return entries

    def shift(self, level):
        return 12 + (level - 1) * self.bits

    def pointer(self, va):
        """With the sign bits that four levels want."""
        return va | 0xFFFF << 48 if self.cpu.long_mode and va >> 47 & 1 else va

    def is_leaf(self, level, entry):
        if level == 1:
            return True
        if level == 4 or not entry & PS:
            return False
        return self.cpu.long_mode or self.cpu.pse

    def frame(self, level, entry, leaf):
        """The physical address in an entry, bits below the page cleared."""
        address = entry & ADDRESS64 if self.cpu.long_mode else entry & 0xFFFFF000
        return address & ~((1 << self.shift(level)) - 1) if leaf else address

    def reserved(self, level, entry, leaf):
        """Does a bit that must be zero make this fault (SDM 3A 4.3 table 4-4, 4.5 tables 4-15 on)?"""
        if not self.cpu.long_mode:
            return bool(leaf and level == 2 and entry >> 13 & 0x1FF)
        if (entry & ADDRESS64) >> self.cpu.phys_bits or (entry & NX and not self.cpu.nx):
            return True
        if level == 4:
            return bool(entry & PS)
        if not leaf or level == 1:
            return False
        below = (1 << self.shift(level)) - 1
        return bool(entry & ADDRESS64 & below & ~(1 << 12)) or (level == 3 and not self.cpu.gib_pages)

    def cache(self, level, entry):
        index = bool(entry & PCD) << 1 | bool(entry & PWT)
        if self.cpu.pat is None:
            return CACHE_TYPES[PAT_POWER_UP >> 8 * index & 7]
        index |= (entry >> (7 if level == 1 else 12) & 1) << 2
        return CACHE_TYPES[self.cpu.pat >> 8 * index & 7]

    def perm(self, rights, entry):
        """`rights`: W, U and NX gathered over all levels (4.6)."""
        letters = "r"
        letters += "w" if rights & W else ""
        letters += "" if rights & NX else "x"
        letters += "u" if rights & U else ""
        return letters + ("g" if entry & G and self.cpu.pge else "")

    def gather(self, rights, entry):
        both = rights & entry & (W | U)
        return both | ((rights | entry) & NX if self.cpu.nx else 0)

    def page(self, va, level, entry, rights):
        size = 1 << self.shift(level)
        return Page(va & ~(size - 1), size, self.frame(level, entry, True),
                    self.perm(rights, entry), self.cache(level, entry), bool(entry & A),
                    bool(entry & D), entry, size)

    def steps(self, va):
        """[(level, address of the entry, entry)] on the way to va, as far as it goes."""
        table, out = self.cpu.cr3 & ~0xFFF & (ADDRESS64 | 0xFFF), []
        for level in range(self.cpu.levels, 0, -1):
            index = va >> self.shift(level) & (self.entries - 1)
            entry = self.load(table)[index]
            out.append((level, table + index * self.size, entry))
            leaf = self.is_leaf(level, entry)
            if not entry & P or leaf or self.reserved(level, entry, leaf):
                break
            table = self.frame(level, entry, False)
        return out

    def translate(self, va):
        """The page that va lies on, or None."""
        if self.cpu.long_mode and va >> 47 not in (0, 0x1FFFF):
            return None
        steps = self.steps(va)
        level, _, entry = steps[-1]
        leaf = self.is_leaf(level, entry)
        if not entry & P or not leaf or self.reserved(level, entry, leaf):
            return None
        rights = W | U
        for _, _, each in steps:
            rights = self.gather(rights, each)
        return self.page(va, level, entry, rights)

    def leaves(self):
        """Every page, in the order of addresses; BadTables where the CPU would say so."""
        root = self.cpu.cr3 & ADDRESS64 if self.cpu.long_mode else self.cpu.cr3 & 0xFFFFF000
        yield from self.below(root, self.cpu.levels, 0, W | U)

    def below(self, table, level, base, rights):
        self.seen.add(table)
        for index, entry in enumerate(self.load(table)):
            if not entry & P:
                continue
            va = base | index << self.shift(level)
            leaf = self.is_leaf(level, entry)
            if self.reserved(level, entry, leaf):
                raise BadTables(f"reserved bit in level {level} for {self.pointer(va):#x}: {entry:#x}")
            now = self.gather(rights, entry)
            if leaf:
                yield self.page(self.pointer(va), level, entry, now)
            else:
                yield from self.below(self.frame(level, entry, False), level - 1, va, now)


def merge(pages):
    """Neighbours that continue each other in everything become one (own: of the first)."""
    out = []
    for page in pages:
        if out:
            last = out[-1]
            if (last.va + last.length == page.va and last.pa + last.length == page.pa
                    and (last.perm, last.cache, last.accessed, last.dirty, last.page)
                    == (page.perm, page.cache, page.accessed, page.dirty, page.page)):
                out[-1] = Page(last.va, last.length + page.length, last.pa, last.perm, last.cache,
                               last.accessed, last.dirty, last.own, last.page)
                continue
        out.append(page)
    return out
