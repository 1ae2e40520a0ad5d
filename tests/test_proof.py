# SPDX-License-Identifier: MIT
"""test_proof.py - the axioms and the fast units of tests/proof are proved, for both machines (docs/proofs.md).

`make prove` proves the others, looks for contradictory contracts too, and plants mistakes."""
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
    command = [sys.executable, os.path.join(ROOT, "tests", "proof", "prove.py"), "--no-smoke",
               "--machdep", machdep, "--cache", os.path.join(BUILD, "proof", machdep), unit]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
