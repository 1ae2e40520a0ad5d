# SPDX-License-Identifier: MIT
"""The Makefile's promises: other compilers and windows work, and rebuilds are neither late nor idle."""
import os
import re
import subprocess

import pytest

import harness


def make(*words, check=True):
    """Runs make here; returns what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", *map(str, words)], cwd=harness.ROOT, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("arch, words", [
    ("i386", ("LLVM=1",)),
    ("x86_64", ("LLVM=1",)),
    ("x86_64", ("PHYSMAP=kmap",)),
    ("i386", ("DEBUG=1",)),
    ("x86_64", ("DEBUG=1",)),
], ids=["i386-clang", "x86_64-clang", "x86_64-kmap", "i386-debug", "x86_64-debug"])
def test_other_builds_pass_the_selftest(tmp_path, arch, words):
    text = make(f"ARCH={arch}", f"O={tmp_path}", "WERROR=1", *words, "iso")
    assert "warning" not in text
    run = harness.boot(arch, iso=tmp_path / f"twinpage-{arch}.iso", cpu="max", memory="128M")
    assert run.passed, run.explain()


def steps(text):
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ")]


def test_rebuilds_are_right(tmp_path):
    """Nothing changed: nothing made. One input changed: what depends on it, and only that."""
    words = ("ARCH=i386", f"O={tmp_path}")
    first = steps(make(*words, "iso"))
    assert first.count("CC") > 30 and first[-1] == "ISO"
    assert steps(make(*words, "iso")) == []

    assert steps(make(*words, "CMDLINE=selftest", "iso")) == ["ISO"]
    assert steps(make(*words, "CMDLINE=selftest", "iso")) == []
    assert steps(make(*words, "CMDLINE=", "iso")) == ["ISO"]

    (tmp_path / "obj/src/mem/owner.o").unlink()
    assert steps(make(*words, "kernel")) == ["CC", "KSYMS", "LD"]

    old = tmp_path / "obj/src/diag/ksyms.o"
    os.utime(old, (0, 0))
    assert "CC" in steps(make(*words, "kernel")), "a source newer than its object"

    again = steps(make(*words, "CFLAGS=-DTRIED", "kernel"))
    assert again.count("CC") == first.count("CC"), "other flags: everything"


def test_headers_are_dependencies(tmp_path):
    make("ARCH=i386", f"O={tmp_path}", "kernel")
    text = make("-W", "include/mem/pmm.h", "ARCH=i386", f"O={tmp_path}", "kernel")
    assert "src/mem/pmm.c" in text and "src/kernel.c" in text
    assert "src/lib/fmt.c" not in text and "NASM" not in text


@pytest.mark.parametrize("words, said", [
    (("ARCH=arm",), "ARCH=arm is not a target"),
    (("ARCH=i386", "PHYSMAP=hhdm"), "PHYSMAP=hhdm is not possible"),
    (("BREAK=paging",), "BREAK=paging is not a number"),
    (("HEAP_HARDEN=4",), "HEAP_HARDEN=4 is no level"),
    (("ARCH=i386", "CROSS_COMPILE=no-such-", "O=/tmp/twinpage-none"), "no-such-gcc is missing"),
])
def test_wrong_words_get_one_clear_error(words, said):
    text = make(*words, "kernel", check=False)
    errors = [line for line in text.splitlines() if said in line]
    assert len(errors) == 1, text


@pytest.mark.parametrize("words, level", [((), None), (("HEAP_HARDEN=0",), 0), (("DEBUG=1",), 3),
                                          (("DEBUG=1", "HEAP_HARDEN=1"), 1)])
def test_the_heaps_level_reaches_the_compiler(words, level, tmp_path):
    commands = make("-n", "V=1", "ARCH=i386", f"O={tmp_path}", *words, "kernel")
    assert set(re.findall(r"-DHEAP_HARDEN=(\S+)", commands)) == ({str(level)} if level is not None else set())


def test_help_names_every_goal():
    text = make("help")
    for goal in ("iso", "run", "bochs", "debug", "test", "bench", "bench-host", "deps", "doctor",
                 "compile_commands.json", "clean", "matrix", "museum"):
        assert goal in text


def test_a_passing_run_is_a_success_of_make(arch, tmp_path):
    """make run as a person types it, with the verdict as its exit code."""
    good = make(f"ARCH={arch}", f"O={tmp_path}", 'CMDLINE=run="pmm"', "run")
    assert "twinpage: verdict pass" in good
    bad = make(f"ARCH={arch}", f"O={tmp_path}", 'CMDLINE=run="frobnicate"', "run", check=False)
    assert "the kernel's verdict is fail" in bad and "Error" in bad
