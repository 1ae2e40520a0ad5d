# SPDX-License-Identifier: MIT
"""What booting costs, counted in instructions: no more with 4 TiB of RAM than with 1 GiB."""
import json

import pytest

import bench
import harness


def boot_cost(memory):
    """Instructions from reset to the shell; RAM that the host does not have."""
    cpu, extra = harness.huge("max", memory)
    run = harness.boot("x86_64", cmdline="bench", memory=memory, cpu=cpu, timeout=120,
                       extra=(*bench.EXACT, *extra))
    assert run.passed, run.explain()
    rows = [json.loads(line) for line in run.text.splitlines() if line.startswith('{"cmd":"bench"')]
    return {row["name"]: row["instructions"] / row["ops"] for row in rows}


def test_4_tib_boot_like_1_gib():
    small, large = boot_cost("1G"), boot_cost("4T")
    assert large["boot since reset"] <= 1.1 * small["boot since reset"]
    for name in ("frames_take", "frames_give", "pmm_alloc"):
        assert large[name] <= 1.05 * small[name], name
