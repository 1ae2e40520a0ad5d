# SPDX-License-Identifier: MIT
"""gdbstub.py - QEMU with a debugger's verbs, those of tools/tour/debugger.py, so that the tour's
table of stages moves it too.

Stops come through QEMU's gdb server, in gdb's own protocol (GDB manual, appendix E: a packet is
$text#sum, each answered by a +). Registers and memory are read through QEMU's monitor, and through
it all else can be asked while the machine stands still.
"""
import re
import socket

import harness

I386 = "eax ecx edx ebx esp ebp esi edi eip eflags".split()
X86_64 = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags".split()
REGISTER = re.compile(r"\b([ER]\w\w|R\d+|EFL|RFL) *=([0-9a-f]+)")
CONTROL = re.compile(r"\b(CR[034]|EFER) *=([0-9a-f]+)")


class Lost(Exception):
    """The machine did not come where it should."""


class Stub:
    """QEMU's end of gdb's protocol: a packet goes out, its answer comes back."""

    def __init__(self, path, timeout):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rwb")
        self.ask("qXfer:features:read:target.xml:0,ffb")  # or it knows no packet P

    def ask(self, text):
        self.stream.write(f"${text}#{sum(text.encode()) % 256:02x}".encode())
        self.stream.flush()
        while self.stream.read(1) != b"$":  # acknowledgements
            pass
        answer = b""
        while (byte := self.stream.read(1)) != b"#":
            assert byte, f"QEMU left, {text} unanswered"
            answer += byte
        self.stream.read(2)
        self.stream.write(b"+")
        self.stream.flush()
        return answer.decode(errors="replace")

    def order(self, text):
        answer = self.ask(text)
        assert answer == "OK", f"{text}: {answer}"

    def close(self):
        self.stream.close()
        self.socket.close()


class Debugger:
    """A machine that was started with `waiting(directory)`; it stands at its first instruction."""

    def __init__(self, machine, path):
        self.machine = machine
        self.numbers = {name: i for i, name in enumerate(I386 if machine.arch == "i386" else X86_64)}
        self.stub = Stub(path, machine.timeout)

    def close(self):
        self.stub.close()

    # ---- moving ---------------------------------------------------------------------------------

    def go(self, address):
        """Runs until the instruction at a linear address is next."""
        if self.pc() == address:
            return
        self.stub.order(f"Z0,{address:x},1")
        stopped = self.stub.ask("c")
        self.stub.order(f"z0,{address:x},1")
        if self.pc() != address:
            raise Lost(f"did not come to {address:#x}: {stopped} at {self.pc():#x}")

    def step(self):
        self.stub.ask("s")

    # ---- looking --------------------------------------------------------------------------------

    def ask(self, command):
        return self.machine.monitor(command).replace("\r", "")

    def registers(self):
        """By their 64-bit names, as the tour knows them."""
        found = REGISTER.findall(self.ask("info registers"))
        short = {"efl": "eflags", "rfl": "eflags"}
        return {short.get(name.lower(), re.sub("^e(..)$", r"r\1", name.lower())): int(value, 16)
                for name, value in found}

    def pc(self):
        return self.registers()["rip"]

    def controls(self):
        return {name: int(value, 16) for name, value in CONTROL.findall(self.ask("info registers"))}

    def words(self, command, address, count):
        text = self.ask(f"{command} /{count}xw {address:#x}")
        return [int(word, 16) for line in text.splitlines() for word in line.split(":")[1].split()]

    def physical(self, address, count):
        """Words of 32 bits from physical memory."""
        return self.words("xp", address, count)

    def linear(self, address, count):
        return self.words("x", address, count)

    def frame(self, address):
        """4096 bytes of physical memory."""
        return self.machine.memory_bytes(address, 4096)

    # ---- changing -------------------------------------------------------------------------------

    def set_register(self, name, value):
        name = re.sub("^r(..)$", r"e\1", name) if self.machine.arch == "i386" else name
        size = 4 if self.machine.arch == "i386" or name == "eflags" else 8
        self.stub.order(f"P{self.numbers[name]:x}={value.to_bytes(size, 'little').hex()}")

    def poke(self, address, word):
        """A word of 32 bits at a linear address."""
        self.stub.order(f"M{address:x},4:{word.to_bytes(4, 'little').hex()}")


def waiting(directory):
    """(words for QEMU, the path for Debugger): it stands still until it is told to go on."""
    path = directory / "gdb"
    return ["-S", "-gdb", f"unix:{path},server=on,wait=off"], path
