#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""screens.py [DIRECTORY] - pictures for the documentation, made by a real boot.

screen-i386.png is the 80x25 text screen of a BIOS, screen-x86_64.png the framebuffer of UEFI;
memview-*.png are pages of tools/memview, written by gdb in the midst of heap_test.
"""
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dumps
import harness

SCENES = {
    "i386": (dict(firmware="bios", memory="64M"), ("meminfo",)),
    "x86_64": (dict(firmware="ovmf64", memory="256M"), ("meminfo", "pmm", "walk 0xffffffff80101000")),
}


HEAP = {"i386": "0xd00c1a40", "x86_64": "0xffffc0005fdc3a40"}


def amid_work(arch, page):
    """The page of a machine in whose heap many blocks live."""
    socket, tools = Path(page).with_suffix(".gdb"), harness.ROOT / "tools" / "gdb"
    with harness.Machine(arch, cpu="max", cmdline='run="heap_test 3000"',
                         extra=["-S", "-gdb", f"unix:{socket},server=on,wait=off"]):
        words = [f"target remote {socket}", f"source {tools}/twinpage.py", "hbreak heap_alloc",
                 "continue", "ignore 1 600", "continue", f"memview {page}"]
        subprocess.run(["gdb", "-nx", "-batch", harness.kernel_path(arch),
                        *(x for word in words for x in ("-ex", word))],
                       check=True, stdout=subprocess.DEVNULL)


def photograph(page, query, target, height):
    subprocess.run([dumps.browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                    f"--user-data-dir={page.parent}/profile", f"--window-size=1240,{height}",
                    "--timeout=20000", f"--screenshot={target}", f"{page.as_uri()}#{query}"],
                   check=True, stderr=subprocess.DEVNULL)
    print(target)


def main(directory):
    for arch, height in (("i386", 2040), ("x86_64", 2300)):
        with tempfile.TemporaryDirectory() as temporary:
            page = Path(temporary) / "memview.html"
            amid_work(arch, page)
            photograph(page, HEAP[arch], (directory / f"memview-{arch}.png").resolve(), height)
    for arch, (machine_words, commands) in SCENES.items():
        with harness.Machine(arch, cpu="max", **machine_words) as machine:
            machine.wait_prompt()
            for command in commands:
                machine.run(command)
            time.sleep(0.5)  # the screen is drawn after the serial line is written
            print(machine.screenshot((directory / f"screen-{arch}.png").resolve()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else harness.ROOT / "docs"))
