# SPDX-License-Identifier: MIT
"""harness.py - boots the kernel in QEMU, Bochs or v86 and says what became of it.

A run ends in one of five ways, and only the first is a pass:

    pass    QEMU's exit code is 33 and the last line is "twinpage: verdict pass"
    fail    the kernel said so itself (exit code 35, or the line)
    reset   the machine was reset: a triple fault, or `reboot`
    hang    no end within the timeout
    crash   the emulator itself ended in some other way, or code and text disagree

One image serves all runs: the command line goes in through fw_cfg. Bochs and v86 have no fw_cfg for
us, so they get an image of their own, and no exit code, so there the kernel's text alone decides.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TWINPAGE_BUILD", ROOT / "build"))
ARCHES = ("i386", "x86_64")
FIRMWARES = ("bios", "ovmf64", "ovmf32")
PROMPT = re.compile(r"[\r\n](?:\x1b\[[0-9;]*m)*twinpage>(?:\x1b\[[0-9;]*m)* ")  # begins a line

SLOWER = float(os.environ.get("TWINPAGE_SLOWER", "1"))  # multiplies every timeout
EXIT_PASS, EXIT_FAIL = 33, 35  # (0x10 << 1) | 1 and (0x11 << 1) | 1
BOCHS_CPU = {"i386": "p3_katmai", "x86_64": "corei7_skylake_x"}  # as in arch.mk

OVMF64 = Path("/usr/share/ovmf/OVMF.fd")
OVMF32_CODE = Path("/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd")
OVMF32_VARS = Path("/usr/share/OVMF/OVMF32_VARS_4M.fd")


def kernel_path(arch):
    return BUILD / arch / f"twinpage-{arch}.elf"


def iso_path(arch):
    path = BUILD / arch / f"twinpage-{arch}.iso"
    assert path.exists(), f"{path} is not there: make ARCH={arch} iso"
    return path


def plain(text):
    """Text without colours, with \\n alone at line ends."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


@dataclass
class Run:
    verdict: str
    code: int
    text: str  # the console, plain
    seconds: float
    command: list = field(repr=False, default_factory=list)

    @property
    def passed(self):
        return self.verdict == "pass"

    def explain(self):
        tail = "\n".join(self.text.splitlines()[-40:])
        words = " ".join(str(w) for w in self.command)
        return f"{self.verdict} (exit code {self.code}, {self.seconds:.1f} s)\n{words}\n{tail}"


def judge(code, text):
    """What a QEMU exit code and the console's text mean together; code None: it never ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if code is None:
        return "hang"
    if code == EXIT_FAIL:
        return "fail"
    if code == EXIT_PASS:
        return "pass" if last == "twinpage: verdict pass" else "crash"
    return "reset" if code == 0 else "crash"


def qemu_command(arch, iso, directory, *, machine="pc", cpu=None, memory="64M", firmware="bios",
                 cmdline="", reboot=False, extra=()):
    """The words of a QEMU command, without any character devices."""
    program = f"qemu-system-{arch}"
    words = ["-m", memory, "-cdrom", iso, "-boot", "d", "-display", "none", "-monitor", "none",
             "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-net", "none"]
    if firmware == "ovmf64":
        program = "qemu-system-x86_64"
        words += ["-machine", machine, "-bios", OVMF64]
    elif firmware == "ovmf32":
        variables = Path(directory) / "vars.fd"
        shutil.copy(OVMF32_VARS, variables)
        words += ["-machine", "q35,smm=on",
                  "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF32_CODE}",
                  "-drive", f"if=pflash,format=raw,file={variables}",
                  "-global", "driver=cfi.pflash01,property=secure,value=on"]
    else:
        words += ["-machine", machine]
    if cpu:
        words += ["-cpu", cpu]
    if cmdline:  # QEMU wants no empty ones; then GRUB's own stands
        escaped = cmdline.replace(",", ",,")
        words += ["-fw_cfg", f"name=opt/twinpage/cmdline,string={escaped}"]
    if not reboot:
        words += ["-no-reboot"]
    return [program, *(str(word) for word in [*words, *extra])]


def huge(cpu, memory):
    """CPU and more words for a guest with more RAM than the host has: nothing is reserved."""
    return f"{cpu},phys-bits=46", (
        "-object", f"memory-backend-ram,id=ram0,size={memory},reserve=off",
        "-machine", "memory-backend=ram0")


def boot(arch, *, cmdline="selftest", timeout=60, iso=None, **machine):
    """Boots once, without anybody at the keyboard, and returns a Run."""
    with tempfile.TemporaryDirectory(prefix="twinpage-") as directory:
        serial = Path(directory) / "serial.txt"
        command = qemu_command(arch, iso or iso_path(arch), directory, cmdline=cmdline, **machine)
        command += ["-serial", f"file:{serial}"]
        begin = time.monotonic()
        try:
            done = subprocess.run(command, timeout=timeout * SLOWER, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            code, complaint = done.returncode, done.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired:
            code, complaint = None, ""
        seconds = time.monotonic() - begin
        raw = serial.read_bytes().decode(errors="replace") if serial.exists() else ""
    text = plain(raw)
    verdict = judge(code, text)
    if verdict == "crash":
        text += "\nQEMU: " + complaint
    return Run(verdict, code, text, seconds, command)


def make_iso(kernel, path, cmdline=""):
    """An image of `kernel` with a command line of its own, as `make iso` makes it."""
    subprocess.run([ROOT / "tools" / "mkiso.sh", kernel, ROOT / "grub.cfg", path], check=True,
                   env=dict(os.environ, CMDLINE=cmdline))
    return Path(path)


def interrupt(process):
    """Ctrl-C: Bochs' debugger asks what to do, finds no input and ends, with all files written."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.communicate(timeout=5)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def boot_bochs(arch, *, cmdline="selftest", memory="64M", timeout=120, kernel=None, cpu=None):
    """The same in Bochs, started as `make bochs` starts it."""
    kernel = kernel or kernel_path(arch)
    with tempfile.TemporaryDirectory(prefix="twinpage-") as directory:
        iso = make_iso(kernel, Path(directory) / "boot.iso", cmdline)
        serial = Path(directory) / "bochs-serial.txt"
        command = [str(ROOT / "tools" / "bochs.sh"), str(iso), str(kernel), cpu or BOCHS_CPU[arch]]
        env = dict(os.environ, TERM="dumb", MEM=memory, DISPLAY_LIBRARY="term")
        begin = time.monotonic()
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, cwd=directory,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            output = process.communicate(timeout=timeout * SLOWER)[0]
            ended = True
        except subprocess.TimeoutExpired:
            output, ended = interrupt(process), False
        seconds = time.monotonic() - begin
        raw = serial.read_bytes() if serial.exists() else b""
    text = plain(raw.decode(errors="replace"))
    if not ended:
        verdict = "hang"
    elif re.search(rb"3rd \(\d+\) exception", output):
        verdict = "reset"
    elif "twinpage: verdict fail" in text:
        verdict = "fail"
    else:
        verdict = judge(EXIT_PASS, text)
    return Run(verdict, process.returncode, text, seconds, command)


def boot_v86(*, cmdline="selftest", memory="64M", timeout=60, kernel=None):
    """The i386 kernel in v86, in Node, with the files of `make web`. The text alone decides."""
    node = shutil.which("node") or shutil.which("nodejs")
    assert node, "no Node here: make deps web installs it"
    files = BUILD / "web"
    assert (files / "v86.wasm").exists(), f"{files} is not there: make web"
    with tempfile.TemporaryDirectory(prefix="twinpage-") as directory:
        iso = make_iso(kernel or kernel_path("i386"), Path(directory) / "boot.iso", cmdline)
        command = [node, str(files / "headless.js"), str(files), str(iso), memory.rstrip("M")]
        begin = time.monotonic()
        try:
            done = subprocess.run(command, timeout=timeout * SLOWER, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            output, complaint, code = done.stdout, done.stderr.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as late:
            output, complaint, code = late.stdout or b"", "", None
        seconds = time.monotonic() - begin
    text = plain(output.decode(errors="replace"))
    if code is not None:
        verdict = "fail" if "twinpage: verdict fail" in text else judge(EXIT_PASS, text)
    else:
        verdict = "hang"
    if verdict == "crash":
        text += "\nv86: " + complaint
    return Run(verdict, code, text, seconds, command)


class Machine:
    """QEMU with somebody at the serial line: `with Machine("i386") as m: m.run("help")`. With
    `serial`, a file, nobody is there."""

    def __init__(self, arch, *, cmdline="", timeout=20, iso=None, serial=None, **machine):
        self.arch, self.timeout = arch, timeout * SLOWER
        self.stack = contextlib.ExitStack()
        self.directory = Path(self.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="twinpage-")))
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(self.directory / "qmp"))
        listener.listen(1)
        listener.settimeout(20 * SLOWER)
        command = qemu_command(arch, iso or iso_path(arch), self.directory, cmdline=cmdline,
                               **machine)
        line = f"file,id=line,path={serial}" if serial else "stdio,id=line,signal=off"
        command += ["-chardev", line, "-serial", "chardev:line", "-qmp",
                    f"unix:{self.directory / 'qmp'}"]
        self.command = command
        self.line = pexpect.spawn(command[0], command[1:], timeout=self.timeout, echo=False,
                                  encoding="utf-8", codec_errors="replace", maxread=1 << 16,
                                  dimensions=(50, 200))
        self.line.delaybeforesend = None
        self.stack.callback(self.line.close, force=True)
        try:
            connection = self.stack.enter_context(listener.accept()[0])
            connection.settimeout(self.timeout)
            self.control = self.stack.enter_context(connection.makefile("rwb"))
            json.loads(self.control.readline())
            self.qmp("qmp_capabilities")
        except (OSError, ValueError) as error:
            self.line.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=1)
            self.stack.close()
            raise RuntimeError(f"QEMU did not start: {self.line.before}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def qmp(self, command, **arguments):
        """One QMP command; returns what it returns."""
        words = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self.control.write(json.dumps(words).encode() + b"\n")
        self.control.flush()
        while True:
            answer = json.loads(self.control.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def monitor(self, line):
        """A command of QEMU's own monitor, as text."""
        return self.qmp("human-monitor-command", **{"command-line": line})

    def memory_bytes(self, start, count):
        """Physical memory, as it is."""
        path = self.directory / "memory.bin"
        self.qmp("pmemsave", val=start, size=count, filename=str(path))
        return path.read_bytes()

    def screenshot(self, path):
        self.qmp("screendump", filename=str(path), format="png")
        return Path(path)

    def wait_prompt(self):
        """Everything up to the next prompt, plain."""
        self.line.expect(PROMPT)
        return plain(self.line.before)

    def run(self, command):
        """Types a command; returns what it printed, without the echo."""
        self.line.send(command + "\r")
        text = self.wait_prompt()
        echo, _, rest = text.partition("\n")
        return rest if command in echo or not echo.strip() else text

    def json(self, command):
        """Runs `command -j`; returns the one object it printed."""
        text = self.run(command + " -j")
        lines = [line for line in text.splitlines() if line.startswith("{")]
        assert len(lines) == 1, f"{command} -j printed:\n{text}"
        return json.loads(lines[0])

    def end(self):
        """Waits until QEMU ends; returns a Run like boot()."""
        begin = time.monotonic()
        try:
            self.line.expect(pexpect.EOF)
        except pexpect.TIMEOUT:
            return Run("hang", None, plain(self.line.before), time.monotonic() - begin)
        self.line.wait()
        text = plain(self.line.before)
        code = self.line.exitstatus
        return Run(judge(code, text), code, text, time.monotonic() - begin, self.command)
