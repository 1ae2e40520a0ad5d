# SPDX-License-Identifier: MIT
"""Every fuzz target, in both widths: its corpus and some more, from a fixed seed; and the runner."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("TWINPAGE_BUILD", HERE.parents[1] / "build"))
TARGETS = sorted(p.stem.removeprefix("fuzz_") for p in HERE.glob("fuzz_*.c"))


def run(binary):
    return subprocess.run([sys.executable, HERE / "run.py", "--smoke", binary],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target, bits):
    done = run(BUILD / "host" / "fuzz" / f"{target}.{bits}")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_there_and_small(target):
    files = list((HERE / "corpus" / target).iterdir())
    assert 1 <= len(files) <= 120
    assert sum(f.stat().st_size for f in files) <= 100_000


PROGRAM = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes && data[0] % 4 == 1)
        BODY;
    return 0;
}
"""

CASES = {  # what the target does with one input in four: does the runner pass it?
    "return 0": True,
    "abort()": False,
    "exit(0)": False,
    "return ((char *volatile)malloc(1))[data[0]]": False,
    "return 1 << data[0]": False,
}


@pytest.mark.parametrize("body", CASES)
def test_a_finding_is_a_failure(body, tmp_path):
    source, binary = tmp_path / "t.c", tmp_path / "sample.64"
    source.write_text(PROGRAM.replace("BODY", body))
    subprocess.run(["clang", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all",
                    source, "-o", binary], check=True)
    done = run(binary)
    assert (done.returncode == 0) == CASES[body], done.stdout
