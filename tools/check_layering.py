#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""check_layering.py [ROOT] - the rules of the tree that a compiler does not see.

    includes    a file under src/ or include/ includes only its own layer or a lower one
    one tree    no .c file asks which architecture it is compiled for
    licence     every source file has its SPDX line first
    listed      every source under src/ and boot/ is in the Makefile or arch.mk
    length      a file over 400 lines is pointed out (not an error)

Prints each finding as path:line: what; exit code 1 if there was an error.
"""
import re
import sys
from pathlib import Path

# Lowest first. A path belongs to the first pattern that matches it.
LAYERS = [
    ("lib, types", [r"src/lib/", r"include/mem/(types|owner)\.h", r"src/mem/(mem_err|owner)\.c"]),
    ("platform, arch", [r"include/platform\.h", r"src/arch/(?!\w+/museum)"]),
    ("multiboot2, bootmap", [r"(include|src)/multiboot2", r"(include|src)/mem/bootmap",
                             r"src/cmdline"]),
    ("pmm", [r"(include|src)/mem/(pmm|lock|frames)"]),
    ("paging, physical window", [r"(include|src)/mem/(paging|kmap|hhdm|physmap|mmio|preflight)",
                                 r"src/physmap"]),
    ("heap", [r"(include|src)/mem/(heap|kmalloc)"]),
    ("services", [r"(include|src)/mem/"]),
    ("dev", [r"src/dev/"]),
    ("diag", [r"src/diag/", r"src/kernel\.h", r"src/kernel_space\.h"]),
    ("kernel", [r"src/kernel", r"src/(arch/\w+/)?museum"]),
]

# One step up that is right, each with its reason.
PAGING = "include/mem/paging.h"  # what the CPU can do is found out below and used above
ALLOWED = {
    ("src/arch/cpu.h", PAGING),
    ("src/arch/i386/cpu.c", PAGING),
    ("src/arch/x86_64/cpu.c", PAGING),
}

ARCH_QUESTION = re.compile(
    r"#\s*(?:if|ifdef|ifndef|elif|elifdef|elifndef)\b.*"
    r"(?:__i[3-6]86|i386|x86_64|amd64|__LP64__|__ILP32__|__SIZEOF_|UINTPTR_MAX|__WORDSIZE|ARCH)")
INCLUDE = re.compile(r'#\s*include\s*([<"])([^>"]+)[>"]')
FREESTANDING = {"stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "limits.h", "stdalign.h"}


def layer(path):
    for rank, (_, patterns) in enumerate(LAYERS):
        if any(re.match(p, path) for p in patterns):
            return rank
    return None


def resolve(root, path, name):
    """The file in the tree that `name` means, tried as the compiler does; None: not ours."""
    arch = [str(p.relative_to(root)) for p in (root / "src/arch").glob("*/") if p.is_dir()]
    if path.startswith("src/arch/") and path.split("/")[2] in {Path(a).name for a in arch}:
        arch = ["/".join(path.split("/")[:3])]
    for base in [str(Path(path).parent), "include", "src", *arch]:
        if (root / base / name).exists():
            return (Path(base) / name).as_posix()
    return None


def check_includes(root, path, lines):
    own = layer(path)
    if own is None:
        yield 1, "belongs to no layer"
        return
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        name = found[2]
        target = resolve(root, path, name)
        if target is None:
            if name not in FREESTANDING:
                yield number, f"includes {name}, which is neither ours nor freestanding"
            continue
        there = layer(target)
        if there is not None and there > own and (path, target) not in ALLOWED:
            yield number, (f"{LAYERS[own][0]} includes {target}, "
                           f"which is higher: {LAYERS[there][0]}")


def check_architecture(lines):
    for number, line in enumerate(lines, 1):
        if ARCH_QUESTION.search(line):
            yield number, "asks for the architecture; that is what arch.mk is for"


def check_licence(lines):
    if not any("SPDX-License-Identifier: MIT" in line for line in lines[:2]):
        yield 1, "no SPDX line"


def listed_sources(root):
    text = "".join((root / name).read_text() for name in ("Makefile", "arch.mk"))
    return text.replace("$(ARCH)", "*").replace("$(PHYSMAP)", "*")


def is_listed(text, path):
    alternatives = [path, re.sub(r"^src/arch/[^/]+/", "src/arch/*/", path),
                    re.sub(r"(?<=[/_])(kmap|hhdm)\.c$", "*.c", path)]
    return any(re.search(r"(?<![\w/])" + re.escape(a) + r"(?![\w])", text) for a in alternatives)


def main(root):
    errors = 0
    sources = sorted(p.relative_to(root).as_posix() for base in ("src", "include", "boot", "tests",
                     "tools", "bench") for p in (root / base).rglob("*")
                     if p.suffix in {".c", ".h", ".asm", ".ld", ".py", ".sh", ".awk"})
    listing = listed_sources(root)
    for path in sources:
        lines = (root / path).read_text().splitlines()
        findings = list(check_licence(lines))
        if path.startswith(("src/", "include/")) and path.endswith((".c", ".h")):
            findings += check_includes(root, path, lines)
        if path.startswith("src/") and path.endswith(".c"):
            findings += check_architecture(lines)
        if path.startswith(("src/", "boot/")) and not path.endswith(".h") \
                and not is_listed(listing, path):
            findings.append((1, "is in no list of the Makefile"))
        for number, what in findings:
            print(f"{path}:{number}: {what}")
        errors += len(findings)
        if len(lines) > 400:
            print(f"{path}: note: {len(lines)} lines")
    print(f"layering: {len(sources)} files, {errors} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()))
