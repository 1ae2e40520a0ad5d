#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bench.py - what calls cost, in instructions, on both targets.

Under -icount shift=0 QEMU counts one nanosecond for each guest instruction, so the figures are
exact and the same on every host.
"""
import json
import sys

import harness

EXACT = ("-icount", "shift=0")


def figures(arch):
    """name -> instructions per operation."""
    run = harness.boot(arch, cmdline="bench", cpu="max", memory="256M", timeout=300, extra=EXACT)
    if not run.passed:
        sys.exit(run.explain())
    found = {}
    for line in run.text.splitlines():
        if line.startswith('{"cmd":"bench"'):
            row = json.loads(line)
            found[row["name"]] = row["instructions"] / row["ops"]
            if "tables" in row:
                found[row["name"].split(",")[0] + ", MiB of tables"] = row["tables"] / 256
    return found


def main():
    tables = {arch: figures(arch) for arch in harness.ARCHES}
    names = sorted(set().union(*tables.values()))
    print(f"{'instructions per call':<38}" + "".join(f"{arch:>12}" for arch in harness.ARCHES))
    for name in names:
        row = (tables[arch].get(name) for arch in harness.ARCHES)
        print(f"{name:<38}" + "".join(f"{n:>12.2f}" if n is not None else f"{'-':>12}" for n in row))


if __name__ == "__main__":
    main()
