# SPDX-License-Identifier: MIT
"""witness_bochs.py - what Bochs' debugger says of the mappings, in the common form.

`page` tells every level's entry on the way; what it calls a page is always 4 KiB of it, so sizes
come from the level that its walk ended on. `info tab` tells stretches, joined whatever they allow,
and never shows 0xffff800000000000 to 0xffffefffffffffff in long mode (Bochs 2.7).
"""
import json
import re

import walker
import witness

BLIND = range(0xFFFF8 << 44, 0xFFFFF << 44)
SIZES = {"i386": {"PDE": 1 << 22, "PTE": 1 << 12},
         "x86_64": {"PDPE": 1 << 30, "PDE": 1 << 21, "PTE": 1 << 12}}
PAT = 0x0007040100070406  # what the kernel sets; whoever uses this asserts it


def reports(text):
    """{cmd: the last object that it printed}."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("{")]
    return {told["cmd"]: told for told in map(json.loads, lines)}


def entry_of(line):
    name, value = re.match(r"\s*(\w+): 0x([0-9a-f]+)", line).groups()
    return name, int(value, 16)


def page_of(arch, text, nx, pge):
    """(pa of the 4 KiB, page size, perm, cache) as `page` has it, or None."""
    found = re.search(r"maps to physical page 0x([0-9a-f]+)", text)
    if not found:
        return None
    entries = [entry_of(line) for line in text.splitlines() if re.match(r"\s*P\w+: 0x", line)]
    name, leaf = entries[-1]
    rights = walker.W | walker.U
    for _, entry in entries:
        rights &= entry
    perm = "r" + ("w" if rights & walker.W else "")
    perm += "x" if not nx or not any(entry & walker.NX for _, entry in entries) else ""
    perm += "u" if rights & walker.U else ""
    perm += "g" if pge and leaf & walker.G else ""
    index = leaf >> 3 & 3 | (leaf >> (7 if name == "PTE" else 12) & 1) << 2
    return int(found[1], 16), SIZES[arch][name], perm, walker.CACHE_TYPES[PAT >> 8 * index & 7]


def look_up(stretches, va):
    for s in stretches:
        if s.va <= va < s.va + s.length:
            return s.pa + (va - s.va & ~4095), s.page, s.perm, s.cache
    return None


def tab_view(text, window):
    """`info tab`: [(va, end, pa)], without the kmap window."""
    rows = re.findall(r"0x([0-9a-f]+)-0x([0-9a-f]+) -> 0x([0-9a-f]+)-0x", text)
    rows = [(int(a, 16), int(b, 16) + 1, int(c, 16)) for a, b, c in rows]
    return [(a, min(b, witness.LOWER_END) if a < witness.LOWER_END else b, c) for a, b, c in rows
            if a >> 22 not in window]


def as_tab(stretches):
    """The same from ptdump: neighbours joined whatever they allow."""
    out = []
    for s in stretches:
        if s.va in BLIND:
            continue
        if out and out[-1][1] == s.va and out[-1][2] + (s.va - out[-1][0]) == s.pa:
            out[-1] = (out[-1][0], s.va + s.length, out[-1][2])
        else:
            out.append((s.va, s.va + s.length, s.pa))
    return out
