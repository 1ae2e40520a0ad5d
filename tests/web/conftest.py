# SPDX-License-Identifier: MIT
"""One browser for all tests of the page; each must leave the machine as it found it."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def shared_page():
    import browser  # here, so that a machine without selenium fails these tests by name
    with browser.Page() as page:
        yield page


@pytest.fixture
def page(shared_page):
    """The page; afterwards it must have complained of nothing and asked nobody else."""
    yield shared_page
    assert shared_page.complaints() == []
    assert shared_page.foreign_requests() == []
