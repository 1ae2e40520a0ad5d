#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""prove.py - proves the units of this directory with Frama-C/WP, for both machines.

    prove.py [UNIT...]         proves; 0 when every goal of every unit is proved
    prove.py --plant [UNIT...] puts each mistake of plants.txt into a copy: the proof has to fail

A unit is a C file here that includes real sources and states their contracts; nothing is copied.
Every memory access, division and shift gets a goal of its own (-wp-rte), and so does every call that
contradictory contracts would make meaningless (-wp-smoke-tests). Z3 and CVC4 both may prove a goal.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import bits

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MACHDEPS = {"gcc_x86_32": ("32", "i386"), "gcc_x86_64": ("64", "x86_64")}
TOOLS = ["frama-c", "why3", "z3", "cvc4", "gcc"]

# What else Frama-C has to know.
UNITS = {"bootmap": [],
         "heap": [],
         "multiboot2": ["-wp-model", "Typed+cast"],  # its blob is a const void *
         "paging": [],
         "pmm": ["-c11", "-rte-no-pointer-call"]}  # a goal of `calls` says that the pointer is good

# Those that take seconds, for `make test`.
FAST = ["heap", "paging"]

# Not proved but taken from C: that `= {0}` makes zeros. Z3 finds it within no limit (docs/proofs.md).
TAKEN = {"forget"}

# A branch of these is for the other machine only, and dead here: not contradictory.
ONE_SIDED = {"end_of_names", "bootmap_init"}

# A limit for each goal that does not depend on how busy the machine is; then seconds are the CPU's.
STEPS = 60000000


def missing():
    """The tools that are not there."""
    return [tool for tool in TOOLS if not shutil.which(tool)]


def contracts(unit):
    """The functions that the unit states contracts of."""
    with open(os.path.join(HERE, unit + ".c"), encoding="ascii") as file:
        text = file.read()
    return re.findall(r"\*/\n(?:[\w *]*?[ *])(\w+)\([^;{]*\)\s*;", text)


def provers(home):
    """Lets Why3 look for provers, in a home of its own; whole or not at all, as others may look too."""
    os.makedirs(home, exist_ok=True)
    if not os.path.exists(os.path.join(home, ".why3.conf")):
        with tempfile.TemporaryDirectory(dir=home) as new:
            subprocess.run(["why3", "config", "detect"], env=dict(os.environ, HOME=new), check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            os.replace(os.path.join(new, ".why3.conf"), os.path.join(home, ".why3.conf"))


def prove(unit, machdep, root, cache, timeout, smoke, functions=None):
    """The whole unit, or some functions of it: (proved, goals, seconds, what is open, all that was said)."""
    names = functions or contracts(unit)
    parts = [([name for name in names if name not in TAKEN | ONE_SIDED], smoke),
             ([name for name in names if name in ONE_SIDED], False)]
    outcomes = [run(unit, machdep, root, cache, timeout, look, part) for part, look in parts if part]
    proved, goals, seconds, failed, text = zip(*outcomes)
    return sum(proved), sum(goals), sum(seconds), sum(failed, []), "".join(text)


def run(unit, machdep, root, cache, timeout, smoke, functions):
    """Frama-C, once; what it does not prove at all counts as a goal that is open."""
    word, arch = MACHDEPS[machdep]
    includes = " ".join(f"-I{root}/{d}" for d in ("include", "src", f"src/arch/{arch}", "tests/proof"))
    home = os.path.join(cache, "home")
    provers(home)
    command = [
        "frama-c", "-machdep", machdep, "-cpp-frama-c-compliant", "-cpp-command",
        f"{HERE}/cpp.sh %i %o %args -m{word} -I{root} {includes}", "-wp", "-wp-rte",
        *(["-wp-smoke-tests", "-wp-smoke-timeout", "1"] if smoke else []), "-wp-prover", "z3,cvc4",
        "-wp-timeout", str(timeout), "-wp-steps", str(STEPS), "-wp-par", "1",
        "-wp-cache", "update", "-wp-cache-dir", os.path.join(cache, "wp"),
        *UNITS[unit], "-wp-fct", ",".join(functions), f"{root}/tests/proof/{unit}.c"]
    begin = time.monotonic()
    done = subprocess.run(command, env=dict(os.environ, HOME=home), text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text, seconds = done.stdout, time.monotonic() - begin
    last = re.findall(r"Proved goals:\s+(\d+) / (\d+)", text)
    proved, goals = map(int, last[-1]) if last and done.returncode == 0 else (0, 1)
    failed = re.findall(r"\[(?:Failed|Doomed)\] (?:Goal |Smoke-test )?(\S+)", text)
    return proved, goals, seconds, failed, text


def tell(unit, machdep, outcome):
    proved, goals, seconds, failed, text = outcome
    good = goals > 0 and proved == goals and not failed
    print(f"  PROVE   {unit:<12} {machdep:<11} {proved:4} / {goals:<4} goals {seconds:6.1f} s"
          f"{'' if good else '  OPEN'}", flush=True)
    if not good:
        print("\n".join(f"            {name}" for name in failed) or text[-2000:], flush=True)
    return good


def plants():
    """(unit, file, function, right, wrong) from plants.txt."""
    with open(os.path.join(HERE, "plants.txt"), encoding="ascii") as file:
        blocks = [b for b in file.read().split("\n\n") if b and not b.startswith("#")]
    for block in blocks:
        where, right, wrong = block.strip("\n").split("\n")
        unit, path, function = where.split()
        yield unit, path, function, right.strip(), wrong.strip()


def copy_with(plant, copy):
    """Copies the tree, so that only the copy is wrong."""
    _, path, _, right, wrong = plant
    for part in ("include", "src", "tests/proof"):
        shutil.copytree(os.path.join(ROOT, part), os.path.join(copy, part))
    with open(os.path.join(copy, path), encoding="ascii") as file:
        text = file.read()
    if text.count(right) != 1:
        raise ValueError(f"{path} has {text.count(right)} times: {right}")
    with open(os.path.join(copy, path), "w", encoding="ascii") as file:
        file.write(text.replace(right, wrong))


def planted(plant, machdep, cache, timeout):
    """True when the function is proved as it is, and is not, in the same time, with the mistake."""
    unit, _, function, _, wrong = plant
    right = prove(unit, machdep, ROOT, cache, timeout, False, [function])
    with tempfile.TemporaryDirectory() as copy:
        copy_with(plant, copy)
        done = prove(unit, machdep, copy, cache, timeout, False, [function])
    proved, goals, seconds, failed, _ = done
    here = [name for name in failed if function in name]
    noticed = right[0] == right[1] > 0 and not right[3] and proved < goals and bool(here)
    print(f"  PLANT   {unit:<12} {machdep:<11} {'noticed' if noticed else 'MISSED '} "
          f"{seconds:6.1f} s  {wrong}\n            {' '.join(here)}", flush=True)
    return noticed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", default=os.path.join(ROOT, "build", "proof"))
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=int, default=20, help="seconds of the CPU for one goal and prover")
    parser.add_argument("--machdep", action="append", choices=sorted(MACHDEPS))
    parser.add_argument("--no-smoke", action="store_true", help="contracts are taken to be sensible")
    parser.add_argument("--plant", action="store_true")
    parser.add_argument("units", nargs="*", metavar="UNIT")
    options = parser.parse_args()

    absent = missing()
    if absent:
        print("prove: not there: " + " ".join(absent) + "; make deps prove installs it")
        return 2
    every, wrong = bits.prove()
    print(f"  PROVE   bits.h       {len(every) - len(wrong):4} / {len(every):<4} axioms", *wrong)
    if wrong or not every:
        return 1
    cache = os.path.abspath(options.cache)
    provers(os.path.join(cache, "home"))
    units = options.units or sorted(UNITS)
    machdeps = options.machdep or sorted(MACHDEPS)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        if options.plant:
            jobs = [pool.submit(planted, plant, machdep, cache, options.timeout)
                    for plant in plants() if plant[0] in units for machdep in machdeps]
            good = [job.result() for job in jobs]
        else:
            jobs = {pool.submit(prove, unit, machdep, ROOT, cache, options.timeout,
                                not options.no_smoke): (unit, machdep)
                    for unit in units for machdep in machdeps}
            good = [tell(*jobs[job], job.result()) for job in concurrent.futures.as_completed(jobs)]
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
