# SPDX-License-Identifier: MIT
"""dumps.py - the memory of a machine under test, as tools/memview reads it."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import harness

sys.path.insert(0, str(harness.ROOT / "tools"))
from memview import machine, page  # noqa: E402
from memview.kernel import Image, Kernel  # noqa: E402
from memview.report import Picture  # noqa: E402

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class Dump:
    """One moment of a machine: memory in a file, and registers."""

    def __init__(self, arch, directory, qemu, image=None):
        self.arch, self.path = arch, Path(directory) / "memory.bin"
        self.image = image or Image(harness.kernel_path(arch))
        qemu.qmp("stop")
        tap = Tap(qemu)
        machine.save(tap, self.path)
        self.registers = machine.registers(tap)
        self.physical = machine.open_dump(self.path)

    def kernel(self, physical=None):
        return Kernel(self.image, physical or self.physical, self.registers)

    def picture(self, physical=None):
        return Picture(self.kernel(physical))


class Tap:
    """The harness' QMP under the names that memview uses."""

    def __init__(self, qemu):
        self.run, self.monitor = qemu.qmp, qemu.monitor


# ---- Bochs ------------------------------------------------------------------------------------
RC = """config_interface: textconfig
display_library: term
megs: 64
cpu: model={cpu}, count=1, ips=100000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
clock: sync=none, time0=local
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
print_timestamps: enabled=0
log: {directory}/bochs.log
panic: action=fatal
"""
HHDM = 0xffff800000000000
PIECES = {"low.bin": (0, 0x9f000), "high.bin": (1 << 20, 63 << 20)}  # no RAM between the two
WORDS = (5 << 20) // 4  # what the i386 kernel uses of its RAM at the prompt, and more


def bochs_dump(arch, directory):
    """Words for memview.py: the memory of a kernel in Bochs as it enters its shell. Bochs writes
    files by virtual addresses, which is all of RAM where there is a direct map; else it prints."""
    iso = harness.make_iso(harness.kernel_path(arch), directory / "boot.iso")
    commands = [f"lb {Image(harness.kernel_path(arch)).symbols['shell_run']:#x}", "c", "creg"]
    if arch == "x86_64":
        commands += [f'writemem "{directory}/{name}" {HHDM + at:#x} {size}'
                     for name, (at, size) in PIECES.items()]
        dumps = [f"{directory}/{name}@{at:#x}" for name, (at, _) in PIECES.items()]
    else:
        commands += [f"xp /{WORDS}wx 0x0"]
        dumps = [f"{directory}/out.txt"]
    (directory / "commands").write_text("\n".join([*commands, "q"]) + "\n")
    (directory / "rc").write_text(RC.format(cpu=harness.BOCHS_CPU[arch], iso=iso, directory=directory))
    with open(directory / "out.txt", "wb") as out:
        subprocess.run(["bochs", "-q", "-f", directory / "rc", "-rc", directory / "commands"],
                       stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL,
                       timeout=100 * harness.SLOWER, env=dict(os.environ, TERM="dumb"))
    text = (directory / "out.txt").read_text(errors="replace")
    cr3 = re.search(r"^CR3=(0x[0-9a-f]+)", text, re.M)[1]
    return [*(word for dump in dumps for word in ("--dump", dump)), "--cr3", cr3]


# ---- the page in a browser --------------------------------------------------------------------
def browser():
    """The name of a Chromium. There must be one: a page that nobody opened proves nothing."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, "chromium is not installed, so the page was not opened: make deps test"
    return found


def open_page(path, query=""):
    """Opens a page without a screen; returns (the document after its scripts ran, what it
    complained of on the console)."""
    words = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", f"--user-data-dir={Path(path).parent}/profile",
             "--enable-logging=stderr", "--timeout=20000", "--dump-dom",
             Path(path).resolve().as_uri() + (f"#{query}" if query else "")]
    done = subprocess.run(words, capture_output=True, timeout=60 * harness.SLOWER, check=True)
    log = done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace"), [x for x in log.splitlines() if "CONSOLE" in x]
