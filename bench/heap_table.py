#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""heap_table.py - our heap beside glibc's, mimalloc and jemalloc, in instructions, on this machine.

    heap_table.py HEAP_REPLAY HEAP_BENCH_SO

Instructions are callgrind's, of what runs inside the calls of the heap, so they do not depend on
the load of the machine. Utilisation is the bytes asked for and live, at their peak, as a part of
what the heap held at its own peak: mapped pages for ours, written pages for the others, which map
ahead. Ours runs with its checks on. The traces are those of bench/traces and those that HEAP_REPLAY
makes up.
"""
import concurrent.futures
import lzma
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TRACES = Path(__file__).parent / "traces"
OTHERS = ("glibc", "mimalloc", "jemalloc")
ABSENT = 3  # exit code: there is no such heap here
reasons = {}  # heap -> why it is absent

# All symbols bound before counting; room for the thread data of libraries opened late.
ENVIRONMENT = dict(os.environ, LD_BIND_NOW="1",
                   GLIBC_TUNABLES="glibc.rtld.optional_static_tls=65536")


def replay(words):
    """What it printed, as numbers; None: the heap is absent."""
    done = subprocess.run(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode == ABSENT:
        reasons[words[-2]] = done.stderr.strip()
        return None
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stderr}")
    return [int(n) for n in done.stdout.split()]


def instructions(program, heap, trace):
    """Of all calls of the trace together, with those of the functions that make the calls."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "callgrind.out"
        replay(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                "--collect-atstart=no", "--toggle-collect=measured_*", program, "run", heap, trace])
        return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.M)[1])


def cell(program, heap, trace):
    """(instructions a call or None, utilisation), None: absent."""
    found = replay([program, "check", heap, trace])
    if not found:
        return None
    calls, peak, footprint = found
    if not shutil.which("valgrind"):
        return None, peak / footprint
    own = instructions(program, "nothing", trace) - calls  # each of which is one return
    return (instructions(program, heap, trace) - own) / calls, peak / footprint


def mean(numbers):
    """The geometric one."""
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


def unpack(directory):
    """The recorded traces as paths of plain files."""
    for packed in sorted(TRACES.glob("*.trace.xz")):
        plain = Path(directory) / packed.name.split(".")[0]
        plain.write_bytes(lzma.decompress(packed.read_bytes()))
        yield str(plain)


def print_row(name, row, digits):
    ours, *others = row
    print(f"{name:<24}{ours:>11.{digits}f}" +
          "".join(f"{n:>11.{digits}f}{n / ours:>9.2f}x" for n in others))


def print_part(title, part, cells, heaps, groups, digits):
    print(f"\n{title:<24}{'ours':>11}" + "".join(f"{name:>21}" for name in heaps[1:]))
    for kind, traces in groups.items():
        rows = [[cells[heap, trace][part] for heap in heaps] for trace in traces]
        for trace, row in zip(traces, rows):
            print_row(Path(trace).name, row, digits)
        print_row(f"mean, {kind}", [mean(column) for column in zip(*rows)], digits)


def print_tables(cells, heaps, groups):
    print("Heaps: instructions a call, and the part of its memory that was asked for; times ours.")
    for name, why in sorted(reasons.items()):
        print(f"{name} is absent (make deps bench): {why}")
    if shutil.which("valgrind"):
        print_part("instructions a call", 0, cells, heaps, groups, 1)
    else:
        print("valgrind is absent: instructions are not counted (make deps bench)")
    print_part("utilisation", 1, cells, heaps, groups, 3)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: heap_table.py HEAP_REPLAY HEAP_BENCH_SO")
    program, ours = (str(Path(word).resolve()) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as directory:
        made_up = subprocess.check_output([program, "traces"], text=True).split()
        groups = {"recorded": list(unpack(directory)), "made up": made_up}
        wanted = [(heap, trace) for heap in (ours, *OTHERS)
                  for traces in groups.values() for trace in traces]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            cells = dict(zip(wanted, pool.map(lambda pair: cell(program, *pair), wanted)))
    if not cells[ours, made_up[0]]:
        sys.exit(f"heap_table.py: {ours} is not there: make bench-so")
    print_tables(cells, [ours, *(name for name in OTHERS if cells[name, made_up[0]])], groups)


if __name__ == "__main__":
    main()
