#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""museum.py [DOCUMENT] - visits every broken bring-up and writes down what was seen.

docs/museum.md tells of each exhibit in prose; the part between <!-- seen n --> and <!-- /seen -->
is not written by hand but by this program, from real runs: the preflight's line on both targets,
and without the preflight what became of it in QEMU and in Bochs. test_museum.py visits again and
compares.

One kernel per target holds all exhibits; the words break=n and preflight=0 choose. One more is
x86_64 with PHYSMAP=kmap, whose line is there only where it is another.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import harness  # noqa: E402

DOCUMENT = harness.ROOT / "docs" / "museum.md"
EMULATORS = ("QEMU", "Bochs")
KERNELS = {"i386": (), "x86_64": (), "kmap": ("PHYSMAP=kmap",)}  # words for make
BLOCK = re.compile(r"(<!-- seen (\d+) -->\n)(.*?)(<!-- /seen -->)", re.S)
NOTE = "museum: nothing stopped it: "


def target(name):
    return "x86_64" if name == "kmap" else name


def build(arch, directory, *words):
    """A kernel with the museum in it; returns its path. Its image lies beside it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(["make", f"ARCH={arch}", f"O={directory}", "BREAK=1", "CMDLINE=", "WERROR=1",
                    *words, "iso"], cwd=harness.ROOT, check=True, env=environment,
                   stdout=subprocess.DEVNULL)
    return Path(directory) / f"twinpage-{arch}.elf"


def visit(kernel, arch, number, emulator="QEMU", preflight=True, hangs=False):
    """Boots exhibit `number`; returns a harness.Run. `hangs`: do not wait long for the end."""
    cmdline = f"run=pmm break={number} preflight={int(preflight)}"
    if emulator == "Bochs":
        return harness.boot_bochs(arch, kernel=kernel, cmdline=cmdline, timeout=15 if hangs else 60)
    return harness.boot(arch, iso=kernel.with_suffix(".iso"), cmdline=cmdline, cpu="max",
                        memory="128M", timeout=5 if hangs else 30)


def refusal(run):
    """The preflight's line; None if there is not exactly one."""
    lines = [line for line in run.text.splitlines() if line.startswith("preflight: ")]
    return lines[0] if len(lines) == 1 else None


def first(run, prefix):
    return next((line.strip() for line in run.text.splitlines()
                 if line.strip().startswith(prefix)), None)


def outcome(run):
    """What a run without the preflight came to, in one line."""
    said = [line for line in (first(run, NOTE), first(run, "EXCEPTION"), first(run, "FAILED"))
            if line]
    text = "; ".join(f"`{line.removeprefix(NOTE)}`" for line in said)
    if run.text.count("\nEXCEPTION") > 1:
        text += ", and more while reporting it"
    end = {"reset": "triple fault: the machine resets", "hang": "hangs",
           "pass": "boots, and the smoke test passes"}.get(run.verdict)
    return "; ".join(part for part in (text, end) if part)


def shape(line):
    """A line without what depends on where the linker and the allocator put things."""
    line = re.sub(r"0x[0-9a-f]+", "0x#", line)
    return re.sub(r"level 1 entry \d+", "level 1 entry #", line)


def block(lines, outcomes):
    """The text between the marks."""
    out = ["", "With the preflight:", "", "```text"]
    out += [f"{name:8}{line}" for name, line in lines.items()]
    out += ["```", "", "With `PREFLIGHT=0`:", "", "| | QEMU | Bochs |", "|---|---|---|"]
    out += [f"| {arch} | " + " | ".join(outcomes[arch, e] for e in EMULATORS) + " |"
            for arch in harness.ARCHES]
    return "\n".join(out) + "\n\n"


def read(document=DOCUMENT):
    """{number: ({target or "kmap": line}, {(target, emulator): outcome})} as the document has it."""
    exhibits = {}
    for found in BLOCK.finditer(document.read_text()):
        lines = dict(re.findall(r"^(\w+) +(preflight: .*)$", found[3], re.M))
        rows = re.findall(r"^\| (\w+) \| (.*) \| (.*) \|$", found[3], re.M)
        exhibits[int(found[2])] = lines, {(arch, e): cell for arch, *cells in rows
                                          for e, cell in zip(EMULATORS, cells)}
    return exhibits


def see(kernels, number):
    lines = {name: refusal(visit(kernel, target(name), number)) for name, kernel in kernels.items()}
    if shape(lines["kmap"]) == shape(lines["x86_64"]):
        del lines["kmap"]
    outcomes = {(arch, e): outcome(visit(kernels[arch], arch, number, e, preflight=False,
                                         hangs=True))
                for arch in harness.ARCHES for e in EMULATORS}
    return block(lines, outcomes)


def main(document):
    with tempfile.TemporaryDirectory(prefix="twinpage-") as directory:
        kernels = {name: build(target(name), Path(directory) / name, *words)
                   for name, words in KERNELS.items()}
        text = BLOCK.sub(lambda found: found[1] + see(kernels, int(found[2])) + found[4],
                         document.read_text())
    document.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT)
