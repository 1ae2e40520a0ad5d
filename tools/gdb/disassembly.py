# SPDX-License-Identifier: MIT
"""disassembly.py - code in the mode in which the CPU runs it.

gdb takes one architecture from the ELF file and disassembles everything with it: in an x86_64
kernel, the 32-bit entry code then reads as nonsense (`mov %rax,%cr0`, `(bad)` for the far jump), and
so does what the firmware runs. Here the mode is decided for each address:

    16 bits   CR0.PE is clear: the firmware
    32 bits   the entry code, from _start to boot_long_mode, which is so by its place; and everything
              while EFER.LMA is clear
    else      gdb's own answer

What gdb cannot do itself, objdump does: binutils are needed to build the kernel anyway.
"""
import os
import re
import subprocess
import tempfile

import gdb

try:
    from gdb.disassembler import Disassembler, DisassemblerResult, register_disassembler
except ImportError:  # gdb before 13: the 32-bit part of a 64-bit kernel is shown as 64-bit
    Disassembler = object
    register_disassembler = None

CR0_PE, EFER_LMA = 1, 1 << 10
LONGEST = 15  # bytes of an instruction
LINE = re.compile(r"^\s*[0-9a-f]+:\t((?:[0-9a-f]{2} )+)\s*\t?(.*)$", re.M)


def symbol(name):
    try:
        return int(gdb.parse_and_eval(f"(unsigned long)&'{name}'"))
    except gdb.error:
        return None


def in_entry_code(address):
    start, end = symbol("_start"), symbol("boot_long_mode")
    return start is not None and end is not None and start <= address < end


def mode_of(address):
    """16 or 32, or None: gdb knows best."""
    if in_entry_code(address):
        return 32
    try:
        frame = gdb.newest_frame()
        cr0, efer = (int(frame.read_register(name)) for name in ("cr0", "efer"))
    except (gdb.error, ValueError):
        return None  # no machine
    if not cr0 & CR0_PE:
        return 16
    return 32 if not efer & EFER_LMA else None


def objdump(data, address, bits):
    """(length, text) of the first instruction."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        machine = {16: "i8086", 32: "i386"}[bits]
        out = subprocess.run([os.environ.get("OBJDUMP", "objdump"), "-D", "-b", "binary", "-m", machine,
                              f"--adjust-vma={address:#x}", "--insn-width=16", file.name],
                             capture_output=True, text=True, check=True).stdout
    found = LINE.search(out)
    return len(found[1].split()), found[2].strip()


def with_names(text):
    """`jmp 0x100050` gets the symbol, as gdb would write it."""
    match = re.search(r"0x([0-9a-f]+)$", text)
    if not match:
        return text
    found = gdb.execute(f"info symbol {match[0]}", to_string=True)
    name = re.match(r"(\S+)(?: \+ (\d+))? in section", found)
    return text + (f" <{name[1]}{'+' + name[2] if name[2] else ''}>" if name else "")


class ByMode(Disassembler):
    cache = {}

    def __init__(self):
        super().__init__("twinpage")

    def __call__(self, info):
        bits = mode_of(info.address)
        if bits is None or (bits == 32 and "64" not in info.architecture.name()):
            return None
        try:
            data = bytes(info.read_memory(LONGEST))
            key = (data, info.address, bits)
            if key not in self.cache:
                self.cache[key] = objdump(data, info.address, bits)
        except (gdb.MemoryError, OSError, subprocess.CalledProcessError, TypeError):
            return None
        length, text = self.cache[key]
        return DisassemblerResult(length=length, string=with_names(text))


def register():
    if register_disassembler:
        register_disassembler(ByMode())
