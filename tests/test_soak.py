# SPDX-License-Identifier: MIT
"""The soak in short, under sanitizers: nothing is lost, a seed repeats, and mistakes are noticed.

`make soak OPS=1000000000` is the long form.
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

HOST = Path(os.environ.get("TWINPAGE_BUILD", Path(__file__).parents[1] / "build")) / "host"
BITS = (64, 32)


def soak(bits, *words):
    return subprocess.run([HOST / f"soak_checked.{bits}", *map(str, words)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("bits", BITS)
def test_a_million_calls(bits):
    done = soak(bits, "-n", 1000000, "-s", 1)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"soak: nothing lost; digest 0x[0-9a-f]{16}", lines[-1])
    refused, dry, large = map(int, re.search(
        r"(\d+) refused, (\d+) of them for want of frames; (\d+) pages", lines[-2]).groups())
    assert refused > dry > 10000 and large > 1000, "memory ran out, and large pages came about"
    assert sum(" %  " in line for line in lines) == 50, "progress is shown"


def digest(bits, *words):
    return re.search(r"digest (\w+)", soak(bits, "-n", 50000, *words).stdout)[1]


@pytest.mark.parametrize("bits", BITS)
def test_a_seed_repeats(bits):
    assert digest(bits, "-s", 7) == digest(bits, "-s", 7) != digest(bits, "-s", 8)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("mistake, said", [
    ("frame", "free: the allocator counts"), ("page", "may 0x"), ("block", "its contents changed"),
])
def test_a_mistake_is_noticed(bits, mistake, said):
    done = soak(bits, "-n", 50000, "-s", 3, "-p", mistake)
    assert done.returncode == 1 and "nothing lost" not in done.stdout
    assert said in done.stderr and re.match(r"soak: call \d+ with -s 3: ", done.stderr)
