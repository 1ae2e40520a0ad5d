# SPDX-License-Identifier: MIT
"""witness.py - what each witness says of the mappings, in one form, and how they differ.

    kernel   its own `ptdump -j` and `walk -j`
    walker   walker.py over a dump of physical memory, with QEMU's registers
    tlb      QEMU's `info tlb`: every page with the bits of its leaf
    mem      QEMU's `info mem`: stretches with what all levels allow, without NX
    gva      QEMU's `gva2gpa`: the translation that its CPU itself uses
    bochs    Bochs' `page` and `info tab` (witness_bochs.py)

Accessed and dirty bits move while anybody looks, and the kmap window serves whoever looks: both are
left out. Everything else must be equal.
"""
import re
from dataclasses import dataclass

import walker

PAGE_BYTES = {"4K": 1 << 12, "2M": 1 << 21, "4M": 1 << 22, "1G": 1 << 30}
PT_LETTERS = "XGPDACTUW"  # as `info tlb` prints them


@dataclass(frozen=True)
class Stretch:
    """The common form. `page` is the size of one page."""
    va: int
    length: int
    pa: int
    page: int
    perm: str
    cache: str


def number(text):
    return int(text, 16)


def join(stretches):
    """Neighbours that continue each other become one."""
    out = []
    for s in stretches:
        last = out[-1] if out else None
        if (last and last.va + last.length == s.va and last.pa + last.length == s.pa
                and (last.page, last.perm, last.cache) == (s.page, s.perm, s.cache)):
            out[-1] = Stretch(last.va, last.length + s.length, last.pa, s.page, s.perm, s.cache)
        else:
            out.append(s)
    return out


def registers(machine):
    """CR0, CR3, CR4 and EFER as QEMU has them; PAT and the width as CPUID and RDMSR told the kernel."""
    text = machine.monitor("info registers")
    found = {name: number(value)
             for name, value in re.findall(r"\b(CR[034]|EFER) *=([0-9a-f]+)", text)}
    cpu = machine.json("cpu")
    has_pat = "pat" in cpu["offered"]
    return walker.Cpu(found["CR3"], found["CR0"], found["CR4"], found.get("EFER", 0),
                      cpu["phys_bits"], number(cpu["pat"]) if has_pat else None,
                      "gib" in cpu["offered"])


def stretches(maps):
    """The maps of a `ptdump -j`."""
    return join(Stretch(number(m["va"]), m["length"], number(m["pa"]), PAGE_BYTES[m["page"]],
                        m["perm"].replace("a", "").replace("d", ""), m["cache"]) for m in maps)


class Still:
    """What was read of a machine while it stood still: the kernel's ptdump, memory for the walker,
    and QEMU's words."""

    def __init__(self, cpu, memory, dump, tlb_text="", mem_text="", window=range(0)):
        self.cpu, self.memory, self.dump = cpu, memory, dump
        self.tlb_text, self.mem_text, self.window = tlb_text, mem_text, window

    def tables(self):
        return walker.Tables(self.cpu, self.memory)

    def outside(self, va):
        return va not in self.window

    def kernel(self):
        return stretches(m for m in self.dump if self.outside(number(m["va"])))

    def pages(self, tables=None):
        return [p for p in (tables or self.tables()).leaves() if self.outside(p.va)]

    def tlb(self):
        """{va: (pa, letters of the leaf)}; QEMU prints user space of two levels with 64 bits."""
        out = {}
        for line in self.tlb_text.splitlines():
            va, pa, letters = line.replace(":", "").split()
            if self.outside(number(va)):
                out[number(va)] = (number(pa), letters)
        return out

    def mem(self):
        """[(start, end, "urw" as they are)], joined."""
        out = []
        for line in self.mem_text.splitlines():
            extent, _, letters = line.split()
            start, end = (number(part) for part in extent.split("-"))
            for part in without_hole(start, end):
                add_right(out, *part, letters)
        return [r for r in out if self.outside(r[0])]


class Scene(Still):
    """A machine at its prompt: it stops, and is seen by all of them."""

    def __init__(self, machine, memory_bytes=64 << 20):
        self.machine = machine
        dump = machine.json("ptdump")["maps"]
        cpu = registers(machine)
        machine.qmp("stop")
        window = [m for m in dump if "kmap" in m["name"]]
        super().__init__(cpu, machine.memory_bytes(0, memory_bytes), dump,
                         machine.monitor("info tlb"), machine.monitor("info mem"),
                         range(number(window[0]["va"]) & ~0x1FFFFF, 1 << 64) if window else range(0))

    def resume(self):
        self.machine.qmp("cont")


LOWER_END, UPPER_START = 1 << 47, 0xFFFF8 << 44


def without_hole(start, end):
    """Emulators count table by table, so a stretch may go on over addresses that do not exist."""
    if not start < LOWER_END < end:
        return [(start, end)]
    return [(start, LOWER_END)] + ([(UPPER_START, end)] if end > UPPER_START else [])


def add_right(out, start, end, letters):
    if out and out[-1][1] == start and out[-1][2] == letters:
        out[-1] = (out[-1][0], end, letters)
    else:
        out.append((start, end, letters))


def from_walker(pages):
    return join(Stretch(p.va, p.length, p.pa, p.page, p.perm, p.cache) for p in pages)


def leaf_letters(page):
    """What `info tlb` prints of this leaf; bit 7 it leaves out where that is the PAT bit."""
    bits = (63, 8, 7, 6, 5, 4, 3, 2, 1)
    own = page.own & ~walker.PS if page.page == 4096 else page.own
    return "".join(letter if own >> bit & 1 else "-" for letter, bit in zip(PT_LETTERS, bits))


def without_touch(letters):
    return letters[:3] + "--" + letters[5:]


def differences(left, right, name):
    """What only one of two lists has."""
    a, b = set(left), set(right)
    return [f"{name}: only the first: {x}" for x in sorted(a - b, key=str)[:3]] + \
           [f"{name}: only the second: {x}" for x in sorted(b - a, key=str)[:3]]


def tlb_differences(scene, pages, tlb):
    """`info tlb` against the walker's leaves: address and every bit of the entry."""
    mine = {(p.va, p.pa, without_touch(leaf_letters(p))) for p in pages}
    theirs = {(va, pa, without_touch(letters)) for va, (pa, letters) in tlb.items()}
    return differences(mine, theirs, "walker and info tlb")


def mem_differences(scene, pages, mem):
    """`info mem` knows user and write of all levels together."""
    mine = []
    for p in pages:
        letters = ("u" if "u" in p.perm else "-") + "r" + ("w" if "w" in p.perm else "-")
        add_right(mine, p.va, p.va + p.length, letters)
    return differences(mine, mem, "walker and info mem")


def kernel_differences(scene, pages, kernel):
    return differences(from_walker(pages), kernel, "walker and ptdump")


def addresses_of(places, stretches, count, rng):
    """Addresses to ask for: edges of all that is mapped, then anywhere in the storm's places."""
    out = []
    for s in stretches:
        out += [s.va, s.va + s.length - 1, s.va - 1, s.va + s.length]
    rng.shuffle(out)
    out = [va for va in out if va >= 0][:count // 2]
    while len(out) < count:
        place = rng.choice(places)
        out.append(number(place["va"]) + rng.randrange(place["length"]))
    return out


def gva2gpa(machine, va):
    """Where an address leads, None: nowhere."""
    answer = machine.monitor(f"gva2gpa {va:#x}").strip()
    assert answer == "Unmapped" or answer.startswith("gpa: "), answer
    return None if answer == "Unmapped" else number(answer[5:])


def gva_differences(scene, addresses, tables):
    """The CPU's own translation of each address."""
    top = 1 << (64 if scene.cpu.long_mode else 32)
    wrong = []
    for va in addresses:
        va %= top
        page = tables.translate(va)
        gpa = gva2gpa(scene.machine, va)
        expected = page.pa + va - page.va if page else None
        if gpa != expected:
            wrong.append(f"gva2gpa {va:#x} says {gpa}, the walker {expected}")
    return wrong


def walk_differences(machine, cpu, addresses, tables):
    """The kernel's `walk -j`: every entry on the way, and what it makes of them."""
    top = 1 << (64 if cpu.long_mode else 32)
    wrong = []
    for va in addresses:
        va %= top
        told = machine.json(f"walk {va:#x}")
        canonical = not cpu.long_mode or va >> 47 in (0, 0x1FFFF)
        steps = [(s["level"], number(s["entry_pa"]), number(s["entry"]) & ~0x60)
                 for s in told["levels"]]
        mine = [(l, at, e & ~0x60) for l, at, e in tables.steps(va)] if canonical else []
        page = tables.translate(va)
        said = (number(told["pa"]), PAGE_BYTES[told["page"]], told["perm"].strip("ad")) \
            if "pa" in told else None
        seen = (page.pa + va - page.va, page.page, page.perm) if page else None
        if steps != mine or said != seen:
            wrong.append(f"walk {va:#x}: {said} {steps}, the walker {seen} {mine}")
    return wrong


def covers(pages):
    """Which kinds of thing a scene holds: nothing is proved by a scene without them."""
    return ({letter for p in pages for letter in p.perm} | {p.cache for p in pages}
            | {p.page for p in pages})
