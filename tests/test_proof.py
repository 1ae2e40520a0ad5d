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


@pytest.mark.parametrize("mistake", [mistake for mistake in prove.plants() if mistake[0] in prove.FAST and
                                     mistake[2] in ("units_for", "pmm_span_of_frame")],
                         ids=lambda mistake: mistake[1])
def test_mistake_is_noticed(mistake, tmp_path):
    prove.provers(str(tmp_path / "home"))
    assert prove.planted(mistake, "gcc_x86_64", str(tmp_path))


def test_what_says_the_same_is_not_noticed(tmp_path):
    unit, path, function, right, _ = next(plant for plant in prove.plants() if plant[2] == "units_for")
    prove.provers(str(tmp_path / "home"))
    same = unit, path, function, right, right.replace("size + extra", "extra + size")
    assert not prove.planted(same, "gcc_x86_64", str(tmp_path))


def test_every_mistake_can_be_planted(tmp_path):
    for number, mistake in enumerate(prove.plants()):
        assert mistake[2] in prove.contracts(mistake[0])
        prove.copy_with(mistake, str(tmp_path / str(number)))
