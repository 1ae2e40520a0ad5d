# SPDX-License-Identifier: MIT
"""debugger.py - Bochs' own debugger as an object: a command goes in, its reply comes back.

Bochs runs with its prompt on a pipe (tools/bochs.sh starts it, so that the machine is the same as
for everybody else). Nothing here knows about the kernel or the tour; what is known is how Bochs 2.7
and 3.x print registers, memory, breakpoints and their page walk.

    D1  outside of ask() and go() Bochs waits at its prompt: the machine stands still.
    D2  every breakpoint set here is gone again when the call returns.
"""
import os
import re
import signal

import pexpect
from pexpect.popen_spawn import PopenSpawn

PROMPT = re.compile(r"<bochs:\d+> ")
REGISTER = re.compile(r"^\s*(\w+)\s*: ?(?:0x)?([0-9a-f]{8}_[0-9a-f]{8}|[0-9a-f]{8,16})\b", re.M)
CONTROL = re.compile(r"^(CR[0234]|EFER)=(?:.*?)0x([0-9a-f]+)", re.M)
WALKED = re.compile(r"^ *(PML4|PDPE|PDE|PTE): 0x([0-9a-f]+)", re.M)
REACHED = re.compile(r"maps to physical page 0x([0-9a-f]+)")
WORDS = re.compile(r"^0x[0-9a-f]+ <[^>]*>:((?:[ \t]+0x[0-9a-f]{8}\b)+)", re.M)


# However the tour ends, Bochs ends with it: it runs on when its pipe is gone.
WITH_ITS_PARENT = ["setpriv", "--pdeathsig", "KILL"]


class Lost(Exception):
    """The machine did not come where it should, or Bochs ended."""


class Debugger:
    def __init__(self, command, **environment):
        timeout = 60 * float(os.environ.get("TWINPAGE_SLOWER", "1"))
        env = dict(os.environ, PROMPT_ON_PIPE="1", **environment)
        words = WITH_ITS_PARENT + [str(word) for word in command]
        self.process = PopenSpawn(words, env=env, encoding="utf-8", codec_errors="replace",
                                  timeout=timeout, maxread=1 << 16, preexec_fn=os.setsid)
        self.timeout = timeout
        self.greeting = self.wait()

    # ---- words in, words out --------------------------------------------------------------------

    def wait(self):
        """Everything up to the next prompt."""
        self.busy = True
        try:
            self.process.expect(PROMPT)
            self.busy = False
        except pexpect.EOF:
            raise Lost("Bochs ended:\n" + tail(self.process.before)) from None
        except pexpect.TIMEOUT:
            self.interrupt()
            raise Lost(f"not there after {self.timeout} seconds; Bochs was stopped at\n"
                       + tail(self.process.before)) from None
        return self.process.before

    def ask(self, command):
        """The reply to a command, as lines."""
        self.process.sendline(command)
        text = self.wait()
        echo, newline, rest = text.partition("\n")
        if newline and echo.strip() == command.strip():
            text = rest
        return [line.rstrip() for line in text.splitlines() if line.strip()]

    def interrupt(self):
        """Ctrl-C for the machine: back to the prompt, wherever it is. One that comes just before the
        machine sets off is forgotten by Bochs, so there may be more."""
        for _ in range(10):
            self.process.kill(signal.SIGINT)
            try:
                self.process.expect(PROMPT, timeout=1)
                self.busy = False
                return
            except pexpect.TIMEOUT:
                continue
        raise Lost("Bochs does not stop")

    def close(self):
        """The end of Bochs; at its prompt by its own command."""
        try:
            if self.busy:
                self.interrupt()
            self.process.sendline("q")
            self.process.expect(pexpect.EOF, timeout=5)
        except (OSError, pexpect.TIMEOUT, pexpect.EOF, Lost):
            self.process.kill(signal.SIGKILL)
        self.process.wait()

    # ---- moving ---------------------------------------------------------------------------------

    def go(self, address):
        """Runs until the instruction at a linear address is next."""
        if self.pc() == address:
            return
        self.ask(f"lb {address:#x}")
        reply = "\n".join(self.ask("c"))
        hit = re.search(r"Breakpoint (\d+)", reply)
        if not hit or self.pc() != address:
            raise Lost(f"did not come to {address:#x}:\n" + tail(reply))
        self.ask(f"d {hit[1]}")

    def step(self):
        return self.ask("s")

    def traced_step(self):
        """One instruction with every access to memory that it makes, its own fetch included."""
        self.ask("trace-mem on")
        reply = self.step()
        self.ask("trace-mem off")
        return reply

    def version(self):
        found = re.search(r"Bochs x86 Emulator ([\d.]+)", self.greeting)
        return found[1] if found else "unknown"

    # ---- looking --------------------------------------------------------------------------------

    def registers(self):
        found = REGISTER.findall("\n".join(self.ask("r")))
        return {re.sub("^e(..)$", r"r\1", name): int(value.replace("_", ""), 16)
                for name, value in found}

    def pc(self):
        return self.registers()["rip"]

    def controls(self):
        return {name: int(value, 16) for name, value in CONTROL.findall("\n".join(self.ask("creg")))}

    def memory(self, command, address, count):
        text = "\n".join(self.ask(f"{command} /{count}wx {address:#x}"))
        words = [int(word, 16) for row in WORDS.findall(text) for word in row.split()]
        if len(words) != count:
            raise Lost(f"{command} {address:#x} gave {len(words)} of {count} words:\n" + tail(text))
        return words

    def physical(self, address, count):
        """Words of 32 bits from physical memory."""
        return self.memory("xp", address, count)

    def linear(self, address, count):
        return self.memory("x", address, count)

    def walk(self, address):
        """The hardware's walk: the entries on the way, and the physical page or None."""
        text = "\n".join(self.ask(f"page {address:#x}"))
        reached = REACHED.search(text)
        return [int(entry, 16) for _, entry in WALKED.findall(text)], \
            int(reached[1], 16) if reached else None


def tail(text, lines=12):
    return "\n".join(text.splitlines()[-lines:])
