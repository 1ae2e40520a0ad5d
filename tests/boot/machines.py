#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""machines.py [--count | --document] - the machines that every self-test must pass on, as data.

One line is one machine: emulator, target, chipset, CPU, RAM, firmware. A star marks those of
`make test`; `make matrix` has all of them, and then each CPU with each size of RAM besides.
--document writes the table of docs/machines.md.
"""
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "machines.md"
MARKS = "<!-- table -->\n", "<!-- /table -->\n"

TABLE = """
QEMU   i386    pc   486         8M    bios    *
QEMU   i386    pc   486         64M   bios
QEMU   i386    pc   pentium     16M   bios    *
QEMU   i386    pc   pentium2    32M   bios
QEMU   i386    pc   pentium3    128M  bios
QEMU   i386    pc   coreduo     1G    bios
QEMU   i386    q35  qemu32      64M   bios    *
QEMU   i386    pc   qemu32      9M    bios
QEMU   i386    q35  Haswell     3G    bios
QEMU   i386    q35  max         5G    bios    *
QEMU   i386    pc   max         4G    bios
QEMU   i386    q35  max         256M  ovmf64  *
QEMU   i386    pc   max         5G    ovmf64
QEMU   i386    q35  qemu32      256M  ovmf32  *
QEMU   i386    q35  max         1G    ovmf32
QEMU   x86_64  pc   qemu64      16M   bios    *
QEMU   x86_64  pc   qemu64      17M   bios
QEMU   x86_64  pc   core2duo    64M   bios
QEMU   x86_64  q35  Nehalem     128M  bios
QEMU   x86_64  q35  Haswell     64M   bios    *
QEMU   x86_64  q35  Skylake-Client 3G bios
QEMU   x86_64  pc   EPYC        4G    bios
QEMU   x86_64  q35  EPYC-Rome   1G    bios
QEMU   x86_64  pc   max         5G    bios    *
QEMU   x86_64  q35  max         63M   bios
QEMU   x86_64  pc   max         4T    bios    *
QEMU   x86_64  pc   max         256M  ovmf64  *
QEMU   x86_64  q35  max         5G    ovmf64
QEMU   x86_64  q35  qemu64      256M  ovmf32  *
QEMU   x86_64  q35  max         1G    ovmf32
Bochs  i386    pc   pentium             64M    bios  *
Bochs  i386    pc   pentium_mmx         32M    bios
Bochs  i386    pc   amd_k6_2_chomper    64M    bios
Bochs  i386    pc   p2_klamath          64M    bios
Bochs  i386    pc   p3_katmai           64M    bios  *
Bochs  i386    pc   p4_willamette       512M   bios
Bochs  i386    pc   atom_n270           64M    bios
Bochs  i386    pc   corei7_skylake_x    2048M  bios
Bochs  x86_64  pc   athlon64_clawhammer 32M    bios
Bochs  x86_64  pc   core2_penryn_t9600  64M    bios
Bochs  x86_64  pc   corei5_lynnfield_750 64M   bios
Bochs  x86_64  pc   zambezi             64M    bios
Bochs  x86_64  pc   corei7_haswell_4770 512M   bios
Bochs  x86_64  pc   ryzen               64M    bios
Bochs  x86_64  pc   corei7_skylake_x    64M    bios  *
Bochs  x86_64  pc   tigerlake           2048M  bios
v86    i386    pc   v86         8M    bios
v86    i386    pc   v86         16M   bios
v86    i386    pc   v86         64M   bios    *
v86    i386    pc   v86         512M  bios
"""


@dataclass(frozen=True)
class Configuration:
    emulator: str
    arch: str
    chipset: str
    cpu: str
    memory: str
    firmware: str
    always: bool  # in `make test`

    @property
    def name(self):
        return "-".join((self.emulator, self.arch, self.chipset, self.cpu, self.memory, self.firmware))


def parse(table):
    for line in table.split("\n"):
        words = line.split()
        if words:
            yield Configuration(*words[:6], always=words[6:] == ["*"])


ALL = tuple(parse(TABLE))


def count():
    kinds = Counter(c.emulator for c in ALL)
    return (f"{len(ALL)} machines: " + ", ".join(f"{n} in {e}" for e, n in kinds.items())
            + f"; {sum(c.always for c in ALL)} of them in make test")


def table():
    lines = [count() + ".", "",
             "| | target | chipset | CPU | RAM | firmware | `make test` |", "|---|---|---|---|---|---|---|"]
    for c in ALL:
        lines.append(f"| {c.emulator} | {c.arch} | {c.chipset} | {c.cpu} | {c.memory} "
                     f"| {c.firmware} | {'yes' if c.always else ''} |")
    return "\n".join(lines) + "\n"


def document(text):
    """The document with the table of today."""
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    return before + MARKS[0] + table() + MARKS[1] + after


if __name__ == "__main__":
    if "--document" in sys.argv:
        DOCUMENT.write_text(document(DOCUMENT.read_text()))
    else:
        print("  " + count())
