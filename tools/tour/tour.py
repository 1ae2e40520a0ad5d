#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""tour.py - a guided tour of paging bring-up, in Bochs.

    tour.py ISO KERNEL.elf CPU                stop by stop, for somebody at a terminal
    tour.py --document DIR ISO KERNEL.elf CPU unattended, into DIR/bringup-<arch>.md and pictures

The machine is Bochs with its own debugger (debugger.py); stages.py is the table of stops; looks.py
reads the machine at each; terminal.py and document.py print what was read. Without a terminal on
standard input the tour goes through all stops by itself and ends.
"""
import argparse
import hashlib
import os
import sys
from pathlib import Path

from debugger import Debugger, Lost, tail
from document import write_document
from image import ROOT, Image
from stages import stages_of
from stop import Stop
from tables import Format
from terminal import Guide

MEMORY = "128M"  # the document's machine


class Tour:
    def __init__(self, options, debugger, memory):
        image = Image(options.kernel)
        self.serial = Path(options.iso).parent / "bochs-serial.txt"
        self.debugger = debugger
        self.image = image
        self.format = Format(image.arch)
        self.memory = bytes_of(memory)
        self.notes = {}       # what travel.py learned on the way
        self.drawn = {}       # pages of tables as they were last drawn

    def stops(self):
        """Goes from stage to stage; each stop is complete when it is given out."""
        for stage in stages_of(self.image.arch):
            self.notes["returned"] = False
            stage.travel(self)
            stop = Stop(self, stage)
            stage.look(stop)
            yield stop


def bytes_of(text):
    unit = {"K": 10, "M": 20, "G": 30}[text[-1].upper()] if text[-1].isalpha() else 20
    return int(text.rstrip("KMGkmg")) << unit


def start(options, memory, **environment):
    command = [ROOT / "tools/bochs.sh", options.iso, options.kernel, options.cpu]
    return Debugger(command, MEM=memory, **environment)


def name_of_run(options, debugger):
    """What two runs must share to be equal to the byte."""
    kernel, image = (hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
                     for path in (options.kernel, options.iso))
    return f"kernel {kernel}, image {image}, Bochs {debugger.version()}"


def make_document(options):
    debugger = start(options, MEMORY, DISPLAY_LIBRARY="term")
    try:
        tour = Tour(options, debugger, MEMORY)
        names = write_document(Path(options.document), tour, list(tour.stops()),
                               name_of_run(options, debugger))
    finally:
        debugger.close()
    print(f"  TOUR    {names[0]} and {len(names) - 1} drawings")


def guide(options):
    memory = os.environ.get("MEM") or MEMORY
    print("Bochs is starting GRUB; the first stop comes in a few seconds.", flush=True)
    debugger = start(options, memory)
    try:
        Guide(Tour(options, debugger, memory)).lead()
    finally:
        debugger.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--document", metavar="DIR")
    parser.add_argument("iso")
    parser.add_argument("kernel")
    parser.add_argument("cpu")
    options = parser.parse_args()
    try:
        make_document(options) if options.document else guide(options)
    except Lost as lost:
        print(f"tour: {lost}", file=sys.stderr)
        for name in ("bochs-stderr.txt", "bochs.log"):
            log = Path(options.iso).parent / name
            text = log.read_text(errors="replace") if log.exists() else ""
            print(f"the end of {log}:\n{tail(text, 4)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
