# SPDX-License-Identifier: MIT
"""dumps.py - the memory of a machine under test, as tools/memview reads it."""
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
