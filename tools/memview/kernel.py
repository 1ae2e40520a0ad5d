# SPDX-License-Identifier: MIT
"""kernel.py - the kernel's own objects in a memory, and the names of its regions.

The image tells where everything is: symbols for addresses, debug information for layouts. What
lies in the image is read by the offset between its virtual and physical addresses, so that a
damaged page table cannot hide the kernel from us; everything else goes through the page tables.
"""
from dataclasses import dataclass, replace

from elftools.elf.elffile import ELFFile

from memview.dwarf import Types, View
from memview.heap import heap_window
from memview.physical import PAGE, Unreadable
from memview.tables import PageTables

OWNER_NAMES = {  # frame_owner_name of src/mem/owner.c
    "OWNER_NONE": "free", "OWNER_LOW": "low memory", "OWNER_KERNEL": "kernel image",
    "OWNER_BOOT_INFO": "boot information", "OWNER_MODULE": "modules",
    "OWNER_FRAMEBUFFER": "framebuffer", "OWNER_EARLY": "early tables",
    "OWNER_PMM": "pmm metadata", "OWNER_TABLE": "page tables", "OWNER_HEAP": "heap",
    "OWNER_STACK": "stacks", "OWNER_DMA": "dma", "OWNER_USER": "user", "OWNER_CACHE": "page cache",
    "OWNER_TEST": "self-test",
}
HHDM = "HHDM"


@dataclass(frozen=True)
class Region:
    """[start, end) of the kernel's address space. kind: image, heap, device, window."""
    name: str
    start: int
    end: int
    kind: str

    def __contains__(self, va):
        return self.start <= va < self.end


class Image:
    """The ELF file: symbols, segments, types."""

    def __init__(self, path):
        with open(path, "rb") as file:
            elf = ELFFile(file)
            self.bits = elf.elfclass
            table = elf.get_section_by_name(".symtab")
            order = ("STT_FUNC", "STT_NOTYPE", "STT_OBJECT")  # of one name, the data is meant
            named = [s for s in table.iter_symbols() if s["st_info"]["type"] in order]
            named.sort(key=lambda s: order.index(s["st_info"]["type"]))
            self.symbols = {s.name: s["st_value"] for s in named}
            self.sizes = {s.name: s["st_size"] for s in named}
            self.code = sorted((s["st_value"], s["st_size"], s.name) for s in table.iter_symbols()
                               if s.name and s["st_info"]["type"] in ("STT_FUNC", "STT_NOTYPE"))
            high = [s for s in elf.iter_segments()
                    if s["p_type"] == "PT_LOAD" and s["p_vaddr"] != s["p_paddr"]]
            self.offset = high[0]["p_vaddr"] - high[0]["p_paddr"]
            self.types = Types(elf, "src/kernel.c")

    @property
    def arch(self):
        return {32: "i386", 64: "x86_64"}[self.bits]

    @property
    def physical(self):
        """[start, end) of what the loader placed."""
        return self.symbols["kernel_physical_start"], self.symbols["kernel_physical_end"]

    @property
    def user_end(self):
        return self.offset if self.bits == 32 else 1 << 47


class Kernel:
    def __init__(self, image, physical, registers):
        self.image, self.physical = image, physical
        self.tables = PageTables(physical, registers)
        self.view = self.object("kernel", "kernel")
        bits = self.view.features.phys_bits
        if bits:  # as the CPU told the kernel
            self.tables = PageTables(physical, replace(registers, phys_bits=bits))
        self.features = self.view.features
        self.regions = list(self._regions())

    # ---- reading ----

    def object(self, symbol, struct):
        types = self.image.types
        return View(types, self, types.struct(struct), self.image.symbols[symbol])

    def symbol(self, name):
        return self.image.symbols.get(name)

    def to_physical(self, va):
        start, end = self.image.physical
        if start <= va - self.image.offset < end:
            return va - self.image.offset
        return self.tables.translate(va)

    def read(self, va, count):
        """Virtual memory, page by page."""
        parts = []
        while count:
            here = min(count, PAGE - va % PAGE)
            pa = self.to_physical(va)
            if pa is None:
                raise Unreadable(va, here)
            parts.append(self.physical.read(pa, here))
            va, count = va + here, count - here
        return b"".join(parts)

    def string(self, va):
        text = b""
        while va and b"\0" not in text and len(text) < 256:
            text += self.read(va + len(text), min(32, PAGE - (va + len(text)) % PAGE))
        return text.split(b"\0")[0].decode(errors="replace")

    def number(self, symbol, size=4):
        return int.from_bytes(self.read(self.image.symbols[symbol], size), "little")

    # ---- enums ----

    @property
    def owners(self):
        """Value -> the name that reports print."""
        names = self.image.types.enum("frame_owner").names
        return {value: OWNER_NAMES.get(name, name) for value, name in names.items()
                if not name.endswith(("_END", "_COUNT"))}

    def owner_value(self, constant):
        return next(value for value, name in self.image.types.enum("frame_owner").names.items()
                    if name == constant)

    @property
    def reserved_end(self):
        """Owners below hold since boot."""
        return self.owner_value("OWNER_TABLE")

    @property
    def kinds(self):
        names = self.image.types.enum("range_kind").names
        return {v: n.replace("RANGE_", "").lower() for v, n in names.items()}

    # ---- the address space ----

    def _regions(self):
        s = self.image.symbols
        for name in ("text", "rodata", "data"):
            yield Region(f"kernel {name}", s[f"kernel_{name}_start"], s[f"kernel_{name}_end"], "image")
        start, end = heap_window(self)
        if start:
            yield Region("heap", start, end, "heap")
        mmio = self.view.mmio
        if mmio.bytes:
            for i in range(mmio.count):
                r = mmio.region[i]
                yield Region(self.string(r.name), r.va, r.va + r.bytes, "device")
            yield Region("device window", mmio.start, mmio.start + mmio.bytes, "device")
        window = self.object("physmap", "physmap")
        yield Region(self.string(window.name), window.start, window.start + window.bytes, "window")

    def region(self, va):
        return next((r for r in self.regions if va in r), None)

    def region_name(self, va):
        """As kernel_region_name of src/kernel_space.c."""
        if va < PAGE:
            return "null page"
        if va < self.image.user_end:
            return "user space"
        found = self.region(va)
        return found.name if found else "a hole in the address space"

    @property
    def hhdm(self):
        """Where all RAM is shown for good, or None."""
        return next((r for r in self.regions if r.name == HHDM), None)

    def names_of(self, address):
        """symbol+offset for code and data addresses of the image, else ''."""
        best = None
        for start, size, name in self.image.code:
            if start <= address and (not size or address < start + size):
                best = f"{name}+{address - start:#x}"
            if start > address:
                break
        return best or ""

    def guards(self):
        """The pages below the stacks, which are not mapped (cpu_stacks of src/arch)."""
        return [self.symbol(name) for name in ("boot_stack_guard", "fault_stack", "nmi_stack")
                if self.symbol(name)]

    def stack(self, va):
        """Words for an address in a stack or in the guard page below it, else ''."""
        for name, guard, end in self._stacks():
            if guard <= va < guard + PAGE:
                return f"the guard page of the {name}"
            if guard + PAGE <= va < end:
                return f"the {name}, {end - va} bytes below its top"
        return ""

    def _stacks(self):
        for symbol, name in (("boot_stack_guard", "boot stack"), ("fault_stack", "double-fault stack"),
                             ("nmi_stack", "NMI stack")):
            guard = self.symbol(symbol)
            if guard:
                size = self.image.sizes.get(symbol, 0)
                yield name, guard, guard + size if size else self.symbol("boot_stack_top")

    # ---- stages ----

    @property
    def has_map(self):
        return bool(self.view.map.finished)

    @property
    def has_frames(self):
        return bool(self.view.pmm.total and self.view.pmm.leaf)

    @property
    def has_heap(self):
        return bool(heap_window(self)[0])

    @property
    def root(self):
        """Of the kernel's own tables; 0 before there are any."""
        return self.view.aspace.root

    @property
    def stage(self):
        start, end = self.image.physical  # where the boot tables lie
        own = self.root and self.tables.on and not start <= self.tables.root < end
        if not self.has_map:
            return "before the boot map"
        if not own:
            return "on the boot page tables"
        if not self.has_frames:
            return "on the kernel's page tables"
        return "with frames and heap" if self.has_heap else "with frames"
