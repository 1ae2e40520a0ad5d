# SPDX-License-Identifier: MIT
"""judge.py - is a mutant seen? Compiles what it changes, links and runs test programs until one fails.

The program that is likely to fail soonest goes first: the one that saw this mutant in an earlier
run, then those that saw most mutants of this file for their price. Nothing is compiled before a
program needs it. So a mutant that is seen costs a second, and one that is not, all the programs.
"""
import hashlib
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "mutation"
PROCESSES = 2
LIMIT = 10  # times the processor seconds of the sound program: an endless loop

ARCH = {64: "x86_64", 32: "i386"}
COMMON = "-std=gnu2x -g0 -w -fno-omit-frame-pointer -Iinclude -Isrc -Itests/unit".split()
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all".split()
STAGES = {64: ["-O1"], 32: ["-O1", *SANITIZERS]}  # the first finds most, and quickly
OPTIMISED = ["-O2"]
NO_MUTANT = ("same", "no C")


class NoC(Exception):
    """What was planted does not compile."""


class Program:
    """One unit test in one width: its sources, and what its sound self costs."""

    def __init__(self, text):
        self.name, bits, sources = text.split(":")
        self.bits, self.sources, self.seconds = int(bits), sources.split(","), 0.0
        self.title = f"{self.name}.{bits}"


def compile_c(tree, bits, source, to, how):
    """The object's bytes."""
    done = subprocess.run(["gcc", *COMMON, *how, f"-m{bits}", f"-Isrc/arch/{ARCH[bits]}", "-c", source,
                           "-o", to], cwd=tree, stderr=subprocess.DEVNULL)
    if done.returncode:
        raise NoC(f"{source} ({bits} bits)")
    return to.read_bytes()


def link(program, objects, to):
    libraries = ["-lcmocka"] if program.bits == 64 else []
    subprocess.run(["gcc", f"-m{program.bits}", *STAGES[program.bits], "-o", to, *objects, *libraries],
                   check=True)


def run(binary, limit):
    """The exit code. A limit of processor time ends what would not end."""
    def child():
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return subprocess.run([binary], preexec_fn=child, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Sound:
    """The code as it is: objects, who includes what, what each program costs."""

    def __init__(self, programs, files):
        (OUT / "sound").mkdir(parents=True, exist_ok=True)
        self.objects, self.depends, self.digests = {}, defaultdict(set), {}
        wanted = sorted({(p.bits, s) for p in programs for s in p.sources})
        with ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(lambda w: self.find_depends(*w), wanted))
            concerned = set().union(*(self.depends[f] for f in files))
            self.programs = [p for p in programs if any((p.bits, s) in concerned for s in p.sources)]
            wanted = sorted({(p.bits, s) for p in self.programs for s in p.sources})
            list(pool.map(lambda w: self.build(*w), wanted))
        for program in self.programs:
            self.measure(program)

    @staticmethod
    def path(bits, source):
        return OUT / "sound" / f"{source.replace('/', '_')}.{bits}.o"

    def build(self, bits, source):
        self.objects[bits, source] = compile_c(ROOT, bits, source, self.path(bits, source), STAGES[bits])

    def find_depends(self, bits, source):
        made = subprocess.run(["gcc", *COMMON, f"-m{bits}", f"-Isrc/arch/{ARCH[bits]}", "-MM", source],
                              cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
        for word in made.replace("\\\n", " ").split()[1:]:
            self.depends[os.path.normpath(word)].add((bits, source))

    def measure(self, program):
        binary = OUT / "sound" / program.title
        link(program, [self.path(program.bits, s) for s in program.sources], binary)
        made_of = b"".join(self.objects[program.bits, s] for s in program.sources)
        self.digests[program.title] = hashlib.sha256(made_of).hexdigest()[:16]
        before = processor_seconds()
        if run(binary, 600):
            sys.exit(f"{program.title} fails without any mutant")
        program.seconds = processor_seconds() - before

    def holding(self, file):
        """The programs that a mutant of the file can change."""
        return [p for p in self.programs if any((p.bits, s) in self.depends[file] for s in p.sources)]


class Order:
    """Which programs to ask first."""
    START = 0.2  # seconds to compile, link and start anything

    def __init__(self):
        self.seen, self.last = defaultdict(Counter), {}

    def learn(self, mutant_id, file, title):
        self.seen[file][title] += 1
        self.last[mutant_id] = title

    def sort(self, programs, mutant_id, file):
        """64 bits first, then by seen per second; but before all the one that saw it before."""
        seen, last = self.seen[file], self.last.get(mutant_id)
        return sorted(programs, key=lambda p: (p.title != last, -p.bits,
                                               -(seen[p.title] + 0.01) / (p.seconds + self.START)))


class Planted:
    """One mutant in a worker's tree: the objects that it makes different, as they are asked for."""

    def __init__(self, tree, sound, file):
        self.tree, self.sound, self.file, self.objects = tree, sound, file, {}

    def object(self, bits, source):
        """The path of the object; None: it is the same, or does not hold the file."""
        if (bits, source) not in self.sound.depends[self.file]:
            return None
        if (bits, source) not in self.objects:
            to = self.tree / f"{source.replace('/', '_')}.{bits}.o"
            made = compile_c(self.tree, bits, source, to, STAGES[bits])
            self.objects[bits, source] = to if made != self.sound.objects[bits, source] else None
        return self.objects[bits, source]

    def seen_by(self, program):
        """Nothing, or how the program sees the mutant."""
        bits = program.bits
        changed = {s: self.object(bits, s) for s in program.sources}
        if not any(changed.values()):
            return None
        binary = self.tree / "mutant"
        link(program, [changed[s] or self.sound.path(bits, s) for s in program.sources], binary)
        code = run(binary, max(1, math.ceil(LIMIT * program.seconds)))
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"endless in {program.title}"
        return program.title if code else None

    def is_optimised_away(self):
        """The compiler, when it tries harder, makes the same of both: nobody could tell them apart."""
        def same(bits, source):
            return compile_c(ROOT, bits, source, self.tree / "sound.o", OPTIMISED) == \
                compile_c(self.tree, bits, source, self.tree / "mutant.o", OPTIMISED)
        return all(same(*at) for at, changed in self.objects.items() if changed)


class Worker:
    """A copy of the tree in which one mutant at a time is planted."""

    def __init__(self, number, sound, order):
        self.tree, self.sound, self.order = OUT / f"tree{number}", sound, order
        shutil.rmtree(self.tree, ignore_errors=True)
        for name in ("src", "include", "tests/unit", "tools/bootmap"):
            shutil.copytree(ROOT / name, self.tree / name)

    def judge(self, mutant, source, passed):
        """'same', 'no C', 'survived', or what killed it; and the digests of the programs that tell
        so. Those of `passed` have let it pass already, and need not be asked."""
        victim = self.tree / mutant.file
        victim.write_text(mutant.apply(source))
        try:
            return self.ask(mutant, passed)
        except NoC:
            return "no C", []
        finally:
            victim.write_text(source)

    def ask(self, mutant, passed):
        planted = Planted(self.tree, self.sound, mutant.file)
        asked = []
        for program in self.order.sort(self.sound.holding(mutant.file), mutant.id, mutant.file):
            asked.append(self.sound.digests[program.title])
            killer = None if asked[-1] in passed else planted.seen_by(program)
            if killer:
                self.order.learn(mutant.id, mutant.file, killer.split()[-1])
                return killer, asked[-1:]
        changed = any(planted.objects.values())
        is_mutant = passed or (changed and not planted.is_optimised_away())
        return ("survived", asked) if is_mutant else ("same", [])
