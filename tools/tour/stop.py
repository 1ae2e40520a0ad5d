# SPDX-License-Identifier: MIT
"""stop.py - one stop of the tour: the machine stands still, and what was looked at is kept.

A stage's look (looks.py) calls the verbs here; each reads the machine and appends one block. The
terminal (terminal.py) and the document (document.py) print the same blocks, so they cannot differ.

    Facts     a small table: name, value, what it means
    Entries   page-table entries, taken apart
    Reply     a command as typed to Bochs, and what Bochs said
    Picture   the tables as a drawing
    Strip     physical memory as a drawing
"""
import re
from dataclasses import dataclass

from debugger import Lost
from tables import Tables, same_way

CR0 = {31: "PG", 30: "CD", 29: "NW", 16: "WP", 5: "NE", 4: "ET", 1: "MP", 0: "PE"}
CR4 = {4: "PSE", 5: "PAE", 7: "PGE", 11: "UMIP", 20: "SMEP", 21: "SMAP"}
EFER = {8: "LME", 10: "LMA", 11: "NXE"}
WALKING = re.compile(r"; (PML4E|PDPTE|PDE|PTE)")
BITS = {"CR0": CR0, "CR4": CR4, "EFER": EFER}


@dataclass
class Facts:
    title: str
    rows: list  # (name, value, meaning)


@dataclass
class Entries:
    title: str
    rows: list  # (where, value, flags, leads to)


@dataclass
class Reply:
    command: str
    lines: list
    remark: str


@dataclass
class Picture:
    title: str
    root: str     # words for what points to the root
    live: bool    # does the CPU use these tables?
    table: object
    path: int     # the address whose way is marked, or None


@dataclass
class Strip:
    title: str
    rows: list  # (start, end, words, kind)


class Stop:
    def __init__(self, tour, stage):
        self.tour = tour
        self.stage = stage
        self.debugger = tour.debugger
        self.image = tour.image
        self.format = tour.format
        self.tables = Tables(tour.debugger, tour.format)
        self.registers = tour.debugger.registers()
        self.controls = tour.debugger.controls()
        self.pc = self.registers["rip"]
        # After a call has returned, the line with the call says more than the one after it.
        self.place = tour.image.where(self.pc - (1 if tour.notes.get("returned") else 0))
        self.blocks = []

    # ---- words for numbers ----------------------------------------------------------------------

    def hex(self, value):
        return f"0x{value:0{self.format.digits}x}" if value >> 32 or self.format.words == 1 \
            else f"0x{value:08x}"

    def bits(self, name):
        value = self.controls[name]
        return " ".join(word for bit, word in BITS[name].items() if value >> bit & 1) or "none set"

    def paging_on(self):
        return bool(self.controls["CR0"] >> 31)

    def table_words(self, physical):
        name = self.image.table_name(physical)
        return f"{name} ({physical:#x})" if name else f"{physical:#x}"

    def table_title(self, table):
        """Its symbol; else the region that begins in what it translates, or that it lies in."""
        name = self.image.table_name(table.physical)
        if name:
            return name
        if table.level == 0:
            return "the kernel's own root"
        return self.regions(table.prefix, table.prefix + (1 << self.format.shift(table.level - 1)))[0]

    def regions(self, start, end):
        """The parts of the address space that begin in [start, end), else the one that it lies in."""
        unused = "kmap window" if self.image.window != "kmap" else None
        borders = sorted((v, k) for k, v in self.image.regions().items() if k != unused)
        inside = [name for border, name in borders if start <= border < end]
        return inside or [name for border, name in borders if border < start][-1:]

    def row_words(self, table, run):
        """What a run of entries is for, as far as names tell; may be empty."""
        fmt, image = self.format, self.image
        start = fmt.address(table.prefix, table.level, run.first)
        end = start + (run.last - run.first + 1 << fmt.shift(table.level))
        if not run.entry:
            guard = image.names_at(start) & {"boot_stack_guard", "fault_stack", "nmi_stack"}
            return "empty: guard below a stack" if guard else "empty"
        if not fmt.is_leaf(table.level, run.entry):
            return ", ".join(self.regions(start, end)) if table.level == 0 else ""
        target = fmt.target(table.level, run.entry)
        if start == target:
            return "virtual = physical"
        if end - start > 1 << 21:
            offsets = (image.offset, image.borders.get("HHDM_START"))
            return f"= physical + {start - target:#x}" if start - target in offsets else ""
        parts = [name for name, a, b in image.sections() if a < target + (end - start) and target < b]
        more = target + (end - start) > image.physical("kernel_data_end")
        return " ".join(parts) + (", then other RAM" if parts and more else "")

    # ---- verbs ----------------------------------------------------------------------------------

    def look_at_registers(self, meanings):
        """meanings: register -> words; a name of the 32-bit part means that part."""
        rows = []
        for name, words in meanings.items():
            value = self.registers["r" + name[1:]]
            value &= 0xFFFFFFFF if name[0] == "e" else ~0
            rows.append((name.upper(), self.hex(value), words))
        self.blocks.append(Facts("Registers", rows))

    def look_at_controls(self, meanings):
        rows = []
        for name, words in meanings.items():
            value = self.controls[name]
            shown = f"{value:#010x}" + (f": {self.bits(name)}" if name in BITS else "")
            rows.append((name, shown, words))
        self.blocks.append(Facts("Control registers (`creg`)", rows))

    def facts(self, title, *rows):
        self.blocks.append(Facts(title, list(rows)))

    def ask(self, command, remark, keep=None):
        lines = self.debugger.ask(command)
        if keep:
            lines = [line for line in lines if keep in line]
        self.blocks.append(Reply(command, lines, remark))

    def look_at_trace(self, remark):
        """Executes one instruction; keeps the hardware's walk to fetch it. Walks for its operands
        follow, and begin with the root again."""
        lines = [line for line in self.debugger.traced_step() if WALKING.search(line)]
        roots = [i for i, line in enumerate(lines) if " RD]" in line and
                 WALKING.search(line)[0] == WALKING.search(lines[0])[0]]
        lines = lines[:roots[1]] if len(roots) > 1 else lines
        self.tables.pages.clear()
        self.blocks.append(Reply("trace-mem on\ns", lines, remark))

    def entry_row(self, step):
        fmt = self.format
        name = self.image.table_name(step.table)
        where = f"{fmt.levels[step.level]} {name or hex(step.table)}[{step.index}]"
        if not step.entry & 1:
            return where, self.hex(step.entry), "not present", "nowhere"
        target = fmt.target(step.level, step.entry)
        leads = f"page {target:#x}" if fmt.is_leaf(step.level, step.entry) else \
            f"{fmt.levels[step.level + 1]} {self.table_words(target)}"
        return where, self.hex(step.entry), fmt.flags(step.level, step.entry), leads

    def look_at_walk(self, words, address, root=None):
        """The entries for an address; below the live root, Bochs' own walk must say the same."""
        live = root is None and self.paging_on()
        steps, reached = self.tables.walk(self.controls["CR3"] & ~0xFFF if root is None else root,
                                          address)
        if live:
            self.compare(address, steps, reached)
        end = f"{reached:#x}" if reached is not None else "not mapped"
        title = f"{words} [{address:#x} -> {end}]"
        self.blocks.append(Entries(title, [self.entry_row(step) for step in steps]))
        return reached

    def compare(self, address, steps, reached):
        bochs = self.debugger.walk(address)
        if not same_way(steps, reached, bochs):
            raise Lost(f"two walks of {address:#x} differ: memory says {steps}, {reached}; "
                       f"`page` says {bochs}")

    def look_at_page(self, address, remark):
        """The hardware's own walk, as Bochs prints it, checked against memory."""
        if self.paging_on():
            steps, reached = self.tables.walk(self.controls["CR3"] & ~0xFFF, address)
            self.compare(address, steps, reached)
        self.ask(f"page {address:#x}", remark)

    def draw(self, title, open_at, root=None, path=None):
        """The tables on the way to each address; what is new since they were last drawn stands out."""
        self.tables.pages.clear()  # what was stepped over may have changed them
        live = self.paging_on() and root is None
        physical = self.controls["CR3"] & ~0xFFF if root is None else root
        before = self.tour.drawn
        table = self.tables.tree(physical, 0, 0, open_at, path, before)
        before.update(self.tables.pages)
        in_cr3 = physical == self.controls["CR3"] & ~0xFFF
        words = "CR3" if live else "CR3, and PG is off" if in_cr3 else "CR3 does not hold this yet"
        self.blocks.append(Picture(title, words, live, table, path))

    def strip(self, title, rows):
        self.blocks.append(Strip(title, rows))
