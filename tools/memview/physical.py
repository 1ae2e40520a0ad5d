# SPDX-License-Identifier: MIT
"""physical.py - where physical memory comes from.

Every source answers read(address, count) with exactly that many bytes or raises Unreadable: a
reader that made up zeroes for what it cannot see would find empty page tables everywhere.

    RawFile    bytes from physical address 0 on: QMP pmemsave, Bochs' writemem over a direct map
    CoreFile   an ELF core by physical address: QMP dump-guest-memory with paging false
    XpText     what Bochs' `xp /Nwx ADDRESS` prints: only the pages that were asked for
    Several    more than one of these: the first that knows the bytes answers
    Patched    another source with some bytes changed: how the tests plant a corruption
"""
import mmap
import re

from elftools.elf.elffile import ELFFile

PAGE = 4096


class Unreadable(Exception):
    """Nothing is known of these physical bytes."""

    def __init__(self, address, count=1):
        super().__init__(f"physical memory at {address:#x} + {count:#x} is not in the dump")
        self.address = address


class Pieces:
    """Stretches of physical memory, each somewhere in one buffer: (start, bytes, offset)."""

    def __init__(self, buffer, pieces):
        self.buffer = buffer
        self.pieces = sorted(pieces)

    def read(self, address, count):
        for start, size, offset in self.pieces:
            if start <= address and address + count <= start + size:
                at = offset + address - start
                return bytes(self.buffer[at:at + count])
        raise Unreadable(address, count)

    @property
    def end(self):
        return max((start + size for start, size, _ in self.pieces), default=0)


def _map_file(path):
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class RawFile(Pieces):
    def __init__(self, path, base=0):
        buffer = _map_file(path)
        super().__init__(buffer, [(base, len(buffer), 0)])


class CoreFile(Pieces):
    def __init__(self, path):
        with open(path, "rb") as file:
            pieces = [(s["p_paddr"], s["p_filesz"], s["p_offset"])
                      for s in ELFFile(file).iter_segments()
                      if s["p_type"] == "PT_LOAD" and s["p_filesz"]]
        super().__init__(_map_file(path), pieces)


class XpText:
    """Lines such as `[bochs]:` / `0x00101000 <pd+0>: 0x00102003 0x00000000`, words of 32 bits."""

    LINE = re.compile(r"^0x([0-9a-fA-F]+)[^:]*:((?:\s+0x[0-9a-fA-F]{8})+)\s*$", re.M)

    def __init__(self, text):
        self.words = {}
        for match in self.LINE.finditer(text):
            address = int(match[1], 16)
            for i, word in enumerate(match[2].split()):
                self.words[address + 4 * i] = int(word, 16).to_bytes(4, "little")

    def read(self, address, count):
        first = address & ~3
        parts = []
        for at in range(first, address + count, 4):
            if at not in self.words:
                raise Unreadable(at, 4)
            parts.append(self.words[at])
        return b"".join(parts)[address - first:address - first + count]

    @property
    def end(self):
        return max(self.words, default=-4) + 4


class Several:
    def __init__(self, sources):
        self.sources = sources

    def read(self, address, count):
        for source in self.sources:
            try:
                return source.read(address, count)
            except Unreadable:
                continue
        raise Unreadable(address, count)

    @property
    def end(self):
        return max(source.end for source in self.sources)


class Patched:
    def __init__(self, below):
        self.below = below
        self.bytes = {}

    def write(self, address, data):
        self.bytes.update({address + i: byte for i, byte in enumerate(data)})

    def flip(self, address, bit):
        self.write(address + bit // 8, [self.read(address + bit // 8, 1)[0] ^ 1 << bit % 8])

    def read(self, address, count):
        data = bytearray(self.below.read(address, count))
        for at, byte in self.bytes.items():
            if address <= at < address + count:
                data[at - address] = byte
        return bytes(data)

    @property
    def end(self):
        return self.below.end


def open_dumps(names):
    """One source for files, each FILE or FILE@ADDRESS: where the first byte of a raw one belongs."""
    sources = []
    for name in names:
        path, _, base = name.rpartition("@") if "@" in name else (name, "", "0")
        sources.append(open_dump(path, int(base, 0)))
    return sources[0] if len(sources) == 1 else Several(sources)


def open_dump(path, base=0):
    """The source that fits the file: an ELF core, Bochs' text, or raw bytes from `base` on."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head.startswith(b"\x7fELF"):
        return CoreFile(path)
    if re.search(rb"^\s*(\[bochs\]|<bochs|0x[0-9a-fA-F]{8,16} <|Next at t=)", head, re.M):
        with open(path, encoding="utf-8", errors="replace") as file:
            return XpText(file.read())
    return RawFile(path, base)
