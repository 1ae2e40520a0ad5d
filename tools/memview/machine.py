# SPDX-License-Identifier: MIT
"""machine.py - boots the kernel in QEMU without a screen, types into its shell, takes the dump.

The serial line is a socket, so is QMP. The machine is stopped before anything is read, so memory
and registers are of one moment.
"""
import contextlib
import json
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from memview.physical import open_dump
from memview.tables import Registers

PROMPT = re.compile(rb"[\r\n](?:\x1b\[[0-9;]*m)*twinpage>(?:\x1b\[[0-9;]*m)* ")
SECONDS = 60
RAW_MAX = 2 << 30  # below the hole for devices; more RAM goes into a core, which is sparse


class Qmp:
    def __init__(self, connection):
        self.file = connection.makefile("rwb")
        self.file.readline()
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        words = {"execute": command, "arguments": arguments}
        self.file.write(json.dumps(words).encode() + b"\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise OSError(f"QEMU: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def monitor(self, line):
        return self.run("human-monitor-command", **{"command-line": line})


def registers(qmp):
    """The control registers of the CPU."""
    text = qmp.monitor("info registers")
    found = {name.lower(): int(re.search(rf"\b{name}\s*=\s*([0-9a-fA-F]+)", text)[1], 16)
             for name in ("CR0", "CR3", "CR4", "EFER")}
    return Registers(**found)


def save(qmp, path):
    """Physical memory in a file; the machine should be stopped."""
    size = qmp.run("query-memory-size-summary")["base-memory"]
    if size <= RAW_MAX:
        qmp.run("pmemsave", val=0, size=size, filename=str(path))
    else:
        qmp.run("dump-guest-memory", paging=False, protocol=f"file:{path}")


def _wait_prompt(line):
    text = b""
    deadline = time.monotonic() + SECONDS
    while not PROMPT.search(text):
        line.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            data = line.recv(1 << 16)
        except TimeoutError:
            data = b""
        if not data:
            raise OSError("the kernel did not come to its prompt: " + text[-400:].decode("utf-8", "replace"))
        text += data
    return text


def _listen(stack, path):
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(SECONDS)
    return listener


def _start(stack, directory, qemu, iso, memory, cpu):
    line, control = _listen(stack, directory / "line"), _listen(stack, directory / "qmp")
    command = [qemu, "-machine", "pc", "-m", memory, "-cpu", cpu, "-cdrom", str(iso), "-boot", "d",
               "-display", "none", "-monitor", "none", "-no-reboot", "-net", "none",
               "-serial", f"unix:{directory / 'line'}", "-qmp", f"unix:{directory / 'qmp'}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return stack.enter_context(line.accept()[0]), Qmp(stack.enter_context(control.accept()[0]))


def boot_and_dump(qemu, iso, memory, cpu, commands, keep=None):
    """(physical memory, registers) of the kernel at its prompt, after the commands."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memview-")))
        line, qmp = _start(stack, directory, qemu, iso, memory, cpu)
        _wait_prompt(line)
        for command in commands:
            line.sendall(command.encode() + b"\r")
            _wait_prompt(line)
        qmp.run("stop")
        path = Path(keep).resolve() if keep else directory / "memory.bin"
        save(qmp, path)
        return open_dump(path), registers(qmp)  # mapped: it stays when the file goes
