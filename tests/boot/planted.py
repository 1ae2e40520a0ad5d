# SPDX-License-Identifier: MIT
"""planted.py - bugs that somebody must notice: a comparison that never fails proves nothing.

    spoilt          an entry of the tables, wrong in one way: a copy of memory gets it
    BROKEN_READERS  walker.py with a bug
    BROKEN_KERNEL   the kernel's reader with a bug: an edit of its source, built as tools/ptdump is
"""
import subprocess
from dataclasses import dataclass

import harness
import walker

# ---- the tables -------------------------------------------------------------------------------


@dataclass
class Place:
    """An entry on the way to a page."""
    at: int
    entry: int
    level: int
    leaf: bool
    page: walker.Page
    above: int  # W and U where all levels above give them, NX where one sets it


def places(tables, pages, rng, count=30):
    """Every entry on the way to `count` of the pages."""
    for page in rng.sample(pages, min(count, len(pages))):
        above = walker.W | walker.U
        for level, at, entry in tables.steps(page.va):
            yield Place(at, entry, level, tables.is_leaf(level, entry), page, above)
            above = tables.gather(above, entry)


def spoilt(place, tables):
    """{name of the bug: the entry with it}: all that must change what somebody sees."""
    entry, level, leaf, page = place.entry, place.level, place.leaf, place.page
    out = {"entry missing": entry & ~walker.P,
           "wrong physical address": entry ^ 1 << (tables.shift(level) if leaf else 12),
           "accidental bit of the address": entry ^ 1 << (tables.shift(level) + 3 if leaf else 15)}
    if leaf:
        out |= {"W flipped": entry ^ walker.W, "U flipped": entry ^ walker.U,
                "G flipped": entry ^ walker.G, "PCD flipped": entry ^ walker.PCD,
                "PWT flipped": entry ^ walker.PWT}
        if level > 1 or not entry & (walker.PCD | walker.PWT):  # else the PAT says the same again
            out["PS or PAT flipped"] = entry ^ walker.PS
    else:
        out["PS flipped"] = entry ^ walker.PS
    if not leaf and "w" in page.perm:
        out["W missing above"] = entry & ~walker.W
    if not leaf and "u" in page.perm:
        out["U missing above"] = entry & ~walker.U
    if tables.cpu.nx and (leaf or "x" in page.perm):
        out["NX flipped"] = entry ^ walker.NX
    return out


def shows(name, place, tables):
    """Does it change what all levels together allow, on this CPU as it is? (UC- and UC are one to
    the kernel, which never writes the first.) Else only `info tlb`, which PRINTS bits of leaves,
    can see it."""
    cpu = tables.cpu
    return {"W flipped": bool(place.above & walker.W), "U flipped": bool(place.above & walker.U),
            "NX flipped": not place.above & walker.NX, "G flipped": cpu.pge,
            "PS flipped": cpu.long_mode or cpu.pse,
            "PS or PAT flipped": place.level > 1 or cpu.pat not in (None, walker.PAT_POWER_UP),
            "PWT flipped": not place.entry & walker.PCD}.get(name, True)


PRINTS = {"W flipped", "U flipped", "G flipped", "NX flipped", "PWT flipped"}


# ---- the reader in Python ---------------------------------------------------------------------

class IgnoresPat(walker.Tables):
    def cache(self, level, entry):
        return super().cache(level, entry & ~(1 << (7 if level == 1 else 12)))


class LeafAlone(walker.Tables):
    def gather(self, rights, entry):
        return entry & (walker.W | walker.U | (walker.NX if self.cpu.nx else 0))


class AnyLevelGivesWrite(walker.Tables):
    def gather(self, rights, entry):
        return super().gather(rights, entry) | entry & walker.W


class LargePageOffByOne(walker.Tables):
    def frame(self, level, entry, leaf):
        return super().frame(level, entry, leaf) + (4096 if leaf and level > 1 else 0)


class NoGlobals(walker.Tables):
    def perm(self, rights, entry):
        return super().perm(rights, entry).replace("g", "")


class SkipsLastEntry(walker.Tables):
    def load(self, table):
        return super().load(table)[:-1] + [0]


BROKEN_READERS = [IgnoresPat, LeafAlone, AnyLevelGivesWrite, LargePageOffByOne, NoGlobals,
                  SkipsLastEntry]

# ---- the kernel's reader ----------------------------------------------------------------------

WALK, FORMAT = "paging_walk.c", "paging_format.h"
ENTRY = {"i386": "paging32.c", "x86_64": "paging64.c"}
BROKEN_KERNEL = {  # name: (file; None: paging32.c or paging64.c, what is there, what is there instead)
    "the leaf alone decides": (WALK, "(above & entry & must)", "(entry & must)"),
    "any level gives a right": (WALK, "(above & entry & must)", "((above | entry) & must)"),
    "the last entry of a table is left out": (WALK, "if (present) {", "if (present && s.index < ENTRIES - 1) {"),
    "rights are not compared": (WALK, "a->page_bytes == b->page_bytes && a->flags == b->flags",
                                "a->page_bytes == b->page_bytes"),
    "physical addresses are not compared": (WALK, "a->pa.v + a->bytes == b->pa.v &&", ""),
    "absent entries with a count are pages": (WALK, "present = e & ENTRY_PRESENT",
                                              "present = s.level == 1 ? e : e & ENTRY_PRESENT"),
    "the level above the leaf is not asked": (WALK, "at > level; at--", "at > level + 1; at--"),
    "walks through large pages": (WALK, "return level == 1 || (e & ENTRY_LARGE && "
                                  "(LEVELS > 2 || as->features->pse));", "return level == 1;"),
    "every page has 4 KiB inside": (WALK, "out->va.v & (level_bytes(level) - 1)",
                                    "out->va.v & (PAGE_SIZE - 1)"),
    "PS of a large page is its PAT bit": (FORMAT, "ENTRY_PAT_4K : ENTRY_PAT_LARGE;\n    if",
                                          "ENTRY_PAT_4K : ENTRY_PAT_4K;\n    if"),
    "PAT of a large page is its address": (FORMAT, "e & ENTRY_ADDRESS & ~(level_bytes(level) - 1)",
                                           "e & ENTRY_ADDRESS"),
    "W is not looked at": (None, "(e & ENTRY_WRITE ? MAP_WRITE : 0)", "MAP_WRITE"),
    "U is not looked at": (None, "(e & ENTRY_USER ? MAP_USER : 0)", "0"),
    "G is not looked at": (None, "(e & ENTRY_GLOBAL && f->pge ? MAP_GLOBAL : 0)", "0"),
    "NX is not looked at": ("paging64.c", "(e & NX && f->nx ? 0 : MAP_EXEC)", "MAP_EXEC"),
}
TOOL = ("tools/ptdump/main", "src/diag/report_ptdump", "src/diag/units", "src/diag/json",
        "src/lib/fmt")


def broken_kernel_readers(arch):
    return [name for name, (file, *_) in BROKEN_KERNEL.items() if file in (None, WALK, FORMAT, ENTRY[arch])]


def build_broken(arch, name, directory):
    """The path of a ptdump with this bug. All but the files that read tables are as built by make."""
    file, old, new = BROKEN_KERNEL[name]
    bits = ENTRY[arch][6:8]
    for path in (harness.ROOT / "src/mem").glob("paging*"):
        text = path.read_text()
        if path.name == (file or ENTRY[arch]):
            assert text.count(old) == 1, f"{path.name} no longer says: {old}"
            text = text.replace(old, new)
        (directory / path.name).write_text(text)
    program = directory / "ptdump"
    objects = [harness.BUILD / f"host/obj{bits}/{name}.o" for name in TOOL]
    sources = [directory / name for name in (WALK, "paging_table.c", ENTRY[arch])]
    subprocess.run(["gcc", "-std=gnu2x", f"-m{bits}", "-w", "-fsanitize=address,undefined",
                    *(f"-I{harness.ROOT / part}" for part in ("include", "src", f"src/arch/{arch}")),
                    "-o", program, *sources, *objects], check=True)
    return program
