# SPDX-License-Identifier: MIT
"""The memory code is covered as tests/coverage/exceptions.toml says, and the report would tell."""
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "coverage"))
import report  # noqa: E402

FILE, PLACE = "src/mem/owner.c", (18, 12, 18, 41)


def test_nothing_is_left_out():
    done = subprocess.run(["make", "-C", ROOT, "-j2", "coverage"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-4000:]


def judged(reached, exceptions):
    """One condition of one file; returns the faults, and whether the exception was needed."""
    joined, faults = report.Joined(ROOT), defaultdict(lambda: defaultdict(list))
    joined.functions[FILE].append((16, 19, "frame_owner_name"))
    joined.note(FILE, PLACE, report.FALSE, reached)
    report.judge(joined, 64, exceptions, [FILE], faults)
    return faults


def exception(what):
    text = report.Joined(ROOT).source(FILE, *PLACE)
    return {(64, FILE, "frame_owner_name", what, text): {"used": False}}


def test_what_is_not_reached_is_told():
    assert not judged(True, {})
    assert list(judged(False, {})) == [
        (FILE, PLACE[:2], "frame_owner_name", report.Joined(ROOT).source(FILE, *PLACE))]


def test_an_argument_excuses_only_what_it_names():
    right, wrong = exception(report.FALSE), exception(report.TRUE)
    assert not judged(False, right) and right.popitem()[1]["used"]
    assert judged(False, wrong) and not wrong.popitem()[1]["used"]


def test_a_file_in_no_program_is_told():
    faults = defaultdict(lambda: defaultdict(list))
    report.judge(report.Joined(ROOT), 64, {}, [FILE], faults)
    assert list(faults)[0][0] == FILE


def test_an_open_file_may_not_get_worse(tmp_path):
    list_ = tmp_path / "list.toml"
    list_.write_text(f'[[open]]\nfile = "{FILE}"\nplaces = 2\n')
    key = (FILE, (1, 1), "f", "text")
    assert report.without_open({}, list_)[1] == 1  # nothing is open: off the list
    assert report.without_open({key: {}, (*key, 2): {}}, list_) == ({}, 0)
    assert report.without_open({key: {}, (*key, 2): {}, (*key, 3): {}}, list_)[1] == 1
    assert report.without_open({("other", *key): {}}, list_)[0]
