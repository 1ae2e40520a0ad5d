#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""run.py - runs fuzz targets and says in a table what came of it.

    run.py [--smoke | --time SECONDS] [--corpus DIR] [--jobs N] BINARY...

A binary is build/host/fuzz/NAME.BITS. It starts from tests/fuzz/corpus/NAME, with the words of
tests/fuzz/dict/NAME.dict. --smoke makes a fixed number of executions from a fixed seed and keeps
nothing. --time keeps what it finds new in DIR/NAME, for both widths and for the next time.

The verdict is the exit code: libFuzzer's for each target (a finding, a hang, a leak and running out
of memory all end it with another code than 0), ours 0 only when every target made its executions.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMITS = {  # the longest input in bytes, executions of a smoke run
    "multiboot2": (384, 400000),
    "boot": (640, 20000),
    "bootmap": (400, 40000),
    "pmm": (300, 6000),
    "paging": (200, 3000),
    "heap": (400, 6000),
    "cmdline": (300, 30000),
    "shell": (300, 20000),
    "editor": (400, 8000),
    "fmt": (128, 40000),
}
DICTIONARY = {"boot": "multiboot2"}  # where it is not the target's own
FAST = "malloc_context_size=0:quarantine_size_mb=1"  # what ASan spends on reports, not on finding


@dataclass
class Result:
    name: str
    bits: str
    code: int
    runs: int
    per_second: int
    edges: int
    log: Path

    @property
    def good(self):
        return self.code == 0 and self.runs > 0

    def row(self):
        verdict = "nothing found" if self.good else f"FAILED, exit code {self.code}: {self.log}"
        return (f"  {self.name:<11} {self.bits:>4} {self.runs:>13,} {self.per_second:>9,} "
                f"{self.edges:>6}  {verdict}")


HEAD = f"  {'target':<11} bits {'executions':>13} {'per s':>9} {'edges':>6}  verdict"


def words_of(binary, options, keep):
    name = binary.name.split(".")[0]
    length, runs = LIMITS.get(name, (4096, 1000))
    words = [binary, f"-max_len={length}", "-timeout=60", "-print_final_stats=1",
             f"-artifact_prefix={keep}/{binary.name}-found-"]
    words += ["-seed=1", f"-runs={runs}"] if options.smoke else [f"-max_total_time={options.time}"]
    dictionary = HERE / "dict" / f"{DICTIONARY.get(name, name)}.dict"
    words += [f"-dict={dictionary}"] if dictionary.exists() else []
    corpus = keep / name
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "corpus" / name
    return words + [corpus] + ([seeds] if seeds.exists() else [])


def number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def run(binary, options, keep):
    log = keep / f"{binary.name}.log"
    environment = dict(os.environ, ASAN_OPTIONS=FAST, UBSAN_OPTIONS="print_stacktrace=1")
    begin = time.monotonic()
    with open(log, "w", encoding="utf-8") as file:
        code = subprocess.call(words_of(binary, options, keep), stdout=file, stderr=file, env=environment)
    seconds = max(time.monotonic() - begin, 1)
    text = log.read_text(errors="replace")
    name, bits = binary.name.split(".")
    runs = number(r"stat::number_of_executed_units: (\d+)", text)
    return Result(name, bits, code, runs, int(runs / seconds), number(r" cov: (\d+)", text), log)


def show_progress(binaries, keep, done):
    """Now and then one line: how far the targets that run have come."""
    while not done.wait(15):
        running = []
        for binary in binaries:
            log = keep / f"{binary.name}.log"
            text = log.read_text(errors="replace")[-4000:] if log.exists() else ""
            if text and "stat::" not in text:
                runs = number(r"#(\d+)", text)
                running.append(f"{binary.name} {runs:,}")
        print("  ... " + ", ".join(running), flush=True)


def explain(result):
    lines = result.log.read_text(errors="replace").splitlines()
    telling = [line for line in lines if re.search(r"claim broken|runtime error|ERROR:|SUMMARY|written to|Base64|^    #", line)]
    return "\n".join("    " + line for line in (telling or lines)[-30:])


def run_all(binaries, options, keep):
    done = threading.Event()
    watcher = threading.Thread(target=show_progress, args=(binaries, keep, done), daemon=True)
    if not options.smoke:
        watcher.start()
    results = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, b, options, keep) for b in binaries]):
            results.append(future.result())
            if not results[-1].good:
                print(results[-1].row() + "\n" + explain(results[-1]), flush=True)
    done.set()
    return sorted(results, key=lambda r: (list(LIMITS).index(r.name) if r.name in LIMITS else 99, -int(r.bits)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--time", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("binary", type=Path, nargs="+")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as nowhere:
        keep = (options.corpus or Path(nowhere)).resolve()
        keep.mkdir(parents=True, exist_ok=True)
        results = run_all([b.resolve() for b in options.binary], options, keep)
    print(HEAD)
    for result in results:
        print(result.row())
    print(f"  {sum(r.runs for r in results):,} executions, {sum(not r.good for r in results)} targets failed",
          flush=True)
    return 0 if all(r.good for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
