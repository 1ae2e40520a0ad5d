# SPDX-License-Identifier: MIT
"""standing.py - a machine that stands still at a stage of bring-up, asked the same things in QEMU
and in Bochs.

The way there is the tour's own (tools/tour/stages.py). A Journey needs of a debugger: registers,
control registers, frames of physical memory, a word written, a register set. From that follow

    Frames      memory for walker.py: what it looks at is fetched
    host        the kernel's reader (tools/ptdump) over just these frames
    call        the stopped kernel runs a function of its own, and stands where it stood

What only one emulator can answer it is asked by `words`, a function of a debugger and addresses.
"""
import json
import random
import struct
import subprocess
import sys
from dataclasses import dataclass, replace

import gdbstub
import harness
import walker
import witness
from witness_bochs import PAT, reports

sys.path.insert(0, str(harness.ROOT / "tools" / "tour"))
import debugger  # noqa: E402
from image import Image  # noqa: E402
from stages import stages_of  # noqa: E402
from tables import Format  # noqa: E402

MEMORY = 64 << 20
PTDUMP = {"i386": "ptdump32", "x86_64": "ptdump64"}


class Frames:
    """Physical memory, of which each frame is fetched when it is first looked at."""

    def __init__(self, fetch, size=MEMORY):
        self.fetch, self.size, self.kept = fetch, size, {}

    def __len__(self):
        return self.size

    def __getitem__(self, part):
        assert part.start % 4096 == 0 and part.stop - part.start == 4096
        if part.start not in self.kept:
            self.kept[part.start] = self.fetch(part.start)
        return self.kept[part.start]

    def close(self):
        """The machine goes on: what nobody has looked at is zero from here on."""
        self.fetch = lambda address: bytes(4096)

    def save(self, path):
        """As a dump: what nobody looked at is zero, so a reader that looks elsewhere finds nothing."""
        with open(path, "wb") as out:
            for address, frame in self.kept.items():
                out.seek(address)
                out.write(frame)
            out.truncate(self.size)


# ---- debuggers --------------------------------------------------------------------------------

class BochsDebugger(debugger.Debugger):
    """The tour's debugger; here it may change the machine, too."""

    def __init__(self, arch, *command, **environment):
        super().__init__([harness.ROOT / "tools/bochs.sh", *command], DISPLAY_LIBRARY="term",
                         **environment)
        self.arch = arch

    def frame(self, address):
        return struct.pack("<1024I", *self.physical(address, 1024))

    def set_register(self, name, value):
        name = "e" + name[1:] if self.arch == "i386" and name[0] == "r" else name
        self.ask(f"set {name} = {value:#x}")

    def poke(self, address, word):
        page = self.walk(address)[1]
        self.ask(f"setpmem {page + address % 4096:#x} 4 {word:#x}")


# ---- the kernel, asked while it stands --------------------------------------------------------

REGISTERS = "rax rbx rcx rdx rsi rdi rbp rsp rip".split()
MORE = [f"r{n}" for n in range(8, 16)]
ROOM = 256  # bytes below the stack for struct shell_args


def call(tour, report):
    """Runs report(&(struct shell_args){.json = true}) on the kernel's own stack. It returns to
    kernel_main's first instruction, to which nothing else ever comes back. Flags are not kept: at
    no stop is one of them still to be asked for."""
    debugger, wide = tour.debugger, tour.image.arch == "x86_64"
    now = debugger.registers()
    saved = {name: now[name] for name in REGISTERS + (MORE if wide else [])}
    arguments = (now["rsp"] - 2 * ROOM) & ~15
    flag = tour.image.member("src/diag/report_ptdump.c", "shell_args", "json")
    assert flag in range(0, ROOM, 4)
    for at in range(0, ROOM, 4):
        debugger.poke(arguments + at, int(at == flag))
    back = tour.image.address("kernel_main")
    stack = [back & 0xFFFFFFFF, back >> 32] if wide else [back, arguments]
    top = arguments - (8 if wide else 16)  # (System V ABI: aligned before the return address)
    for at, word in enumerate(stack):
        debugger.poke(top + 4 * at, word)
    debugger.set_register("rsp", top)
    if wide:
        debugger.set_register("rdi", arguments)
    debugger.set_register("rip", tour.image.address(report))
    debugger.go(back)
    for name, value in saved.items():
        debugger.set_register(name, value)
    assert debugger.pc() == now["rip"]


# ---- the kernel's reader on the host ----------------------------------------------------------

def host(arch, cpu, path, addresses=(), program=None):
    """(ptdump's object, [walk's object of each address]) from a dump; None: it gave up."""
    words = [word for word, on in (("pse", cpu.pse), ("pge", cpu.pge), ("nx", cpu.nx),
                                   ("pat", cpu.pat not in (None, walker.PAT_POWER_UP)),
                                   ("gib_pages", cpu.gib_pages)) if on]
    command = [program or harness.BUILD / "host" / PTDUMP[arch], "-ja", path, hex(cpu.cr3), *words,
               f"phys={cpu.phys_bits}"]
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True,
                          input="\n".join(f"{va:x}" for va in addresses), timeout=60 * harness.SLOWER)
    if done.returncode:
        return None
    told, *walks = map(json.loads, done.stdout.splitlines())
    return told, walks


def walked(page, va):
    """What walker.py's page says of an address, in the words of the kernel's walk."""
    return page and (page.pa + va - page.va, page.page, page.perm, page.cache)


def said(walk):
    """And translate says the same of where."""
    if walk.get("pa") != walk.get("translate"):
        return walk
    if "pa" not in walk:
        return None
    return int(walk["pa"], 16), witness.PAGE_BYTES[walk["page"]], walk["perm"], walk["cache"]


def reader_differences(tables, pages, asked, told, walks):
    """walker.py and the kernel's reader on the host: all pages, and each address."""
    wrong = witness.differences(witness.from_walker(pages), witness.stretches(told["maps"]),
                                "walker and the kernel's reader")
    for va, walk in zip(asked, walks, strict=True):
        mine = walked(tables.translate(va), va)
        if mine != said(walk):
            wrong.append(f"{va:#x}: walker {mine}, paging_walk {walk}")
    return wrong


# ---- all stages -------------------------------------------------------------------------------

@dataclass
class Sight:
    """One root, and what both readers make of it."""
    tables: walker.Tables
    pages: list  # by walker.py
    told: dict   # by the kernel's reader on the host: ptdump,
    walks: list  # and paging_walk for each address
    dump: object  # a file with just the tables

    def differences(self, asked):
        return reader_differences(self.tables, self.pages, asked, self.told, self.walks)


@dataclass
class Stop:
    key: str
    paging: bool
    asked: list     # addresses
    sight: Sight    # the tables in CR3, or that CR3 will hold when paging goes on; None: there are none
    coming: Sight   # a second root, built and not loaded
    words: object   # what the emulator says
    vivo: list      # maps, by the ptdump of the kernel itself; None: it does not run yet


SPEAKS = ("kernel-tables", "cr3", "low-gone", "window", "map", "heap")  # C runs and has a console
LONG_MODE = {"i386": (0, 0), "x86_64": (1 << 5, 0xD00)}  # CR4.PAE; EFER's LME, LMA and NXE
ROOT = {"i386": "boot_directory", "x86_64": "boot_pml4"}
PHYS_BITS = {"i386": 32, "x86_64": 40}  # of both emulators' CPUs; see read_cpu


class Journey:
    """What tools/tour calls a tour, with other things to do at each stop."""

    def __init__(self, image, debugger, words, serial, directory, count):
        self.image, self.debugger, self.words, self.serial = image, debugger, words, serial
        self.directory, self.count = directory, count
        self.arch, self.format, self.notes = image.arch, Format(image.arch), {}
        self.rng = random.Random(count)

    def stops(self):
        for stage in stages_of(self.arch):
            stage.travel(self)
            yield self.look(stage.key)

    def look(self, key):
        cpu = self.read_cpu(key)
        paging = bool(self.debugger.controls()["CR0"] >> 31)
        frames = Frames(self.debugger.frame)
        pages = [] if key == "entry" else list(walker.Tables(cpu, frames).leaves())
        asked = self.addresses(pages, paging)
        sight = self.see(key, cpu, frames, asked) if key != "entry" else None
        coming = None
        if key == "kernel-tables":
            coming = self.see("coming", replace(cpu, cr3=self.notes["root"]), frames, asked)
        frames.close()
        words = self.words(self.debugger, asked)
        vivo = self.hear("report_ptdump")["maps"] if key in SPEAKS else None
        return Stop(key, paging, asked, sight, coming, words, vivo)

    def read_cpu(self, key):
        """Before CR0.PG the mode of paging is the one that the kernel is about to choose."""
        c, (pae, long_mode) = self.debugger.controls(), LONG_MODE[self.arch]
        root = self.image.physical(ROOT[self.arch])
        if not c["CR0"] >> 31:
            assert c["CR3"] in (0, root)
            c |= {"CR3": root, "CR4": c["CR4"] | pae, "EFER": c["EFER"] | long_mode}
        if key == SPEAKS[0]:
            told = self.hear("report_cpu")
            assert (int(told["pat"], 16), told["phys_bits"]) == (PAT, PHYS_BITS[self.arch])
        pat = PAT if key in SPEAKS else walker.PAT_POWER_UP
        return walker.Cpu(c["CR3"], c["CR0"], c["CR4"], c["EFER"], PHYS_BITS[self.arch], pat,
                          gib_pages=True)

    def see(self, name, cpu, frames, asked):
        tables = walker.Tables(cpu, frames)
        pages = list(tables.leaves())
        dump = self.directory / f"{name}.bin"
        frames.save(dump)
        told, walks = host(self.arch, cpu, dump, asked)
        return Sight(tables, pages, told, walks, dump)

    def addresses(self, pages, paging):
        """Edges of all that is mapped, then anywhere on it, then anywhere at all."""
        if not paging:
            return [self.rng.randrange(1 << 32) for _ in range(self.count)]
        stretches = witness.from_walker(pages)
        places = [{"va": hex(s.va), "length": s.length} for s in stretches]
        places += [{"va": "0x0", "length": 1 << 32}]
        wide = self.arch == "x86_64"
        asked = witness.addresses_of(places, stretches, self.count, self.rng)
        return [va for va in (va % (1 << (64 if wide else 32)) for va in asked)
                if not wide or va >> 47 in (0, 0x1FFFF)]

    def hear(self, report):
        """What the stopped kernel itself says."""
        before = self.serial.stat().st_size
        call(self, report)
        with open(self.serial, errors="replace") as text:
            text.seek(before)
            told, = reports(text.read()).values()
        return told


# ---- the emulators ----------------------------------------------------------------------------

@dataclass
class QemuWords:
    tlb: str   # `info tlb`
    mem: str   # `info mem`
    leads: list  # `gva2gpa` of each address


def qemu_words(debugger, asked):
    return QemuWords(debugger.ask("info tlb"), debugger.ask("info mem"),
                     [witness.gva2gpa(debugger.machine, va) for va in asked])


@dataclass
class BochsWords:
    tab: str     # `info tab`
    pages: list  # `page` of each address


def bochs_words(debugger, asked):
    return BochsWords("\n".join(debugger.ask("info tab")),
                      ["\n".join(debugger.ask(f"page {va:#x}")) for va in asked])


def in_bochs(image, iso, directory, count):
    """(every Stop, the boot information that the loader gave)."""
    (directory / "boot.iso").write_bytes(iso.read_bytes())
    debugger = BochsDebugger(image.arch, directory / "boot.iso", image.path,
                             harness.BOCHS_CPU[image.arch], MEM="64M")
    try:
        journey = Journey(image, debugger, bochs_words, directory / "bochs-serial.txt", directory, count)
        stops = []
        for stop in journey.stops():
            if stop.key == "entry":
                start = debugger.registers()["rbx"]
                bytes_ = debugger.physical(start, 1)[0]
                information = struct.pack(f"<{bytes_ // 4}I", *debugger.physical(start, bytes_ // 4))
            stops.append(stop)
        return stops, information
    finally:
        debugger.close()


def in_qemu(image, iso, directory, count, information):
    """Every Stop, after a boot with other boot information than the loader's."""
    (directory / "mbi").write_bytes(information)
    extra, path = gdbstub.waiting(directory)
    extra += ["-fw_cfg", f"name=opt/twinpage/mbi,file={directory / 'mbi'}"]
    serial = directory / "serial.txt"
    with harness.Machine(image.arch, cpu="max", memory="64M", timeout=60, iso=iso, extra=extra,
                         serial=serial) as machine:
        debugger = gdbstub.Debugger(machine, path)
        try:
            return list(Journey(image, debugger, qemu_words, serial, directory, count).stops())
        finally:
            debugger.close()
