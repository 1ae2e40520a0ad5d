#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""screens.py [DIRECTORY] - screenshots of the shell for the documentation, made by a real boot.

screen-i386.png is the 80x25 text screen of a BIOS, screen-x86_64.png the framebuffer of UEFI.
"""
import sys
import time
from pathlib import Path

import harness

SCENES = {
    "i386": (dict(firmware="bios", memory="64M"), ("meminfo",)),
    "x86_64": (dict(firmware="ovmf64", memory="256M"), ("meminfo", "pmm", "walk 0xffffffff80101000")),
}


def main(directory):
    for arch, (machine_words, commands) in SCENES.items():
        with harness.Machine(arch, cpu="max", **machine_words) as machine:
            machine.wait_prompt()
            for command in commands:
                machine.run(command)
            time.sleep(0.5)  # the screen is drawn after the serial line is written
            print(machine.screenshot((directory / f"screen-{arch}.png").resolve()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else harness.ROOT / "docs"))
