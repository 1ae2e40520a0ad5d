#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mutate.py - plants small mistakes in the memory code and counts those that the unit tests see.

A mutant is one edit (operators.py). The program of every unit test that contains the edited file is
linked with the edited objects, in 64 bits without sanitizers, then, if nothing fails, in 32 bits
with ASan and UBSan as `make unit` has them. The first failure ends it: a test that fails, a crash,
or ten times the processor seconds of the sound program, which is an endless loop. No wall clock is
asked. A mutant whose objects are the same as without it is no mutant and is not counted; one that
does not compile neither.

The mutants are a sample of all, drawn evenly with a fixed seed. A survivor has to stand in
survivors.toml with the reason why no test can see it, or why none has to; one that stands there and
is killed is an error too. Exit code 0: 95 in 100 killed, every survivor explained.
"""
import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

sys.path.insert(0, str(Path(__file__).parent))
import operators  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "mutation"
SEED, GOAL = 1, 95
SLOW = 2  # processor seconds; a test program that takes more is left out
PROCESSES = 2
MEASURED = ["src/mem/*.c", "src/mem/*.h", "src/multiboot2.c", "include/mem/pmm*.h"]

ARCH = {64: "x86_64", 32: "i386"}
COMMON = ("-std=gnu2x -O1 -g0 -w -fno-omit-frame-pointer -Iinclude -Isrc -Itests/unit").split()
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all".split()
STAGES = {64: [], 32: SANITIZERS}  # the first finds most, and quickly


class Program:
    """One unit test in one width: its sources, and what its sound self costs."""

    def __init__(self, name, bits, sources):
        self.name, self.bits, self.sources = name, bits, sources
        self.seconds = 0.0


def flags(bits):
    return [*COMMON, f"-m{bits}", f"-Isrc/arch/{ARCH[bits]}", *STAGES[bits]]


def compile_c(tree, bits, source, to):
    """The object's bytes, None: no C."""
    done = subprocess.run(["gcc", *flags(bits), "-c", source, "-o", to], cwd=tree,
                          stderr=subprocess.DEVNULL)
    return to.read_bytes() if done.returncode == 0 else None


def link(program, objects, to):
    libraries = ["-lcmocka"] if program.bits == 64 else []
    subprocess.run(["gcc", f"-m{program.bits}", *STAGES[program.bits], "-o", to, *objects, *libraries],
                   check=True)


def run(binary, limit):
    """(exit code, processor seconds). A limit of processor time ends what would not end."""
    def child():
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([binary], preexec_fn=child, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.returncode, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Sound:
    """The code as it is: objects, who includes what, what each program costs."""

    def __init__(self, programs, files):
        self.objects, self.depends = {}, defaultdict(set)
        wanted = sorted({(p.bits, s) for p in programs for s in p.sources})
        with ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(lambda w: self.find_depends(*w), wanted))
            concerned = set().union(*(self.depends[f] for f in files))
            programs = [p for p in programs if any((p.bits, s) in concerned for s in p.sources)]
            wanted = sorted({(p.bits, s) for p in programs for s in p.sources})
            list(pool.map(lambda w: self.build(*w), wanted))
        self.programs = sorted(filter(self.is_quick, programs), key=lambda p: p.seconds)

    def is_quick(self, program):
        binary = OUT / "sound" / f"{program.name}.{program.bits}"
        link(program, [self.path(program.bits, s) for s in program.sources], binary)
        code, program.seconds = run(binary, 600)
        if code:
            sys.exit(f"{program.name} ({program.bits} bits) fails without any mutant")
        if program.seconds > SLOW:
            print(f"  {program.name}.{program.bits} takes {program.seconds:.0f} s: left out")
        return program.seconds <= SLOW

    @staticmethod
    def path(bits, source):
        return OUT / "sound" / f"{source.replace('/', '_')}.{bits}.o"

    def build(self, bits, source):
        bytes_ = compile_c(ROOT, bits, source, self.path(bits, source))
        if bytes_ is None:
            sys.exit(f"{source} does not compile ({bits} bits)")
        self.objects[bits, source] = bytes_

    def find_depends(self, bits, source):
        made = subprocess.run(["gcc", *flags(bits), "-MM", source], cwd=ROOT, check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        for word in made.replace("\\\n", " ").split()[1:]:
            self.depends[os.path.normpath(word)].add((bits, source))


class Worker:
    """A copy of the tree in which one mutant at a time is planted."""

    def __init__(self, number, sound):
        self.tree, self.sound = OUT / f"tree{number}", sound
        shutil.rmtree(self.tree, ignore_errors=True)
        for name in ("src", "include", "tests/unit", "tools/bootmap"):
            shutil.copytree(ROOT / name, self.tree / name)

    def judge(self, mutant, source):
        """'same', 'no C', 'survived', or what killed it."""
        victim = self.tree / mutant.file
        victim.write_text(mutant.apply(source))
        try:
            changed, result = False, "survived"
            for bits in STAGES:
                objects = self.changed(mutant.file, bits)
                if objects is None:
                    return "no C"
                if not objects:
                    continue
                changed = True
                result = self.killed_by(objects, bits)
                if result != "survived":
                    return result
            return result if changed else "same"
        finally:
            victim.write_text(source)

    def changed(self, file, bits):
        """The objects that the mutant makes different."""
        objects = {}
        for at, source in sorted(self.sound.depends[file]):
            if at != bits:
                continue
            to = self.tree / f"{source.replace('/', '_')}.{bits}.o"
            bytes_ = compile_c(self.tree, bits, source, to)
            if bytes_ is None:
                return None
            if bytes_ != self.sound.objects[bits, source]:
                objects[source] = to
        return objects

    def killed_by(self, objects, bits):
        binary = self.tree / "mutant"
        for p in self.sound.programs:
            if p.bits != bits or not objects.keys() & set(p.sources):
                continue
            link(p, [objects.get(s) or self.sound.path(bits, s) for s in p.sources], binary)
            limit = max(2, int(10 * p.seconds) + 1)
            code, _ = run(binary, limit)
            if code:
                endless = code in (-signal.SIGXCPU, -signal.SIGKILL)
                return f"endless in {p.name}.{bits}" if endless else f"{p.name}.{bits}"
        return "survived"


def place(mutant):
    """Where in the sample: by chance, and the same whatever else is changed or left out."""
    text = repr((SEED, mutant.key, mutant.nth))
    return hashlib.sha256(text.encode()).digest()


def draw(files):
    """All mutants of the files in the sample's order: any beginning of it is an even sample."""
    names = files or sorted({str(f.relative_to(ROOT)) for g in MEASURED for f in ROOT.glob(g)})
    sources = {name: (ROOT / name).read_text() for name in names}
    every = [m for name, text in sources.items() for m in operators.mutants(name, text)]
    return sorted(every, key=place), sources


class Results:
    """What is known of mutants of the code as it is. Kept as it comes: a run may be broken off."""

    def __init__(self, sources, resume):
        self.digests = {f: hashlib.sha256(t.encode()).hexdigest() for f, t in sources.items()}
        self.path, self.known = OUT / "results.jsonl", {}
        if resume and self.path.exists():
            for line in self.path.read_text().splitlines():
                key, result = json.loads(line)
                self.known[tuple(key)] = result
        else:
            self.path.write_text("")

    def key(self, mutant):
        return self.digests[mutant.file], *mutant.key, mutant.nth

    def killed_before(self, mutant):
        """Tests are only added, so what they have seen once they see again."""
        result = self.known.get(self.key(mutant), "survived")
        return None if result == "survived" else result

    def note(self, mutant, result):
        with open(self.path, "a", encoding="ascii") as file:
            file.write(json.dumps([self.key(mutant), result]) + "\n")


def campaign(every, sources, sound, wanted, known):
    """Judges mutants until `wanted` of them count. Yields (mutant, result), in order."""
    workers = Queue()
    for n in range(PROCESSES):
        workers.put(Worker(n, sound))

    def judge(mutant):
        before = known.killed_before(mutant)
        if before:
            return mutant, before
        worker = workers.get()
        try:
            return mutant, worker.judge(mutant, sources[mutant.file])
        finally:
            workers.put(worker)

    counted, tried, killed = 0, 0, 0
    with ThreadPoolExecutor(PROCESSES) as pool:
        for at in range(0, len(every), 16):
            for mutant, result in pool.map(judge, every[at:at + 16]):
                tried += 1
                known.note(mutant, result)
                if result in ("same", "no C") or counted == wanted:
                    continue
                counted += 1
                killed += result != "survived"
                yield mutant, result
            print(f"\r  {counted} of {min(wanted, len(every))} judged ({tried} made), {killed} killed",
                  end="", file=sys.stderr, flush=True)
            if counted == wanted:
                break
    print(file=sys.stderr)


def table(results):
    rows = defaultdict(Counter)
    for mutant, result in results:
        kind = result if result == "survived" else "endless" if result[:7] == "endless" else "killed"
        rows[mutant.file][kind] += 1
        rows["all"][kind] += 1
    print(f"{'':34}{'mutants':>9}{'killed':>9}{'endless':>9}{'survived':>9}{'score':>9}")
    for name in [*sorted(rows.keys() - {"all"}), "all"]:
        row, of = rows[name], rows[name].total()
        print(f"  {name:<32}{of:>9}{row['killed']:>9}{row['endless']:>9}{row['survived']:>9}"
              f"{100 * (of - row['survived']) / of:>8.1f}%")
    return rows["all"]


def explained():
    path = Path(__file__).with_name("survivors.toml")
    entries = tomllib.loads(path.read_text()).get("survivor", []) if path.exists() else []
    return {(e["file"], name, e["text"]): e["why"] for e in entries for name in e["names"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", nargs="+", required=True, help="NAME:BITS:SOURCE,SOURCE...")
    parser.add_argument("--number", type=int, default=1500)
    parser.add_argument("--files", nargs="*")
    parser.add_argument("--resume", action="store_true", help="what was killed before is killed")
    options = parser.parse_args()
    os.nice(10)
    (OUT / "sound").mkdir(parents=True, exist_ok=True)

    programs = []
    for text in options.programs:
        name, bits, sources = text.split(":")
        programs.append(Program(name, int(bits), sources.split(",")))
    every, sources = draw(options.files)
    known = Results(sources, options.resume)
    sound = Sound(programs, sources)
    results = list(campaign(every, sources, sound, options.number, known))
    survivors = [m for m, result in results if result == "survived"]

    reasons = explained()
    unexplained = [m for m in survivors if m.key not in reasons]
    alive = {m.key for m in survivors}
    wrong = [m for m, result in results if m.key in reasons and m.key not in alive]
    for mutant in unexplained:
        print(f"survived: {mutant}")
    for mutant in wrong:
        print(f"survivors.toml explains what is killed: {mutant}")
    sums = table(results)
    score = 100 * (1 - sums["survived"] / max(1, sums.total()))
    print(f"{sums.total()} mutants of {len(every)}, {score:.1f} % killed; {len(survivors)} survived, "
          f"{len(unexplained)} of them unexplained")
    return 0 if score >= GOAL and not unexplained and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
