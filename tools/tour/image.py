# SPDX-License-Identifier: MIT
"""image.py - what the kernel's ELF file and sources say of an address.

No address is written down anywhere in the tour: names become addresses through the symbol table,
addresses become lines through the debug information, and the borders of the address space are read
from layout.h. Assembly has no debug information (its paths would differ from place to place), so
there the line is the one after the label.
"""
import bisect
import re
from pathlib import Path

from elftools.construct import Array
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parents[2]


class Image:
    def __init__(self, path):
        self.path = Path(path)
        self.file = open(path, "rb")
        self.elf = ELFFile(self.file)
        self.bits = self.elf.elfclass
        self.arch = {32: "i386", 64: "x86_64"}[self.bits]
        self.dwarf = self.elf.get_dwarf_info()
        self.lines = {}
        self.symbols = self.read_symbols()
        self.borders = self.read_layout()
        self.offset = self.symbols["KERNEL_OFFSET"]
        self.window = "kmap" if "kmaps" in self.symbols else "hhdm"  # PHYSMAP=

    # ---- names ----------------------------------------------------------------------------------

    def read_symbols(self):
        """Global names, and local ones that are there once."""
        found, twice, self.order = {}, set(), []
        for symbol in self.elf.get_section_by_name(".symtab").iter_symbols():
            if symbol["st_info"]["type"] in ("STT_FILE", "STT_SECTION") or not symbol.name:
                continue
            if "." not in symbol.name[1:] and not symbol.name.startswith(("KERNEL_", "kernel_p")):
                self.order.append((symbol["st_value"], symbol.name))
            local = symbol["st_info"]["bind"] == "STB_LOCAL"
            if symbol.name in found and local:
                twice.add(symbol.name)
            else:
                found[symbol.name] = symbol["st_value"]
        self.order.sort()
        return {name: value for name, value in found.items() if name not in twice}

    def read_layout(self):
        text = (ROOT / "src/arch" / self.arch / "layout.h").read_text()
        pairs = re.findall(r"#define (\w+_START)\s+0x([0-9A-F]+)", text)
        return {name: int(value, 16) for name, value in pairs}

    def address(self, name):
        """Of a symbol or a border of layout.h."""
        if name in self.borders:
            return self.borders[name]
        return self.symbols[name]

    def names_at(self, address):
        first = bisect.bisect_left(self.order, (address, ""))
        last = bisect.bisect_right(self.order, (address, "\x7f"))
        return {name for _, name in self.order[first:last]}

    def regions(self):
        """Where the parts of the address space begin: words -> address."""
        words = {"HHDM_START": "HHDM", "HEAP_START": "heap", "MMIO_START": "device window",
                 "KMAP_START": "kmap window"}
        return {"low memory": 0, "kernel image": self.offset,
                **{word: self.borders[name] for name, word in words.items() if name in self.borders}}

    def physical(self, name):
        address = self.symbols[name]
        return address - self.offset if address >= self.offset else address

    def label(self, address):
        """'symbol' or 'symbol+0x12', of code or of a variable."""
        at = bisect.bisect_right(self.order, (address, "\x7f")) - 1
        if at < 0:
            return f"{address:#x}"
        start, name = self.order[at]
        return name if start == address else f"{name}+{address - start:#x}"

    def sections(self):
        """(words, physical start, end) of the parts of the image."""
        return [(words, self.physical(f"kernel_{name}_start"), self.physical(f"kernel_{name}_end"))
                for words, name in ((".text", "text"), (".rodata", "rodata"), (".data/.bss", "data"))]

    def table_name(self, physical):
        """The symbol of a page table inside the image, or None."""
        for address in (physical + self.offset, physical):
            for name in ("boot_directory", "boot_table", "boot_pml4", "boot_pdpt", "boot_pdpt_high",
                         "boot_pd", "boot_pd_top", "kmap_table"):
                start = self.symbols.get(name)
                if start is not None and start == address:
                    return name
        inside = self.label(physical + self.offset)
        return inside if re.match(r"boot_(table|pd)\+", inside) else None

    # ---- lines ----------------------------------------------------------------------------------

    def where(self, address):
        """(file, line) of an instruction, relative to the tree; None: not known."""
        return self.line_of_c(address) or self.line_of_label(self.label(address))

    def line_of_c(self, address):
        """From the line table. What was inlined from a header counts for the line that uses it; of
        several rows for one address the first is the one where a reader would look."""
        start = self.symbol_start(address)
        for unit in self.units_at(address):
            rows = [row for row in self.rows(unit) if start <= row[0] <= address]
            rows = [row for row in rows if row[1].endswith(".c")] or rows
            if rows:
                return next((file, line) for at, file, line in rows if at == rows[-1][0])
        return None

    def rows(self, unit):
        """(address, file, line), by address, of one unit's line table; read once."""
        if unit.cu_offset not in self.lines:
            forms = unit.structs.Dwarf_dw_form  # pyelftools 0.29 lacks the one of clang's MD5 sums
            forms.setdefault("DW_FORM_data16", Array(16, unit.structs.Dwarf_uint8("")))
            program = self.dwarf.line_program_for_CU(unit)
            states = [e.state for e in program.get_entries() if e.state]
            self.lines[unit.cu_offset] = sorted(
                ((s.address, self.file_name(program, s.file), s.line) for s in states
                 if s.line and not s.end_sequence), key=lambda row: row[0])
        return self.lines[unit.cu_offset]

    def units_at(self, address):
        """The units that may hold an address: one if there is a table of them, else all (clang)."""
        table = self.dwarf.get_aranges()
        offset = table.cu_offset_at_addr(address) if table else None
        if table and offset is None:
            return []
        return [u for u in self.dwarf.iter_CUs() if table is None or u.cu_offset == offset]

    def symbol_start(self, address):
        return self.order[bisect.bisect_right(self.order, (address, "\x7f")) - 1][0]

    @staticmethod
    def file_name(program, number):
        header = program.header
        first = 0 if header["version"] >= 5 else 1
        entry = header["file_entry"][number - first]
        folder = ""
        if header["version"] >= 5 or entry.dir_index:
            folder = header["include_directory"][entry.dir_index - first].decode()
        return str(Path(folder) / entry.name.decode()).removeprefix("./")

    def line_of_label(self, label):
        file = f"boot/entry{self.bits}.asm"
        lines = (ROOT / file).read_text().splitlines()
        return (file, lines.index(label + ":") + 2) if label + ":" in lines else None

    @staticmethod
    def source(file, line, before=2, after=3):
        """Lines around one, as (number, text)."""
        lines = (ROOT / file).read_text().splitlines()
        first, last = max(1, line - before), min(len(lines), line + after)
        return [(n, lines[n - 1]) for n in range(first, last + 1)]

    # ---- types ----------------------------------------------------------------------------------

    def member(self, unit_name, struct, *path):
        """Offset of struct.a.b from the debug information of one source file."""
        unit = next(u for u in self.dwarf.iter_CUs()
                    if u.get_top_DIE().attributes["DW_AT_name"].value.decode() == unit_name)
        die = next(d for d in unit.iter_DIEs() if d.tag == "DW_TAG_structure_type"
                   and d.has_children and name_of(d) == struct)
        offset = 0
        for name in path:
            field = next(d for d in die.iter_children() if name_of(d) == name)
            offset += field.attributes["DW_AT_data_member_location"].value
            die = field.get_DIE_from_attribute("DW_AT_type")
        return offset


def name_of(die):
    attribute = die.attributes.get("DW_AT_name")
    return attribute.value.decode() if attribute else None
