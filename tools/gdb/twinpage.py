# SPDX-License-Identifier: MIT
"""twinpage.py - the shell's words in gdb: walk, why, ptdump, pmm, heap, meminfo, and sweep.

The kernel does not run while gdb looks, so its own reports cannot be asked. These commands read
physical memory through QEMU (in its PhyMemMode, so no mapping is needed), walk the tables from CR3
with the reader of tools/memview, and print what the kernel's shell would. They work at any stop,
also before there is a frame allocator or a heap.

Loaded by `make debug`; by hand: gdb -nx KERNEL.elf, target remote SOCKET, source this file.
"""
import re
import sys
from pathlib import Path

import gdb

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import disassembly  # noqa: E402
import printers  # noqa: E402
from memview import page, verbs  # noqa: E402
from memview.kernel import Image, Kernel  # noqa: E402
from memview.physical import PAGE, Unreadable  # noqa: E402
from memview.report import Picture  # noqa: E402
from memview.tables import Registers  # noqa: E402


# ---- the machine, as memview wants it ---------------------------------------------------------
class PhysicalThroughGdb:
    """Whole pages, each read once: an object lives for one command."""

    def __init__(self):
        self.pages = {}

    def _page(self, address):
        if address not in self.pages:
            try:
                self.pages[address] = bytes(gdb.selected_inferior().read_memory(address, PAGE))
            except gdb.MemoryError:
                raise Unreadable(address, PAGE) from None
        return self.pages[address]

    def read(self, address, count):
        first = address & -PAGE
        data = b"".join(self._page(at) for at in range(first, address + count, PAGE))
        return data[address - first:address - first + count]


class Physically:
    """`with Physically():` gdb's memory is physical memory."""

    def __enter__(self):
        gdb.execute("maintenance packet Qqemu.PhyMemMode:1", to_string=True)

    def __exit__(self, *_):
        gdb.execute("maintenance packet Qqemu.PhyMemMode:0", to_string=True)


def registers():
    frame = gdb.newest_frame()
    return Registers(**{name: int(frame.read_register(name)) & (1 << 64) - 1
                        for name in ("cr0", "cr3", "cr4", "efer")})


images = {}


def the_kernel():
    path = gdb.current_progspace().filename
    if path not in images:
        images[path] = Image(path)
    return Kernel(images[path], PhysicalThroughGdb(), registers())


def address(text):
    """What an expression means as an address: a number, a pointer, or where a symbol is."""
    value = gdb.parse_and_eval(text)
    if value.type.strip_typedefs().code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_ARRAY,
                                            gdb.TYPE_CODE_STRUCT):
        value = value["v"] if text_is_strong(value) else value.address
    wide = gdb.lookup_type("unsigned long")
    return int(value.cast(wide)) & (1 << 8 * wide.sizeof) - 1


def text_is_strong(value):
    kind = value.type.strip_typedefs()
    return kind.code == gdb.TYPE_CODE_STRUCT and [f.name for f in kind.fields()] == ["v"]


# ---- the commands -----------------------------------------------------------------------------
class Verb(gdb.Command):
    """A command that prints lines; what it cannot do is one sentence."""

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        try:
            argument = self.prepare(argument)
            with Physically():
                lines = self.lines(argument)
        except Unreadable as error:
            raise gdb.GdbError(f"{self.name}: {error}") from None
        print("\n".join(lines))

    def prepare(self, argument):
        """What must be asked of gdb while memory is still virtual."""
        return argument


class Walk(Verb):
    """Every page-table level on the way to an address (twinpage).
Usage: walk EXPRESSION
    walk 0xd00c0010        walk $sp        walk kernel_main        walk kernel.aspace
The same text as `walk` in the kernel's shell, from the tables that CR3 points at."""
    name = "walk"

    def prepare(self, argument):
        if not argument:
            raise gdb.GdbError(f"usage: {self.name} EXPRESSION")
        return address(argument)

    def lines(self, argument):
        return verbs.walk(the_kernel(), argument)


class Why(Walk):
    """Whose an address is, and which entry forbids what (twinpage).
Usage: why EXPRESSION
The same text as `why` in the kernel's shell."""
    name = "why"

    def lines(self, argument):
        picture = Picture(the_kernel())
        return verbs.why_address(picture, argument, place)


def place(address):
    """map_page+0x12 (src/mem/paging.c:177), as much of it as is known."""
    symbol = re.match(r"(\S+)(?: \+ (\d+))? in section", gdb.execute(f"info symbol {address:#x}",
                                                                    to_string=True))
    line = gdb.find_pc_line(address)
    where = f" ({line.symtab.filename.removeprefix('./')}:{line.line})" if line.symtab else ""
    return f"{symbol[1]}+{int(symbol[2] or 0):#x}{where}" if symbol else ""


class Ptdump(Verb):
    """Everything that is mapped, and the W^X audit (twinpage).
The same text as `ptdump` in the kernel's shell, from the tables that CR3 points at."""
    name = "ptdump"

    def lines(self, argument):
        return verbs.ptdump(Picture(the_kernel()))


class Pmm(Verb):
    """The frame allocator: counts, free runs by size, refusals (twinpage).
The same text as `pmm` in the kernel's shell, counted from the bitmaps."""
    name = "pmm"

    def lines(self, argument):
        return verbs.pmm(Picture(the_kernel()))


class Heap(Verb):
    """The heap: totals, a picture, sizes (twinpage).
The same text as `heap` in the kernel's shell, from a walk over the block headers."""
    name = "heap"

    def lines(self, argument):
        return verbs.heap(Picture(the_kernel()))


class Meminfo(Verb):
    """How much memory there is, and whose (twinpage).
The same text as `meminfo` in the kernel's shell, from the frames that are really used."""
    name = "meminfo"

    def lines(self, argument):
        return verbs.meminfo(Picture(the_kernel()))


class Sweep(Verb):
    """Marks every frame that is used and names those whose owner and user disagree (twinpage).
Leaked, doubly owned, mapped but free, free but mapped: all should be none, at the entry of any
function of the kernel. Between two instructions that belong together it may differ."""
    name = "sweep"

    def lines(self, argument):
        return verbs.sweep(Picture(the_kernel()))


class Memview(Verb):
    """Writes this moment as one HTML page: frames, tables, heap, searchable (twinpage).
Usage: memview FILE.html"""
    name = "memview"

    def prepare(self, argument):
        if not argument:
            raise gdb.GdbError("usage: memview FILE.html")
        return argument

    def lines(self, argument):
        picture = Picture(the_kernel())
        Path(argument).write_text(page.html(picture.whole()), encoding="utf-8")
        return [f"  {argument}: open it in a browser"]


VERBS = (Walk, Why, Ptdump, Pmm, Heap, Meminfo, Sweep, Memview)


class Twinpage(gdb.Command):
    """Lists what Twinpage adds to gdb; `help COMMAND` says more (twinpage)."""

    def __init__(self):
        super().__init__("twinpage", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        for verb in VERBS:
            print(f"  {verb.name:<10} {verb.__doc__.splitlines()[0].replace(' (twinpage).', '')}")
        for name, words in (("where-is", "physical address of a virtual one, as QEMU sees it"),
                            ("mappings", "all that is mapped, as QEMU sees it"),
                            ("here", "the next instructions, in the CPU's mode"),
                            ("$pa(ADDR)", "a function: the physical address, in any expression")):
            print(f"  {name:<10} {words}")


class PhysicalAddress(gdb.Function):
    """$pa(ADDRESS): the physical address behind a virtual one, -1 if nothing is mapped (twinpage)."""

    def __init__(self):
        super().__init__("pa")

    def invoke(self, value):
        with Physically():
            found = the_kernel().tables.translate(int(value))
        return -1 if found is None else found


for verb in VERBS:
    verb()
Twinpage()
PhysicalAddress()
printers.register()
disassembly.register()
