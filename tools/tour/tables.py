# SPDX-License-Identifier: MIT
"""tables.py - page tables as the hardware sees them, read from physical memory through Bochs.

A second opinion: nothing of this comes from the kernel's code. Every walk here is compared with
Bochs' own (`page ADDRESS`); when they differ, the tour stops with both.

    i386     PD -> PT                      1024 entries of 32 bits (SDM 3A 4.3)
    x86_64   PML4 -> PDPT -> PD -> PT       512 entries of 64 bits (SDM 3A 4.5)
"""
from dataclasses import dataclass, field

PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, GLOBAL = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
PWT, PCD = 8, 0x10
NX = 1 << 63
LEVELS = {"i386": ("PD", "PT"), "x86_64": ("PML4", "PDPT", "PD", "PT")}


class Format:
    def __init__(self, arch):
        self.arch = arch
        self.levels = LEVELS[arch]
        self.words = 1 if arch == "i386" else 2  # of 32 bits in an entry
        self.index_bits = 10 if arch == "i386" else 9
        self.entries = 1 << self.index_bits
        self.digits = 8 if arch == "i386" else 16

    def shift(self, level):
        """Level 0 is the root."""
        return 12 + (len(self.levels) - 1 - level) * self.index_bits

    def index(self, address, level):
        return address >> self.shift(level) & (self.entries - 1)

    def is_leaf(self, level, entry):
        return level == len(self.levels) - 1 or bool(entry & LARGE)

    def target(self, level, entry):
        """Where an entry points: the next table, or the page."""
        address = entry & 0xFFFFFFFFFF000
        return address & ~((1 << self.shift(level)) - 1) if self.is_leaf(level, entry) else address

    def address(self, prefix, level, index):
        """The lowest address behind an entry; `prefix` is that of the table."""
        value = prefix + (index << self.shift(level))
        return value | 0xFFFF << 48 if self.words == 2 and value >> 47 & 1 else value

    def flags(self, level, entry):
        """The bits that are set, shortest first; what is absent is in no list."""
        leaf = self.is_leaf(level, entry)
        bits = [(PRESENT, "P"), (WRITE, "W"), (USER, "U"), (PWT, "PWT"), (PCD, "PCD"),
                (ACCESSED, "A")]
        if leaf:
            bits += [(DIRTY, "D"), (GLOBAL, "G")]
        else:
            bits += [(GLOBAL, "pin")]
        if leaf and level < len(self.levels) - 1:
            bits.insert(1, (LARGE, "PS"))
        words = [name for bit, name in bits if entry & bit]
        if not entry & PRESENT:
            return "not present, but for a count of ours" if entry else "not present"
        return " ".join(words + (["NX"] if entry & NX else []))


@dataclass
class Step:
    """One level of a walk."""
    level: int
    table: int  # physical address of the table
    index: int
    entry: int


@dataclass
class Run:
    """Neighbouring entries that say the same, one page further each."""
    first: int
    last: int
    entry: int  # of `first`; 0: not present
    child: "Table" = None
    new: bool = False
    on_path: bool = False


@dataclass
class Table:
    level: int
    physical: int
    prefix: int  # the lowest address that it translates
    runs: list = field(default_factory=list)


class Tables:
    """Reads tables while the machine stands still; keep one for each stop."""

    def __init__(self, debugger, fmt):
        self.debugger = debugger
        self.format = fmt
        self.pages = {}

    def page(self, physical):
        if physical not in self.pages:
            words = self.debugger.physical(physical, 1024)
            if self.format.words == 2:
                words = [low | high << 32 for low, high in zip(words[::2], words[1::2])]
            self.pages[physical] = words
        return self.pages[physical]

    def walk(self, root, address):
        """(steps, physical address or None), from memory alone."""
        table, steps = root, []
        for level in range(len(self.format.levels)):
            index = self.format.index(address, level)
            entry = self.page(table)[index]
            steps.append(Step(level, table, index, entry))
            if not entry & PRESENT:
                return steps, None
            table = self.format.target(level, entry)
            if self.format.is_leaf(level, entry):
                return steps, table + (address & ((1 << self.format.shift(level)) - 1))
        raise AssertionError("the last level is always a leaf")

    def runs(self, level, page):
        """The page's entries, neighbours merged."""
        runs = []
        for index, entry in enumerate(page):
            if not entry & PRESENT:
                entry = 0
            if runs and self.follows(level, runs[-1], index, entry):
                runs[-1].last = index
            else:
                runs.append(Run(index, index, entry))
        return runs

    def follows(self, level, run, index, entry):
        if not entry or not run.entry:
            return not entry and not run.entry
        stride = 1 << self.format.shift(level) if self.format.is_leaf(level, entry) else 4096
        expected = self.format.target(level, run.entry) + (index - run.first) * stride
        return self.format.target(level, entry) == expected and \
            self.kind(level, entry) == self.kind(level, run.entry)

    def kind(self, level, entry):
        """What must be equal in a run: all but the address, A, D and the bits that are ours."""
        leaf = self.format.is_leaf(level, entry)
        mask = WRITE | USER | NX | PWT | PCD | GLOBAL | (LARGE if leaf else ACCESSED)
        return leaf, entry & mask

    def tree(self, physical, level, prefix, open_at, path, before):
        """The table and those below it on the way to each address of `open_at`. Entries on the way
        to `path` are marked, and those that were not there in `before` (pages of earlier stops)."""
        fmt, page = self.format, self.page(physical)
        table = Table(level, physical, prefix)
        inside = {fmt.index(a, level) for a in open_at}
        here = fmt.index(path, level) if path is not None else None
        old = before.get(physical, [0] * len(page))
        split = {i for i in inside if page[i] & PRESENT and not fmt.is_leaf(level, page[i])}
        for run in self.cut(self.runs(level, page), split):
            run.new = any(page[i] & PRESENT and not old[i] & PRESENT
                          for i in range(run.first, run.last + 1))
            run.on_path = here is not None and run.first <= here <= run.last and run.entry != 0
            if run.first in split:
                child = [a for a in open_at if fmt.index(a, level) == run.first]
                run.child = self.tree(
                    fmt.target(level, run.entry), level + 1,
                    fmt.address(prefix, level, run.first), child,
                    path if run.on_path else None, before)
            table.runs.append(run)
        return table

    def cut(self, runs, at):
        """Entries whose table is shown stand alone."""
        for run in runs:
            first = run.first
            for index in sorted(i for i in at if run.first <= i <= run.last):
                if first < index:
                    yield self.part(run, first, index - 1)
                yield self.part(run, index, index)
                first = index + 1
            if first <= run.last:
                yield self.part(run, first, run.last)

    def part(self, run, first, last):
        entry = run.entry + (first - run.first) * 4096 if run.entry and first != run.first else run.entry
        return Run(first, last, entry)


def same_way(steps, reached, bochs):
    """Do our walk and the hardware's agree? `bochs` is Debugger.walk's answer."""
    entries, page = bochs
    quiet = ~(ACCESSED | DIRTY)
    return [s.entry & quiet for s in steps] == [e & quiet for e in entries] and \
        (None if reached is None else reached & ~0xFFF) == page
