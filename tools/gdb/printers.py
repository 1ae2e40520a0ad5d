# SPDX-License-Identifier: MIT
"""printers.py - how gdb shows our own types: as addresses with names, ranges, and words.

    p kernel.aspace.root        0x1b9000 (physical)
    p kernel.map.ranges[3]      [0x100000, 0x1b9000) usable, OWNER_KERNEL
"""
import gdb
from gdb.printing import PrettyPrinter, register_pretty_printer

LEVELS = ("?", "PTE", "PDE", "PDPTE", "PML4E")
BITS = ("P", "W", "U", "PWT", "PCD", "A", "D", "PS", "G")


def physical(value):
    return f"{int(value['v']):#x} (physical)"


def virtual(value):
    """With the symbol it lies in, as gdb prints pointers."""
    number = int(value["v"])
    symbol = gdb.format_address(number) if hasattr(gdb, "format_address") else \
        str(gdb.Value(number).cast(gdb.lookup_type("void").pointer()))
    return f"{symbol} (virtual)"


def frame(value):
    number, bits = int(value["v"]), 8 * value.type.sizeof
    if number == (1 << bits) - 1:
        return "PFN_NONE"
    return f"frame {number:#x} (physical {number << 12:#x})"


def error(value):
    names = {f.enumval: f.name for f in value.type.strip_typedefs().fields()}
    return f"{names.get(int(value), 'not an error code')} ({int(value)})"


def boot_range(value):
    return (f"[{int(value['start']):#x}, {int(value['last']) + 1:#x}) "
            f"{str(value['kind']).replace('RANGE_', '').lower()}, {value['owner']}")


def map_stretch(value):
    pa, va = int(value["pa"]["v"]), int(value["va"]["v"])
    flags = int(value["flags"])
    rights = "".join(c if flags & 1 << i else "-" for i, c in enumerate("wxug"))
    return f"{va:#x} + {int(value['bytes']):#x} -> {pa:#x} r{rights}"


def walk_step(value):
    entry, level = int(value["entry"]), int(value["level"])
    bits = " ".join(b for i, b in enumerate(BITS) if entry & 1 << i) + (" NX" if entry >> 63 else "")
    return f"{LEVELS[level if level < 5 else 0]} at {int(value['entry_pa']['v']):#x}: {entry:#x} [{bits}]"


def mmio_region(value):
    start = int(value["va"]["v"])
    name = value["name"].string() if int(value["name"]) else ""
    return f"[{start:#x}, {start + int(value['bytes']):#x}) {name}"


def features(value):
    words = [f.name for f in value.type.fields()
             if f.type.strip_typedefs().code == gdb.TYPE_CODE_BOOL and value[f.name]]
    widths = f"{int(value['phys_bits'])} physical and {int(value['virt_bits'])} virtual bits"
    return f"{' '.join(words)}, {widths}"


SHOWN = {"paddr_t": physical, "vaddr_t": virtual, "pfn_t": frame, "mem_err": error,
         "boot_range": boot_range, "map_stretch": map_stretch, "walk_step": walk_step,
         "mmio_region": mmio_region, "paging_features": features}


class Printer:
    def __init__(self, show, value):
        self.show, self.value = show, value

    def to_string(self):
        return self.show(self.value)


class Printers(PrettyPrinter):
    def __init__(self):
        super().__init__("twinpage")

    def __call__(self, value):
        """By the name of the typedef, or by the tag of the struct or enum."""
        kind = value.type.unqualified()
        for name in (kind.name, kind.strip_typedefs().tag):
            if name in SHOWN:
                return Printer(SHOWN[name], value)
        return None


def register():
    register_pretty_printer(None, Printers(), replace=True)
