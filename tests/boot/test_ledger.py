# SPDX-License-Identifier: MIT
"""The owner of every frame: the sum is exact after every stage of boot, on RAM of odd sizes."""
import json

import harness
import pytest

STAGES = ["frame allocator", "heap", "smoke test", "self-test", "now"]
SIZES = {"i386": ("8M", "9M", "17M", "63M", "5G"), "x86_64": ("16M", "17M", "33M", "63M", "5G")}


def reports(run, cmd):
    return [json.loads(line) for line in run.text.splitlines() if line.startswith('{"cmd":"%s"' % cmd)]


def check_stage(stage, info):
    owners = stage["owners"]
    assert stage["exact"], stage
    assert stage["free"] + stage["used"] + stage["reserved"] == stage["total"]
    assert sum(owners.values()) == stage["used"] + stage["reserved"]
    assert stage["total"] == info["boot_map_frames"]
    assert owners["kernel image"] and owners["low memory"] and owners["page tables"]
    assert "self-test" not in owners and "user" not in owners, "all was given back"


def check(run, stages):
    assert run.passed, run.explain()
    info, mmap = reports(run, "meminfo")[0], reports(run, "mmap")[0]
    assert [s["after"] for s in info["ledger"]] == stages
    for stage in info["ledger"]:
        check_stage(stage, info)
    assert "heap" not in info["ledger"][0]["owners"] and info["ledger"][1]["owners"]["heap"] > 0
    now = info["ledger"][-1]
    assert now["owners"] == info["frames"]["owners"] and now["free"] == info["frames"]["free"]
    assert now["owners"]["heap"] * 4096 == info["heap"]["mapped"]
    assert now["owners"]["page tables"] == info["tables"]
    assert info["boot_map_frames"] == mmap["usable_frames"]
    assert info["above_limit_frames"] == mmap["above_limit_frames"]


@pytest.mark.parametrize("arch, memory", [(a, m) for a in harness.ARCHES for m in SIZES[a]])
def test_the_sum_is_exact_after_every_stage(arch, memory):
    run = harness.boot(arch, memory=memory, cpu="max", cmdline='run="mmap -j; meminfo -j"', timeout=60)
    check(run, STAGES[:3] + STAGES[4:])


def test_the_sum_is_exact_after_the_selftest(arch):
    run = harness.boot(arch, memory="23M", cpu="max",
                       cmdline='run="selftest; mmap -j; meminfo -j"', timeout=120)
    check(run, STAGES)
