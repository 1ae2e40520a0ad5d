# SPDX-License-Identifier: MIT
"""The stack protector, and kernels built with SANITIZE=: they pass, and each planted mistake is named.

`make test` builds build/ubsan/<arch> and build/asan/<arch> first. A report is one sentence that has
the function, the file and the line; the line must be the one that makes the mistake.
"""
import os
import re
import subprocess

import pytest

import harness

LONG = pytest.mark.matrix
SENTENCE = re.compile(r"^(?P<finder>[a-z ]+): function (?P<function>\w+) at "
                      r"(?P<file>[\w/]+\.c):(?P<line>\d+): (?P<what>.*)$", re.M)
UBSAN, ASAN, GUARD = "undefined behaviour", "address sanitizer", "stack protector"

# kind: function, its source line, what the sentence says
UNDEFINED = {
    "overflow": ("overflow", "out = in + 1;", "the sum of 2147483647 and 1 as 'int'"),
    "multiply": ("multiply", "wide = wide * 3;", "the product of -9223372036854775808 and 3"),
    "negate": ("negate", "out = -in;", "the negative of -2147483648 as 'int'"),
    "quotient": ("divide", "out = in / by;", "the quotient of -2147483648 and -1"),
    "shift": ("shift", "out = 1 << in;", "the shift of 1 and 32 as 'int'"),
    "index": ("index", "out = table[in];", "array index out of bounds: 8 in "),
    "misalign": ("misaligned", "out = (int)*word;", "which is no multiple of 4"),
    "member": ("member", "out = none->second;", "NULL was used as a pointer to 'struct pair'"),
    "pointer": ("pointer", "out = end + step == room;", "pointer arithmetic wrapped"),
    "truth": ("truth", "out = *(volatile bool *)room;", "the load of 7 as "),
    "reached": ("unreachable", "__builtin_unreachable();", "declared unreachable"),
}
WRONG = {
    "over": ("heap_over", "block[BYTES] = 1;",
             r"heap overrun: it writes 1 byte, .* 0 bytes behind the end of a live block of 20 "),
    "under": ("heap_under", "out = *(block - 1);", "heap overrun: it reads 1 byte"),
    "after": ("heap_after", "out = block[BYTES - 1];", "use after free: .* of a freed block"),
    "moved": ("heap_moved", "block[0] = 1;", "use after free: it writes 1 byte"),
    "copy": ("heap_copy", "memset(block, 0, BYTES + 1);",
             "heap overrun: it writes 21 bytes, .* 0 bytes behind the end"),
    "global": ("global", "table[at] = 1;",
               r"overrun of a variable: .* behind the end of table, 20 bytes, of src/diag/asan_causes\.c"),
    "local": ("local", "array[i] = 1;", "stack overrun: it writes 1 byte, .* in the boot stack"),
    "scope": ("scope", "out = left[0];", "use after scope: it reads 1 byte"),
    "smash": ("fault_smash", "array[i] = 0x5a;", "stack overrun: it writes 1 byte"),
}


def image(kind, arch):
    path = harness.BUILD / kind / arch / f"twinpage-{arch}.iso"
    assert path.exists(), f"{path} is not there: make sanitized"
    return path


def check_sentence(run, finder, function, source, what):
    assert run.verdict == "fail", run.explain()
    found = SENTENCE.search(run.text)
    assert found, run.explain()
    assert (found["finder"], found["function"]) == (finder, function), run.explain()
    line = (harness.ROOT / found["file"]).read_text().splitlines()[int(found["line"]) - 1]
    assert line.strip() == source, run.explain()
    assert re.search(what, found["what"]), found["what"]
    assert run.text.rstrip().splitlines()[-1].startswith(
        f"twinpage: verdict fail: {finder}: function {function} at "), run.explain()


@pytest.mark.parametrize("kind", ["ubsan", "asan"])
def test_the_selftest_passes(arch, kind):
    run = harness.boot(arch, iso=image(kind, arch), cpu="max", cmdline="selftest")
    assert run.passed, run.explain()


@pytest.mark.parametrize("kind", UNDEFINED)
def test_undefined_behaviour_is_named(arch, kind):
    run = harness.boot(arch, iso=image("ubsan", arch), cmdline=f'run="fault {kind}"', timeout=30)
    function, source, what = UNDEFINED[kind]
    check_sentence(run, UBSAN, function, source, re.escape(what))


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_access_is_named(arch, kind):
    run = harness.boot(arch, iso=image("asan", arch), cmdline=f'run="fault {kind}"', timeout=30)
    check_sentence(run, ASAN, *WRONG[kind])


@pytest.mark.parametrize("kind, words", [
    ("ubsan", "storm 1 300; storm check; storm clear; heap_test 2000"),
    ("asan", "storm 1 300; storm check; storm clear; heap_test 2000"),
])
def test_random_calls_are_clean(arch, kind, words):
    run = harness.boot(arch, iso=image(kind, arch), cpu="max", cmdline=f'run="{words}"')
    assert run.passed, run.explain()


@LONG
@pytest.mark.parametrize("kind", ["ubsan", "asan"])
def test_with_clang(arch, kind, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(["make", f"ARCH={arch}", "LLVM=1", f"SANITIZE={kind}", f"O={tmp_path}",
                    "WERROR=1", "CMDLINE=", "iso"], cwd=harness.ROOT, check=True, env=environment,
                   stdout=subprocess.DEVNULL)
    iso = tmp_path / f"twinpage-{arch}.iso"
    run = harness.boot(arch, iso=iso, cpu="max", cmdline="selftest")
    assert run.passed, run.explain()
    table, finder = (UNDEFINED, UBSAN) if kind == "ubsan" else (WRONG, ASAN)
    for word, (function, source, what) in table.items():
        run = harness.boot(arch, iso=iso, cmdline=f'run="fault {word}"', timeout=30)
        check_sentence(run, finder, function, source, re.escape(what) if finder == UBSAN else what)


def test_others_have_none_of_it(shell):
    names = subprocess.check_output(["nm", harness.kernel_path(shell.arch)], text=True)
    assert "__asan" not in names and "__ubsan" not in names and "__stack_chk_fail" in names
    text = shell.run("fault")
    assert "fault smash" in text and "fault over" not in text
    assert "usage: fault" in shell.run("fault over")


# ---- the stack protector, in every kernel ----------------------------------------------------

def test_a_smashed_frame_is_named(arch):
    run = harness.boot(arch, cmdline='run="fault smash"', timeout=30)
    check_sentence(run, GUARD, "fault_smash", "}", "beyond an array on its stack")


def guard_word(arch, cpu):
    """The word as a running kernel has it."""
    symbols = subprocess.check_output(["nm", harness.kernel_path(arch)], text=True)
    va = int(re.search(r"^(\w+) \w __stack_chk_guard$", symbols, re.M)[1], 16)
    offset = {"i386": 0xc0000000, "x86_64": 0xffffffff80000000}[arch]
    with harness.Machine(arch, cpu=cpu) as machine:
        machine.wait_prompt()
        return int.from_bytes(machine.memory_bytes(va - offset, {"i386": 4, "x86_64": 8}[arch]),
                              "little")


@pytest.mark.parametrize("arch, cpu", [("i386", "486"), ("i386", "max"), ("x86_64", "qemu64"),
                                       ("x86_64", "max")])
def test_the_guard_word_is_drawn_anew(arch, cpu):
    """Three boots, at least two words: a 486 has but the timer chip to draw from."""
    words = {guard_word(arch, cpu) for _ in range(3)}
    assert len(words) > 1, words
    assert all(word and word & 0xff == 0 for word in words), "no string can hold it"
