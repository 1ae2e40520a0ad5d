#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""report.py - what of the memory code the unit tests reach: lines, branches, MC/DC.

Runs every instrumented program (see coverage.mk), takes llvm-cov's export of each, joins them for
each width, and prints a table. An inline function or a variant (pmm_tags) is in several programs;
what one of them reaches is reached. MC/DC is the weaker sum of that: both halves of a condition's
pair have to be in one program.

    line       a line with code on it was run
    branch     one outcome of one condition came about; a condition the compiler folds has none
    MC/DC      a condition decided its decision alone, all others being equal

What is not reached must stand in the list of exceptions with an argument, by file, function, source
text and what is missing; an exception that says too much is an error as well. Files that are not
there yet stand in the list with so many places open: more is an error, and so is a file that has
none and still stands there. Exit code 0: no error.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from run import run_unit  # noqa: E402

MEASURED = ("src/mem/", "include/mem/", "src/multiboot2.c")
LINE, TRUE, FALSE, ALONE = "never run", "never true", "never false", "never alone"
MCDC_BRANCH = 6  # llvm's kind of region
METRICS = {"line": (LINE,), "branch": (TRUE, FALSE), "MC/DC": (ALONE,)}


class Joined:
    """All programs of one width. `items` maps (file, place, what) to reached or not."""

    def __init__(self, root):
        self.root = root
        self.items = {}
        self.functions = defaultdict(list)  # file: (first line, last line, name)
        self.texts = {}
        self.ends = {}  # (file, start of a condition): its whole place

    def name(self, path):
        path = os.path.relpath(path, self.root)
        return path if path.startswith(MEASURED) else None

    def source(self, file, start_line, start, end_line, end):
        if file not in self.texts:
            self.texts[file] = (self.root / file).read_text().splitlines()
        lines = self.texts[file][start_line - 1:end_line]
        lines[-1] = lines[-1][:end - 1]
        lines[0] = lines[0][start - 1:]
        return " ".join(" ".join(lines).split())

    def note(self, file, place, what, reached):
        key = file, place, what
        self.items[key] = self.items.get(key, False) or bool(reached)

    def add(self, export, shown):
        for file in export["files"]:
            name = self.name(file["filename"])
            if name:
                self.add_lines(name, file["segments"])
        for function in export["functions"]:
            self.add_function(function)
        self.add_decisions(shown)

    def add_lines(self, file, segments):
        """As llvm-cov counts: the count that flows into a line, or the greatest that starts on it."""
        around = None
        for line, here in lines_of(segments):
            starts = [s[2] for s in here if s[3] and s[4] and not s[5]]
            if starts or (around and around[3]):
                count = max(starts + ([around[2]] if around and around[3] else []))
                width = len(self.source(file, line, 1, line, 1 << 20)) and 1 << 20
                self.note(file, (line, 1, line, width), LINE, count)
            around = here[-1] if here else around

    def add_function(self, function):
        names = [self.name(f) for f in function["filenames"]]
        first = function["regions"][0]
        if names[0]:
            plain = function["name"].rsplit(":", 1)[-1]
            self.functions[names[0]].append((first[0], first[2], plain))
        for *place, true, false, file, _, kind in function["branches"]:
            if names[file]:
                self.add_branch(names[file], tuple(place), true, false, kind)

    def add_branch(self, file, place, true, false, kind):
        text = self.source(file, *place)
        self.note(file, place, TRUE, true)
        if not text.startswith(("case", "default")):
            self.note(file, place, FALSE, false)
        self.ends[file, place[:2]] = place
        after = self.texts[file][place[2] - 1][place[3] - 1:].lstrip(" )")
        if kind != MCDC_BRANCH and after.startswith(("&&", "||")):
            raise SystemExit(f"{file}:{place[0]}: clang counts no MC/DC here: {text} {after}")

    def add_decisions(self, text):
        """The export does not tell a folded condition from one that decides nothing; `show` does."""
        file, where = None, {}
        for line in text.splitlines():
            if line.endswith(":") and line.startswith("/"):
                file = self.name(line[:-1])
            elif match := re.match(r".*Condition C(\d+) --> \((\d+):(\d+)\)", line):
                where[match[1]] = int(match[2]), int(match[3])
            elif (match := re.match(r".*  C(\d+)-Pair: (.*)", line)) and file:
                if match[2] != "constant folded":
                    self.note(file, self.ends[file, where[match[1]]], ALONE, match[2][:3] != "not")

    def function_at(self, file, line):
        spans = [s for s in self.functions[file] if s[0] <= line <= s[1]]
        return max(spans)[2] if spans else "?"

    def missing(self):
        """{(file, function, what, text): [places]} of what was not reached."""
        found = defaultdict(list)
        for (file, place, what), reached in self.items.items():
            if not reached:
                text = self.source(file, *place)
                found[file, self.function_at(file, place[0]), what, text].append(place)
        return found


def lines_of(segments):
    by_line = defaultdict(list)
    for s in segments:
        by_line[s[0]].append(s)
    if by_line:
        for line in range(min(by_line), max(by_line) + 1):
            yield line, by_line.get(line, [])



def llvm_cov(command, binary, data, *options):
    return subprocess.run(["llvm-cov-19", command, *options, f"-instr-profile={data}", binary],
                          check=True, text=True, stdout=subprocess.PIPE).stdout


def measure(binary, out):
    """Runs one program; returns (passed, failed, its coverage, MC/DC as text)."""
    raw, data = out / f"{binary.name}.profraw", out / f"{binary.name}.profdata"
    raw.unlink(missing_ok=True)
    passed, failed, text, _ = run_unit(str(binary), {"LLVM_PROFILE_FILE": str(raw)})
    if failed:
        print(text)
    subprocess.run(["llvm-profdata-19", "merge", "-o", data, raw], check=True)
    exported = llvm_cov("export", binary, data)
    shown = llvm_cov("show", binary, data, "-show-mcdc")
    return passed, failed, json.loads(exported)["data"][0], shown


def html(binaries, data, out):
    objects = [word for b in binaries for word in ("-object", b)]
    subprocess.run(["llvm-profdata-19", "merge", "-o", out / "all.profdata", *data], check=True)
    subprocess.run(["llvm-cov-19", "show", "-format=html", "-show-branches=count", "-show-mcdc",
                    f"-output-dir={out}", f"-instr-profile={out}/all.profdata",
                    *objects[1:], "src/mem", "include/mem", "src/multiboot2.c"],
                   check=True, stderr=subprocess.DEVNULL)


def table(joined, excused, bits):
    rows = defaultdict(lambda: {m: [0, 0, 0] for m in METRICS})
    for (file, place, what), reached in joined.items.items():
        metric = next(m for m, kinds in METRICS.items() if what in kinds)
        for name in (file, f"all, {bits} bits"):
            cell = rows[name][metric]
            cell[0] += reached
            cell[1] += (file, place, what) in excused
            cell[2] += 1
    print(f"\n{bits} bits" + " " * 26 + "".join(f"{m:>18}" for m in METRICS))
    total = rows.pop(f"all, {bits} bits")
    for name, cells in [*sorted(rows.items()), ("all", total)]:
        print(f"  {name:<31}" + "".join(
            f"{good:>10}/{of}{f' +{waived}' if waived else '':<{8 - len(str(of))}}"
            for good, waived, of in cells.values()).rstrip())


def judge(joined, bits, exceptions, sources, faults):
    """Notes in faults what is missing and not argued for; returns the excused items."""
    excused = set()
    for (file, function, what, text), places in joined.missing().items():
        entry = exceptions.get((bits, file, function, what, text))
        if entry:
            entry["used"] = True
            excused.update((file, place, what) for place in places)
            continue
        for place in places:
            faults[file, place[:2], function, text][bits].append(what)
    seen = {file for file, _, _ in joined.items}
    for file in set(sources) - seen:
        faults[file, (1, 1), "no unit test", "the whole file"][bits].append(LINE)
    return excused


def tell(faults):
    for (file, place, function, text), by_width in sorted(faults.items()):
        whats = [" ".join(sorted(w)) for w in by_width.values()]
        where = "" if len(by_width) == 2 and whats[0] == whats[1] else \
            f" ({', '.join(f'{b} bits' for b in by_width)})"
        print(f"{file}:{place[0]}:{place[1]}: {', '.join(dict.fromkeys(whats))}{where}, "
              f"in {function}: {text}")


def read_exceptions(path):
    """One entry for each width and each way of missing that the file's entries name."""
    out = {}
    for e in tomllib.loads(Path(path).read_text()).get("exception", []):
        if not e["why"].strip():
            raise SystemExit(f"{path}: {e['text']}: no argument")
        out.update({(bits, e["file"], e["in"], what, e["text"]): {"used": False}
                    for bits in e.get("bits", [64, 32]) for what in e["what"]})
    return out


def without_open(faults, path):
    """The faults of the files that are held; says of the others how many places are open."""
    allowed = {e["file"]: e["places"]
               for e in tomllib.loads(Path(path).read_text()).get("open", [])}
    found = Counter(file for file, *_ in faults if file in allowed)
    wrong = 0
    for file, places in allowed.items():
        wrong += found[file] > places or not found[file]
        print(f"{file}: {found[file]} places open, {places} allowed")
    return {key: f for key, f in faults.items() if key[0] not in allowed}, wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--exceptions", required=True)
    parser.add_argument("--all", action="store_true", help="tell the open places, too")
    parser.add_argument("--sources-64", nargs="*", default=[])
    parser.add_argument("--sources-32", nargs="*", default=[])
    parser.add_argument("--binaries", nargs="+", type=Path)
    options = parser.parse_args()

    exceptions = read_exceptions(options.exceptions)
    faults = defaultdict(lambda: defaultdict(list))
    passed = failed = 0
    for bits, sources in ((64, options.sources_64), (32, options.sources_32)):
        binaries = [b for b in options.binaries if b.suffix == f".{bits}"]
        out = options.out / str(bits)
        out.mkdir(parents=True, exist_ok=True)
        joined = Joined(Path.cwd())
        with ThreadPoolExecutor(2) as pool:
            for good, bad, data, shown in pool.map(lambda b: measure(b, out), binaries):
                passed, failed = passed + good, failed + bad
                joined.add(data, shown)
        html(binaries, [out / f"{b.name}.profdata" for b in binaries], out)
        table(joined, judge(joined, bits, exceptions, sources, faults), bits)
    print()
    if options.all:
        tell(faults)
    faults, wrong = without_open(faults, options.exceptions)
    tell(faults)
    needless = [key for key, entry in exceptions.items() if not entry["used"]]
    for key in needless:
        print(f"{options.exceptions}: nothing needs {key}")
    print(f"{passed} tests passed, {failed} failed; {len(faults)} places neither reached nor "
          f"argued for, {len(needless)} arguments for nothing")
    return 1 if wrong or faults or needless or failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
