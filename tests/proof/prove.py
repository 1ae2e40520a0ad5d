#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""prove.py - proves the units of this directory with Frama-C/WP, for both machines.

    prove.py [UNIT...]         proves; 0 when nothing of any unit is open
    prove.py --smoke [UNIT...] looks for contradictory contracts; takes as long as the proofs
    prove.py --plant [UNIT...] puts each mistake of plants.txt into a copy: it has to be noticed

A unit is a C file here that includes real sources and states their contracts; nothing is copied. It is
asked for three things: `goals`, the contracts, and that every memory access, division and shift is
sound (-wp-rte); `lemmas`, which goals may use, and which WP leaves out when it is given functions;
`smoke`, that no contract contradicts itself and no code is dead for it (-wp-smoke-tests).
"""
import argparse
import concurrent.futures
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MACHDEPS = {"gcc_x86_32": ("32", "i386"), "gcc_x86_64": ("64", "x86_64")}
TOOLS = ["frama-c", "why3", "z3", "cvc4", "gcc"]

# What else Frama-C has to know; the longest first, so that no long one is left to the end.
UNITS = {"multiboot2": ["-wp-model", "Typed+cast"],  # its blob is a const void *
         "bootmap": [],
         "pmm": ["-c11", "-rte-no-pointer-call"],  # a goal of `calls` says that the pointer is good
         "paging": [],
         "heap": []}

# Those that take seconds, for `make test`.
FAST = ["pmm", "paging", "heap"]

# A branch of these is for the other machine only, and dead here: not contradictory.
ONE_SIDED = {"end_of_names", "bootmap_init", "bootmap_take", "bootmap_give"}


def ask(prover, steps, seconds):
    return ["-wp-prover=" + prover, "-wp-steps", str(steps),
            "-wp-timeout", str(seconds), "-wp-smoke-timeout", str(seconds)]


# Who is asked, in turn, for what is open yet. Limits are steps, which do not depend on how busy the machine
# is, and no proof needs half of CVC4's last; one of CVC4's is as long as 30 of Z3's, which counts none in
# some loops: then WP's clock ends it. Nine proofs of ten are short ones.
SHORT = ask("cvc4", 60000, 60)
ASKED = [SHORT, ask("-cvc4,+z3", 12000000, 30), ask("-z3,+cvc4", 1200000, 120)]

# Who is asked about a planted mistake, without it and with it, in turn until it is noticed. With it, twice
# the steps of the first are allowed: a goal that is only slower to prove then is no sign of a mistake.
FEW, TWICE = ([ask("cvc4", n * 60000, 60), ask("-cvc4,+z3", n * 3000000, 30)] for n in (1, 2))
TRIED = [(FEW[:1], TWICE[:1]), (FEW, TWICE), (ASKED, ASKED)]

# Functions that one run of Frama-C is asked about.
SHARE = 4

# WP has no word for "smoke tests only"; these are all other goals.
ALL_ELSE = ["lemma", "requires", "assigns", "ensures", "exits", "assert", "invariant", "variant", "breaks",
            "continues", "returns", "complete_behaviors", "disjoint_behaviors", "terminates", "decreases"]

# What Frama-C says before it asks a prover.
ASKS = "Running WP plugin"

# What it says about a goal that a prover left open, or a smoke test that it proved.
OPEN = re.compile(r"\[Failed\] Smoke-test (\S+)|Goal (\S+) : (?!Valid)")


def missing():
    """The tools that are not there."""
    return [tool for tool in TOOLS if not shutil.which(tool)]


def source(unit):
    with open(os.path.join(HERE, unit + ".c"), encoding="ascii") as file:
        return file.read()


def contracts(unit):
    """The functions that the unit states contracts of."""
    return re.findall(r"\*/\n(?:[\w *]*?[ *])(\w+)\([^;{]*\)\s*;", source(unit))


def provers(home):
    """Lets Why3 look for provers, in a home of its own; whole or not at all, as others may look too."""
    os.makedirs(home, exist_ok=True)
    if not os.path.exists(os.path.join(home, ".why3.conf")):
        with tempfile.TemporaryDirectory(dir=home) as new:
            subprocess.run(["why3", "config", "detect"], env=dict(os.environ, HOME=new), check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            os.replace(os.path.join(new, ".why3.conf"), os.path.join(home, ".why3.conf"))


def asked(unit, question, functions, limits=ASKED):
    """Frama-C's options for a question about some functions of a unit; None if there is nothing to ask."""
    if question == "smoke":  # one that passes runs to its limit
        functions = [name for name in functions if name not in ONE_SIDED]
        others = ",".join("-@" + kind for kind in ALL_ELSE)
        return ["-wp", "-wp-smoke-tests", "-wp-prop=" + others, "-wp-fct", ",".join(functions), *SHORT]
    if question == "lemmas" and " lemma " not in source(unit):
        return None
    about = ["-wp-prop", "@lemma"] if question == "lemmas" else ["-wp-fct", ",".join(functions)]
    return sum((["-wp", *about, *each, "-then"] for each in limits), [])[:-1]


def opened(text, asks=1):
    """What the last of so many asked left open, and none before it proved."""
    *before, last = text.split(ASKS)
    names = map("".join, OPEN.findall(last) if len(before) >= asks else [])
    return [name for name in names if f"Goal {name} : Valid" not in text]


def run(unit, machdep, root, cache, options, enough=lambda goal: False):
    """Frama-C, once, to an open goal that is enough, or to the end: (proved, goals, seconds, open, text)."""
    word, arch = MACHDEPS[machdep]
    includes = " ".join(f"-I{root}/{d}" for d in ("include", "src", f"src/arch/{arch}", "tests/proof"))
    command = [
        "frama-c", "-machdep", machdep, "-cpp-frama-c-compliant", "-cpp-command",
        f"{HERE}/cpp.sh %i %o %args -m{word} -I{root} {includes}", "-wp-rte", "-wp-par", "1",
        "-wp-cache", "update", "-wp-cache-dir", os.path.join(cache, "wp"),
        *UNITS[unit], f"{root}/tests/proof/{unit}.c", *options]
    begin, text = time.monotonic(), ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        env = dict(os.environ, HOME=os.path.join(cache, "home"), TMPDIR=scratch)
        with subprocess.Popen(command, env=env, text=True, errors="replace", start_new_session=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            for line in process.stdout:
                text += line
                if OPEN.search(line) and any(map(enough, opened(text, options.count("-wp")))):
                    os.killpg(process.pid, signal.SIGKILL)
                    break
    seconds = time.monotonic() - begin
    failed = opened(text)
    asks = re.findall(r"Proved goals:\s+(\d+) / (\d+)", text)  # of each prover, of what was open then
    if process.returncode or not asks or (asks[-1][0] == asks[-1][1]) == bool(failed):
        return 0, 1, seconds, failed, text
    goals = int(asks[0][1])
    return goals - len(failed), goals, seconds, failed, text


def is_proved(outcome):
    proved, goals, _, failed, _ = outcome
    return goals == proved > 0 and not failed


def tell(unit, machdep, question, outcome):
    proved, goals, seconds, failed, text = outcome
    good = is_proved(outcome)
    print(f"  PROVE   {unit:<12} {machdep:<11} {question:<7} {proved:4} / {goals:<4} {seconds:6.1f} s"
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


def kind(goal):
    """A goal's name without the numbers that a mistake may shift: all but those of a contract's clauses."""
    return re.sub(r"_part\d+|(?<!_ensures)(?<!_requires)_\d+", "", goal)


def proved_kinds(outcome):
    """Those kinds of goals of which some were proved and none is open."""
    proved, _, _, failed, text = outcome
    return {kind(goal) for goal in re.findall(r"Goal (\S+) : Valid", text) if proved} - set(map(kind, failed))


def notice(plant, machdep, cache, copy, limits):
    """Goals open in a copy and proved without its mistake; if there are none, a text that says why."""
    unit, path, function, _, _ = plant
    question = "smoke" if path.startswith("tests/proof/") else "goals"
    without, with_it = (asked(unit, question, [function], each) for each in limits)
    right = run(unit, machdep, ROOT, cache, without)
    kinds, new = proved_kinds(right), without == with_it and is_proved(right)  # new: only the mistake has it
    tells = lambda goal: new or kind(goal) in kinds
    _, _, _, failed, text = run(unit, machdep, copy, cache, with_it, tells)
    return list(filter(tells, failed)), (right[4] if failed else text)[-2000:]


def planted(plant, machdep, cache):
    """True when goals of the function are proved, and one of them, asked no less, is not with the mistake."""
    unit, _, _, _, wrong = plant
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as copy:
        copy_with(plant, copy)
        for limits in TRIED:
            goals, text = notice(plant, machdep, cache, copy, limits)
            if goals:
                break
    print(f"  PLANT   {unit:<12} {machdep:<11} {'noticed' if goals else 'MISSED '} "
          f"{time.monotonic() - begin:6.1f} s  {wrong}\n            {' '.join(goals) or text}", flush=True)
    return bool(goals)


def shares(unit, question):
    """A unit's functions; for goals a few at a time, as Frama-C waits a while for each: several of it shall run."""
    names = contracts(unit)
    return [names[i:i + SHARE] for i in range(0, len(names), SHARE)] if question == "goals" else [names]


def together(outcomes):
    """Those of a unit's shares as one; the text of what is open."""
    proved, goals, seconds, failed, _ = zip(*outcomes)
    text = "\n".join(outcome[4] for outcome in outcomes if not is_proved(outcome))
    return sum(proved), sum(goals), sum(seconds), sum(failed, []), text


def prove(questions, units, machdeps, cache, pool):
    """Asks these questions of all units; True when nothing is open."""
    jobs = {}
    for unit, question, machdep in itertools.product(units, questions, machdeps):
        options = [asked(unit, question, names) for names in shares(unit, question)]
        if all(options):
            jobs[unit, machdep, question] = [pool.submit(run, unit, machdep, ROOT, cache, each) for each in options]
    good = [tell(*what, together([job.result() for job in parts])) for what, parts in jobs.items()]
    return all(good)


def plant(units, machdeps, cache, pool):
    """Tries every mistake; True when there are some, and all are noticed."""
    jobs = [pool.submit(planted, mistake, machdep, cache)
            for mistake in plants() if mistake[0] in units for machdep in machdeps]
    good = [job.result() for job in jobs]
    return bool(good) and all(good)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", default=os.path.join(ROOT, "build", "proof"))
    parser.add_argument("-j", "--jobs", type=int, default=2 * os.cpu_count(),
                        help="two for each CPU, as Frama-C looks only now and then if a prover is done")
    parser.add_argument("--machdep", action="append", choices=sorted(MACHDEPS))
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--plant", action="store_true")
    parser.add_argument("units", nargs="*", metavar="UNIT", default=list(UNITS))
    options = parser.parse_args()

    absent = missing()
    if absent:
        print("prove: not there: " + " ".join(absent) + "; make deps prove installs it")
        return 2
    cache = os.path.abspath(options.cache)
    provers(os.path.join(cache, "home"))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        among = options.units, options.machdep or sorted(MACHDEPS), cache, pool
        questions = ["smoke"] if options.smoke else ["goals", "lemmas"]
        good = plant(*among) if options.plant else prove(questions, *among)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
