# SPDX-License-Identifier: MIT
"""Every frame of every call and of every self-test missing in turn, in the kernel: a typed answer each
time, and the frames, the tables' bytes and the heap as before. And the comparison itself can fail."""
import functools

import pytest

import harness
import test_builds
import test_ledger

CALLS = {"frames in the window": 8, "a page": 1, "small pages over tables": 3, "large pages, split": 2,
         "frames mapped one by one": 13, "an address space": 3, "a device": 0, "heap blocks": 21,
         "random calls of the heap": 10}
TAKERS = {"frames come and go, a double free is refused": 2, "runs are aligned and below their limit": 1,
          "the physical window nests": 16, "a page is mapped and unmapped; its table is gone": 1,
          "the heap grows and gives back": 200, "mapping with the last frames": 50,
          "heap growth with the last frames": 5000}
SWEEP = "every frame of every call missing in turn"
RULES = {"a refusal that nobody caused": "E1", "a refusal with another name": "E1", "a frame that is kept": "E2",
         "a frame in place of another": "E2", "a frame under another name": "E2", "a bit of a page table": "E3",
         "a byte of a header in the heap": "H1"}
SLOTS = {"a slot of the window": "E3"}  # where there are slots

TARGETS = ("i386", "x86_64", "kmap")  # the last one: x86_64 through a window


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """target -> (architecture, image); the window's is built here, once."""
    @functools.cache
    def make(target):
        if target != "kmap":
            return target, harness.iso_path(target)
        directory = tmp_path_factory.mktemp("kmap")
        test_builds.make("ARCH=x86_64", "PHYSMAP=kmap", f"O={directory}", "CMDLINE=", "iso")
        return "x86_64", directory / "twinpage-x86_64.iso"
    return make


# What waits in the heap's bins may serve when growth is refused, and then no call is.
SERVED = {"the heap keeps contents through 2000 random calls"}


def check_points(report, every):
    """Who took no frame had none to miss; else the first was missing, and all when it had to be all."""
    for e in report["exercises"]:
        for way in "once", "always":
            points, refused = e[f"points_{way}"], e[f"refused_{way}"]
            assert refused <= points <= e["frames"], e
            assert bool(points) == bool(e["frames"]), e
            assert not every or points == e["frames"] or way == "always", e
        assert e["passed"], e
        assert e["refused_always"] > 0 or not e["frames"] or e["name"] in SERVED, e
    assert report["points"] == sum(e["points_once"] + e["points_always"] for e in report["exercises"])
    assert report["refused"] == sum(e["refused_once"] + e["refused_always"] for e in report["exercises"])


@pytest.mark.parametrize("target", TARGETS)
def test_every_frame_missing(image, target):
    arch, iso = image(target)
    run = harness.boot(arch, iso=iso, memory="31M", cpu="max", timeout=120,
                       cmdline='run="oom -j; oom plant -j; mmap -j; meminfo -j; selftest -j"')
    test_ledger.check(run, test_ledger.STAGES[:3] + test_ledger.STAGES[4:])
    report, plants = test_ledger.reports(run, "oom")
    check_points(report, every=False)
    assert report["passed"] and report["points"] > 400

    frames = {e["name"]: e["frames"] for e in report["exercises"]}
    selftests = {t["name"] for t in test_ledger.reports(run, "selftest")[0]["tests"]}
    assert SWEEP in selftests and frames.keys() == selftests - {SWEEP} | CALLS.keys(), "each of them"
    for name, least in (CALLS | TAKERS).items():
        assert frames[name] >= least, name
    for e in report["exercises"]:
        if e["name"] in CALLS:
            assert e["points_always"] == e["refused_always"] == e["frames"], e
        if e["name"] == "mapping with the last frames":
            assert e["refused_once"] > 0.9 * e["points_once"], "a refusal without reason is no pass"

    found = {p["name"]: p["noticed"][:2] for p in plants["planted"]}
    assert plants["passed"] and found == (RULES if target == "x86_64" else RULES | SLOTS)


@pytest.mark.matrix
@pytest.mark.parametrize("target", TARGETS)
def test_every_frame_missing_and_not_only_some(image, target):
    arch, iso = image(target)
    run = harness.boot(arch, iso=iso, memory="31M", cpu="max", cmdline='run="oom all -j"', timeout=900)
    assert run.passed, run.explain()
    report = test_ledger.reports(run, "oom")[0]
    check_points(report, every=True)
    assert report["passed"] and report["points"] > 10000


@pytest.fixture(scope="module", params=harness.ARCHES)
def scarce(request):
    """A machine with hardly a frame left."""
    with harness.Machine(request.param, memory="31M", cpu="max") as machine:
        machine.wait_prompt()
        free = machine.json("meminfo")["frames"]["free"]
        assert "MEM_" not in machine.run(f"map 0x40000000 {free - 20}")
        yield machine


def test_a_selftest_without_memory_is_refused_by_name(scarce):
    """Neither a pass nor a failure; and not one of them loses what little there is."""
    free = scarce.json("meminfo")["frames"]["free"]
    report = scarce.json("selftest")
    why = {t["name"]: t.get("why") for t in report["tests"]}
    assert report["failed"] == 0 and report["refused"] >= 2 and report["passed"] > 10, why
    assert why["the physical window nests"] == why[SWEEP] == "MEM_NO_FRAME"
    assert {t["passed"] for t in report["tests"] if t.get("why")} == {False}
    text = scarce.run("selftest")
    assert "the physical window nests: refused: MEM_NO_FRAME" in text
    assert f"{report['passed']} passed, {report['refused']} refused, 0 failed" in text
    assert scarce.json("meminfo")["frames"]["free"] == free


def test_without_memory_there_is_nothing_to_refuse(scarce):
    assert "MEM_NO_FRAME" in scarce.json("oom")["error"]


def test_a_refused_selftest_is_no_pass(arch):
    """All but a few frames are gone before it begins: the verdict is that not everything passed."""
    look = harness.boot(arch, memory="16M", cmdline='run="meminfo -j"')
    free = test_ledger.reports(look, "meminfo")[0]["frames"]["free"]
    run = harness.boot(arch, memory="16M", cmdline=f'run="map 0x40000000 {free - 20}; selftest"')
    assert "refused, 0 failed" in run.text and " 0 refused" not in run.text, run.explain()
    assert run.verdict == "fail", run.explain()


def test_people_can_read_it(shell):
    lines = shell.run("oom").splitlines()
    assert max(len(line) for line in lines) <= 80, lines
    assert [line for line in lines if line.startswith("  frames in the window ") and line.endswith(" ok")]
    assert "FAILED" not in " ".join(lines) and "MEM_NO_FRAME" in lines[-1]
    lines = shell.run("oom plant").splitlines()
    assert max(len(line) for line in lines) <= 80 and "all noticed" in lines[-1], lines


@pytest.mark.parametrize("words", ["frobnicate", "all plant", "3"])
def test_wrong_words_are_named(shell, words):
    assert "usage: oom [all|plant]" in shell.run(f"oom {words}")
    assert "usage: oom [all|plant]" in shell.json(f"oom {words}")["error"]


@pytest.mark.parametrize("words", ["oom", "oom plant", "selftest"])
def test_not_under_a_storm(shell, words):
    """It has the CPU walk tables of its own, where what is mapped for a test is not there."""
    shell.run("storm 1 20")
    assert "storm clear takes it away" in shell.run(words)
    assert "nothing of the storm is left" in shell.run("storm clear")
