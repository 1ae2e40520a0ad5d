# SPDX-License-Identifier: MIT
"""The runner of the unit tests counts right: a crash, a hang or an early exit is never a pass."""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = r"""
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
static void good(void **state) { (void)state; assert_int_equal(1, 1); assert_string_equal("a", "a"); }
static void bad(void **state) { (void)state; BODY; }
static void after(void **state) { (void)state; assert_true(1); }
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good), cmocka_unit_test(bad), cmocka_unit_test(after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
"""

CASES = {  # what the test in the middle does: passed, failed
    "assert_int_equal(1, 1)": (3, 0),
    "assert_int_equal(1, 2)": (2, 1),
    'assert_string_equal("a", "b")': (2, 1),
    'assert_memory_equal("ab", "ac", 2)': (2, 1),
    "assert_in_range(5, 6, 7)": (2, 1),
    "assert_null(state)": (2, 1),
    "fail()": (2, 1),
    'fail_msg("%d", 1)': (2, 1),
    "skip()": (2, 0),
    "abort()": (None, 1),
    "exit(0)": (None, 1),
    "volatile int zero = 0; zero = 1 / zero": (None, 1),
    "char *volatile p = malloc(1); p[1] = 0": (None, 1),
}


def build(directory, bits, body):
    source, binary = directory / "t.c", directory / "t"
    source.write_text(PROGRAM.replace("BODY", body))
    words = ["gcc", "-std=gnu2x", f"-m{bits}", "-fsanitize=address,undefined",
             "-fno-sanitize-recover=all", "-w", source, "-o", binary]
    words += ["-lcmocka"] if bits == 64 else [ROOT / "tests" / "unit" / "cmocka32.c"]
    subprocess.run(words, check=True)
    return binary


def run(*arguments):
    return subprocess.run([sys.executable, ROOT / "tests" / "run.py", *arguments],
                          stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("body", CASES)
def test_counts(tmp_path, bits, body):
    done = run("--unit", build(tmp_path, bits, body))
    words = done.stdout.splitlines()[-1].split()
    passed, failed = int(words[0]), int(words[2])
    assert words[1::2] == ["passed,", "failed"]
    good, bad = CASES[body]
    assert failed >= bad and (bad or not failed), done.stdout
    assert good is None or passed == good, done.stdout
    assert (done.returncode == 0) == (bad == 0)


def test_pytest_failures_count_too(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): assert 0\n"
        "@pytest.mark.skip\n"
        "def test_c(): pass\n")
    done = run("--pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed" and done.returncode == 1


def test_nothing_at_all_is_a_failure(tmp_path):
    assert run().returncode == 1
    assert run("--pytest", "-q", str(tmp_path)).stdout.splitlines()[-1] == "0 passed, 1 failed"
