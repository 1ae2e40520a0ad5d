#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mutate.py - plants small mistakes in the memory code and counts those that the unit tests see.

A mutant is one edit (operators.py). The program of every unit test that contains the edited file is
linked with the edited objects (judge.py), in 64 bits without sanitizers, then, if nothing fails, in
32 bits with ASan and UBSan as `make unit` has them. The first failure ends it: a test that fails, a
crash, or ten times the processor seconds of the sound program, which is an endless loop. No wall
clock is asked. A mutant that compiles to the same objects is no mutant and is not counted; nor is
one that does not compile, nor one that -O2 makes the same, where nothing fails.

The mutants are a sample of all, drawn evenly with a fixed seed. A survivor has to stand in
survivors.toml with the reason why no test can see it, or why none has to; one that stands there and
is killed, or is no mutant, is an error too. Exit code 0: 95 in 100 killed, every survivor explained.
"""
import argparse
import hashlib
import json
import os
import sys
import tomllib
from collections import Counter, defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

sys.path.insert(0, str(Path(__file__).parent))
import judge  # noqa: E402
import operators  # noqa: E402
from judge import NO_MUTANT, OUT, PROCESSES, ROOT  # noqa: E402

SEED, GOAL = 1, 95
AHEAD = 16  # mutants under way or waiting, so that a slow one holds up nobody
MEASURED = ["src/mem/*.c", "src/mem/*.h", "src/multiboot2.c", "include/mem/pmm*.h"]


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
    """What runs have found. Kept as it comes: a run may be broken off. It always tells the order of
    the programs. With RESUME it also tells verdicts, and these as a run of everything would find
    them again: the mutant is the same, and so is every object of the program that has judged it."""

    def __init__(self, sources, resume):
        self.digests = {f: hashlib.sha256(t.encode()).hexdigest()[:16] for f, t in sources.items()}
        self.path, self.known, self.order = OUT / "results.jsonl", {}, judge.Order()
        OUT.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        for line in self.path.read_text().splitlines():
            digest, id_, result, programs = json.loads(line)
            if result not in (*NO_MUTANT, "survived"):
                self.order.learn(tuple(id_), id_[0], result.split()[-1])
            if resume:
                self.known[digest, *id_] = result, programs

    def key(self, mutant):
        return self.digests[mutant.file], *mutant.id

    def before(self, mutant, sound):
        """(verdict or None, digests of programs that have let it pass)."""
        result, programs = self.known.get(self.key(mutant), (None, []))
        if result == "survived":
            return None, programs
        valid = result in NO_MUTANT or any(p in sound.digests.values() for p in programs)
        return (result if valid else None), []

    def note(self, mutant, result, programs):
        self.known[self.key(mutant)] = result, programs
        line = self.digests[mutant.file], mutant.id, result, programs
        with open(self.path, "a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")


def judged(every, sources, sound, results):
    """(mutant, result) of all, in the sample's order, some judged ahead of it."""
    workers = Queue()
    for n in range(PROCESSES):
        workers.put(judge.Worker(n, sound, results.order))

    def verdict(mutant):
        result, passed = results.before(mutant, sound)
        if not result:
            worker = workers.get()
            result, programs = worker.judge(mutant, sources[mutant.file], passed)
            workers.put(worker)
            results.note(mutant, result, programs)
        return mutant, result

    with ThreadPoolExecutor(PROCESSES) as pool:
        waiting = deque()
        for mutant in every:
            waiting.append(pool.submit(verdict, mutant))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def campaign(verdicts, wanted):
    """All up to the one with which `wanted` are mutants."""
    results, counted, killed = [], 0, 0
    for mutant, result in verdicts:
        results.append((mutant, result))
        counted += result not in NO_MUTANT
        killed += result not in (*NO_MUTANT, "survived")
        print(f"\r  {counted} of {wanted} judged ({len(results)} made), {killed} killed", end="",
              file=sys.stderr, flush=True)
        if counted == wanted:
            break
    verdicts.close()
    print(file=sys.stderr)
    return results


def table(results):
    rows = defaultdict(Counter)
    for mutant, result in results:
        if result in NO_MUTANT:
            continue
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
    parser.add_argument("--resume", action="store_true", help="programs that are the same say the same")
    options = parser.parse_args()
    os.nice(10)

    every, sources = draw(options.files)
    found = Results(sources, options.resume)
    sound = judge.Sound([judge.Program(text) for text in options.programs], sources)
    results = campaign(judged(every, sources, sound, found), options.number)
    survivors = [m for m, result in results if result == "survived"]

    reasons, alive = explained(), {m.key for m in survivors}
    unexplained = [m for m in survivors if m.key not in reasons]
    twins = {m.key for m in every[len(results):]}  # of the same name in the same line, not judged
    wrong = {m.key: result for m, result in results if m.key in reasons and m.key not in alive | twins}
    wrong |= {key: "not in the source" for key in reasons.keys() - {m.key for m in every} if key[0] in sources}
    for mutant in unexplained:
        print(f"survived: {mutant}")
    for key, result in wrong.items():
        print(f"survivors.toml explains what does not survive ({result}): {': '.join(key)}")
    sums = table(results)
    score = 100 * (1 - sums["survived"] / max(1, sums.total()))
    print(f"{sums.total()} mutants of {len(every)}, {score:.1f} % killed; {len(survivors)} survived, "
          f"{len(unexplained)} of them unexplained")
    return 0 if score >= GOAL and not unexplained and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
