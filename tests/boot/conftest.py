# SPDX-License-Identifier: MIT
"""What the boot tests share: the harness on the path, the targets, one machine per test file."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import harness  # noqa: E402


@pytest.fixture(params=harness.ARCHES)
def arch(request):
    return request.param


@pytest.fixture(scope="module", params=harness.ARCHES)
def shell(request):
    """A machine at its prompt, shared by the tests of a file: none of them may change it."""
    with harness.Machine(request.param) as machine:
        machine.greeting = machine.wait_prompt()
        yield machine
