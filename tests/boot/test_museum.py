# SPDX-License-Identifier: MIT
"""Every broken bring-up is named by the preflight, and docs/museum.md tells the truth about it.

The document is the list of what is expected: each exhibit is booted again and must show the line
that is printed there, up to the addresses that change with every build. `make test` does so in
QEMU, with three exhibits in Bochs, too; `make matrix` visits all of them in both emulators.
"""
import os
import subprocess
import time

import pytest

import harness
import museum

LONG = pytest.mark.matrix
EXHIBITS = museum.read()
IN_BOCHS = (3, 11, 18)  # in `make test`
END = "twinpage: verdict fail: the new page tables are not loaded"


def visits(emulators, is_long):
    """One parameter per exhibit, target and emulator."""
    return [pytest.param(n, arch, emulator, id=f"{n}-{arch}-{emulator}",
                         marks=LONG if is_long(n, arch, emulator) else ())
            for n in EXHIBITS for arch in harness.ARCHES for emulator in emulators]


def hangs(number, arch, emulator):
    return EXHIBITS[number][1][arch, emulator].endswith("hangs")


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    return {arch: museum.build(arch, tmp_path_factory.mktemp("museum") / arch)
            for arch in harness.ARCHES}


@pytest.fixture(scope="session")
def kmap_kernel(tmp_path_factory):
    return museum.build("x86_64", tmp_path_factory.mktemp("museum") / "kmap", *museum.KERNELS["kmap"])


def check_refusal(run, expected):
    lines = [line for line in run.text.splitlines() if line.strip()]
    assert run.verdict == "fail", run.explain()
    assert lines[-1] == END, run.explain()
    assert lines[-2].startswith("preflight: "), "nothing between the reason and the verdict"
    assert museum.refusal(run) == lines[-2], "one line, and only one"
    assert museum.shape(lines[-2]) == museum.shape(expected)


@pytest.mark.parametrize("number, arch, emulator", visits(
    museum.EMULATORS, lambda n, arch, emulator: emulator == "Bochs" and n not in IN_BOCHS))
def test_the_preflight_names_it(kernels, number, arch, emulator):
    run = museum.visit(kernels[arch], arch, number, emulator)
    check_refusal(run, EXHIBITS[number][0][arch])
    if emulator == "QEMU":
        assert run.code == harness.EXIT_FAIL


@pytest.mark.parametrize("number, arch, emulator", visits(
    museum.EMULATORS, lambda n, arch, emulator: hangs(n, arch, emulator)
    or (emulator == "Bochs" and n not in IN_BOCHS)))
def test_without_the_preflight(kernels, number, arch, emulator):
    run = museum.visit(kernels[arch], arch, number, emulator, preflight=False,
                       hangs=hangs(number, arch, emulator))
    assert museum.shape(museum.outcome(run)) == museum.shape(EXHIBITS[number][1][arch, emulator]), \
        run.explain()


KMAP = [n for n, (lines, _) in EXHIBITS.items() if "kmap" in lines]


@pytest.mark.parametrize("number", [n if n in KMAP else pytest.param(n, marks=LONG) for n in EXHIBITS])
def test_with_the_window_on_x86_64(kmap_kernel, number):
    """The same lines, but where the window itself is what is missing: the document has those, too.
    What comes of it without the preflight is the same for all."""
    lines, outcomes = EXHIBITS[number]
    check_refusal(museum.visit(kmap_kernel, "x86_64", number), lines.get("kmap", lines["x86_64"]))
    run = museum.visit(kmap_kernel, "x86_64", number, preflight=False,
                       hangs=hangs(number, "x86_64", "QEMU"))
    assert museum.shape(museum.outcome(run)) == museum.shape(outcomes["x86_64", "QEMU"]), run.explain()


def test_two_lines_are_others_with_the_window():
    assert KMAP == [8, 20]


def test_every_exhibit_has_a_line_of_its_own(arch):
    lines = [museum.shape(lines[arch]) for lines, _ in EXHIBITS.values()]
    assert list(EXHIBITS) == list(range(1, len(EXHIBITS) + 1)) and len(EXHIBITS) >= 16
    assert len(set(lines)) == len(lines)


def test_the_document_has_all_of_them(kernels, arch):
    """The next number is no exhibit, and the kernel says so."""
    beyond = len(EXHIBITS) + 1
    run = museum.visit(kernels[arch], arch, beyond)
    assert run.verdict == "fail"
    assert f"there is no exhibit {beyond}; BREAK=1 to BREAK={len(EXHIBITS)}" in run.text


def make(*words):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", *map(str, words)], cwd=harness.ROOT, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, harness.plain(done.stdout)


def test_make_break(arch, tmp_path):
    """As a person types it; the number compiled in is the one that is shown."""
    code, text = make("BREAK=14", f"ARCH={arch}", f"O={tmp_path}", "run")
    assert code != 0 and "exhibit 14, kernel half one entry off" in text
    shapes = [museum.shape(line) for line in text.splitlines()]
    assert museum.shape(EXHIBITS[14][0][arch]) in shapes
    code, text = make("BREAK=14", "PREFLIGHT=0", f"ARCH={arch}", f"O={tmp_path}", "run")
    assert "no preflight" in text and "preflight: next" not in text, "a triple fault, -no-reboot"


@pytest.mark.parametrize("words, directory", [
    ((), "build/i386"), (("BREAK=5",), "build/i386-break-5"),
    (("BREAK=5", "PREFLIGHT=0"), "build/i386-break-5-raw"),
])
def test_each_is_built_in_a_place_of_its_own(words, directory):
    _, text = make("-pn", "ARCH=i386", *words, "help")
    assert f"\nO := {directory}\n" in text
    assert ("museum.c" in text.split("\nSOURCES := ")[1].splitlines()[0]) == bool(words)


def test_every_console_shows_the_line(kernels, arch, tmp_path):
    """Serial, port 0xE9 and the screen: without isa-debug-exit the machine stays and can be read."""
    serial, e9, cells = tmp_path / "serial", tmp_path / "e9", tmp_path / "cells"
    iso = kernels[arch].with_suffix(".iso")
    words = harness.qemu_command(arch, iso, tmp_path, cmdline="break=3")
    at = words.index("isa-debug-exit,iobase=0xf4,iosize=0x04")
    del words[at - 1:at + 1]
    words[words.index("-monitor") + 1] = "stdio"
    words += ["-serial", f"file:{serial}", "-debugcon", f"file:{e9}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as qemu:
        until = time.monotonic() + 20 * harness.SLOWER
        while END not in (serial.read_text() if serial.exists() else "") \
                and time.monotonic() < until:
            time.sleep(0.1)
        qemu.communicate(f"pmemsave 0xb8000 4000 \"{cells}\"\nquit\n".encode())
    screen = cells.read_bytes()[::2].decode("cp437")
    line = "preflight: stack page 0x"
    assert line in harness.plain(serial.read_text())
    assert line in harness.plain(e9.read_text())
    assert line in screen
