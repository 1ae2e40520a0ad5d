#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""memview.py - a kernel's memory as one HTML page and as JSON, from a dump or from a fresh boot.

    memview.py --boot ISO --elf ELF -o out.html           boots it in QEMU, types --type, dumps
    memview.py --dump FILE --elf ELF --cr3 N -o out.html  any dump: raw physical memory, an ELF core
                                                          by physical address, or Bochs' xp text

The exit code is 1 when the sweep found anything: a leaked frame, two owners, a stale mapping.
"""
import argparse
import json
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from memview import page  # noqa: E402
from memview.kernel import Image, Kernel  # noqa: E402
from memview.physical import Unreadable, open_dumps  # noqa: E402
from memview.report import Picture  # noqa: E402
from memview.tables import CR4_PAE, CR4_PGE, CR4_PSE, EFER_LMA, EFER_NXE, Registers  # noqa: E402


def number(text):
    return int(text, 0)


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--dump", action="append", metavar="FILE[@ADDRESS]",
                        help="physical memory in a file; may be given again, for its other parts")
    source.add_argument("--boot", metavar="ISO", help="boot this image in QEMU and dump it")
    parser.add_argument("--elf", required=True, help="the kernel, with its debug information")
    for name in ("cr3", "cr4", "efer", "cr0", "pat"):
        parser.add_argument(f"--{name}", type=number)
    parser.add_argument("--qemu", default="", help="the QEMU program for --boot")
    parser.add_argument("--memory", default="64M", help="RAM for --boot")
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--type", action="append", default=[], metavar="COMMAND",
                        help="typed into the shell before the dump; may be given again")
    parser.add_argument("--keep", metavar="FILE", help="keep the dump of --boot")
    parser.add_argument("-o", "--output", help="the HTML page")
    parser.add_argument("--json", help="the JSON; - for standard output")
    options = parser.parse_args(words)
    if options.dump and options.cr3 is None:
        parser.error("--dump needs --cr3: where its page tables begin")
    return options


def registers_for(options, image):
    """What was not said is what this kernel sets on a CPU that has everything."""
    usual = {"i386": dict(cr4=CR4_PSE | CR4_PGE, efer=0),
             "x86_64": dict(cr4=CR4_PAE | CR4_PGE, efer=EFER_LMA | EFER_NXE)}[image.arch]
    said = {name: getattr(options, name) for name in ("cr3", "cr4", "efer", "cr0", "pat")
            if getattr(options, name) is not None}
    return Registers(**{**usual, **said})


def picture_of(options):
    image = Image(options.elf)
    if options.dump:
        physical, registers = open_dumps(options.dump), registers_for(options, image)
    else:
        from memview import machine
        physical, registers = machine.boot_and_dump(
            options.qemu or f"qemu-system-{image.arch}", options.boot, options.memory, options.cpu,
            options.type, options.keep)
    return Picture(Kernel(image, physical, registers))


def summary(picture):
    counts = {kind: n for kind, n in picture.sweep.counts.items() if n}
    words = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in counts.items())
    f = picture.frames
    return (f"{picture.kernel.stage}: {f.total} frames, {f.free} free, {f.held} used, "
            f"{f.reserved} reserved; sweep: {words or 'nothing lost, nothing owned twice'}")


def main(words):
    options = parse(words)
    try:
        picture = picture_of(options)
        whole = picture.whole()
    except (Unreadable, OSError, KeyError) as error:
        print(f"memview: {error}", file=sys.stderr)
        return 2
    if options.json == "-":
        print(json.dumps(whole))
    elif options.json:
        Path(options.json).write_text(json.dumps(whole) + "\n", encoding="utf-8")
    if options.output:
        Path(options.output).write_text(page.html(whole), encoding="utf-8")
    print(f"memview: {summary(picture)}", file=sys.stderr)
    return 1 if picture.sweep.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
