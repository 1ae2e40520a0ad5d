# SPDX-License-Identifier: MIT
"""test_proof.py - the axioms and the fast units of tests/proof are proved, for both machines (docs/proofs.md).

`make prove` proves the others too, and plants all mistakes; here, a mistake and a contradiction."""
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "proof"))
import bits  # noqa: E402
import prove  # noqa: E402

BUILD = os.environ.get("TWINPAGE_BUILD", os.path.join(ROOT, "build"))
absent = prove.missing()
pytestmark = pytest.mark.skipif(bool(absent), reason="for proofs, not there: " + " ".join(absent))


def test_axioms_about_bits():
    names, wrong = bits.prove()
    assert names and not wrong


@pytest.mark.parametrize("machdep", sorted(prove.MACHDEPS))
@pytest.mark.parametrize("unit", prove.FAST)
def test_unit_is_proved(unit, machdep):
    command = [sys.executable, os.path.join(ROOT, "tests", "proof", "prove.py"),
               "--machdep", machdep, "--cache", os.path.join(BUILD, "proof", machdep), unit]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", prove.UNITS)
def test_every_function_is_in_one_share(unit):
    assert sum(prove.shares(unit, "goals"), []) == prove.contracts(unit)


def test_one_open_share_leaves_a_unit_open():
    whole, part = (3, 3, 1.0, [], "whole"), (0, 1, 1.0, [], "no answer")
    assert prove.is_proved(prove.together([whole, whole]))
    assert not prove.is_proved(prove.together([whole, part]))
    assert prove.together([part, whole])[4] == "no answer"


@pytest.mark.parametrize("mistake", [mistake for mistake in prove.plants() if mistake[0] in prove.FAST and
                                     mistake[2] in ("units_for", "pmm_span_of_frame")],
                         ids=lambda mistake: mistake[1])
def test_mistake_is_noticed(mistake, tmp_path):
    prove.provers(str(tmp_path / "home"))
    assert prove.planted(mistake, "gcc_x86_64", str(tmp_path))


UNIT, PATH, FUNCTION, RIGHT, _ = next(plant for plant in prove.plants() if plant[2] == "units_for")
SAME = UNIT, PATH, FUNCTION, RIGHT, RIGHT.replace("size + extra", "extra + size")


def test_what_says_the_same_is_missed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(prove, "plants", lambda: [SAME])
    monkeypatch.setattr(sys, "argv", ["prove.py", "--plant", "--machdep=gcc_x86_64", f"--cache={tmp_path}", UNIT])
    assert prove.main() == 1
    told = capsys.readouterr().out
    assert "MISSED" in told and "noticed" not in told


def notices(monkeypatch, right, failed, limits):
    """What a mistake is noticed by, if this is the outcome without it, and these goals are open with it."""
    monkeypatch.setattr(prove, "run", lambda _u, _m, root, *_: right if root == prove.ROOT else (0, 1, 0, failed, ""))
    return prove.notice(SAME, "gcc_x86_64", "cache", "copy", limits)[0]


BOTH = 2, 2, 0, [], "Goal f_ensures : Valid\nGoal f_assert : Valid\n"
CASES = {  # the outcome without a mistake; what is open with it; is it noticed?
    "open with it": (BOTH, ["f_assert"], True),
    "open with it, numbered anew": (BOTH, ["f_assert_2"], True),
    "nothing open": (BOTH, [], False),
    "another clause open without it": ((1, 2, 0, ["f_ensures"], "Goal f_ensures_2 : Valid"), ["f_ensures_2"], True),
    "open without it, too": ((1, 2, 0, ["f_ensures"], "Goal f_ensures_2 : Valid"), ["f_ensures"], False),
    "maybe the one open without it": ((1, 2, 0, ["f_assert_2"], "Goal f_assert : Valid"), ["f_assert"], False),
    "a part open without it": ((1, 2, 0, ["f_ensures_part1"], "Goal f_ensures_part2 : Valid"),
                               ["f_ensures_part2"], False),
    "Frama-C failed without it": ((0, 1, 0, [], "Goal f_assert : Valid"), ["f_assert"], False),
}


@pytest.mark.parametrize("limits", prove.TRIED, ids=["short", "some", "all"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_open_tells_if_it_was_proved(monkeypatch, case, limits):
    right, failed, noticed = CASES[case]
    assert notices(monkeypatch, right, failed, limits) == (failed if noticed else [])


def test_what_only_a_mistake_has_tells_in_the_end(monkeypatch):
    new = ["f_assert_rte_shift"]
    assert [notices(monkeypatch, BOTH, new, limits) for limits in prove.TRIED] == [[], [], new]


def test_no_less_is_asked_with_a_mistake():
    def steps(limits):
        return [int(each[each.index("-wp-steps") + 1]) for each in limits]
    for without, with_it in prove.TRIED:
        assert all(few <= many for few, many in zip(steps(without), steps(with_it), strict=True))


def test_what_a_prover_before_proved_is_not_open():
    first = f"{prove.ASKS}\nGoal f_assert : Valid\nGoal f_ensures : Step limit\n"
    assert prove.opened(first) == ["f_ensures"] and not prove.opened(first, 2)
    assert prove.opened(f"{first}{prove.ASKS}\nGoal f_assert : Unknown\nGoal f_ensures : Timeout\n", 2) == ["f_ensures"]


def test_every_mistake_can_be_planted(tmp_path):
    for number, mistake in enumerate(prove.plants()):
        assert mistake[2] in prove.contracts(mistake[0])
        prove.copy_with(mistake, str(tmp_path / str(number)))
