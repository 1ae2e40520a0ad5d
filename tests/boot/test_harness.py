# SPDX-License-Identifier: MIT
"""Before anything else is believed: the harness fails when the kernel does.

Kernels of a few instructions each end in a known way, and the harness must say which. Only one of
them is a pass; each of the others is what some broken kernel looks like.
"""
import subprocess

import pytest

import harness

HEADER = """
bits 32
section .text
align 8
header: dd 0xe85250d6, 0, header_end - header, -(0xe85250d6 + header_end - header)
        dw 0, 0
        dd 8
header_end:
%macro say 1
        mov esi, %%text
%%next: lodsb
        test al, al
        jz %%end
        mov ah, al
        mov dx, 0x3fd           ; until the serial line can take a byte
%%busy: in al, dx
        test al, 0x20
        jz %%busy
        mov al, ah
        mov dx, 0x3f8
        out dx, al
        jmp %%next
%%text: db %1, 10, 0
%%end:
%endmacro
%macro leave_with 1
        mov dx, 0x3fd           ; until the serial line has sent the last byte
%%busy: in al, dx
        test al, 0x40
        jz %%busy
        mov al, %1
        out 0xf4, al
        mov esi, %%word         ; the same for Bochs
        mov dx, 0x8900
        mov ecx, 8
        rep outsb
%%here: hlt
        jmp %%here
%%word: db "Shutdown"
%endmacro
global _start
_start: cli
        mov dx, 0x3fb           ; 8N1
        mov al, 3
        out dx, al
"""

TINY = {
    "pass": 'say "twinpage: verdict pass"\n leave_with 0x10',
    "fail": 'say "twinpage: verdict fail: on purpose"\n leave_with 0x11',
    "code without the line": 'say "hello"\n leave_with 0x10',
    "words after the line": 'say "twinpage: verdict pass"\n say "oops"\n leave_with 0x10',
    "line without the code": 'say "twinpage: verdict pass"\n here: hlt\n jmp here',
    "line, then a triple fault": 'say "twinpage: verdict pass"\n lidt [none]\n int3\nnone: dd 0, 0',
    "silence": "here: hlt\n jmp here",
    "triple fault": "lidt [none]\n int3\nnone: dd 0, 0",
    "endless loop": "here: jmp here",
}
EXPECTED = {
    "pass": "pass",
    "fail": "fail",
    "code without the line": "crash",
    "words after the line": "crash",
    "line without the code": "hang",
    "line, then a triple fault": "reset",
    "silence": "hang",
    "triple fault": "reset",
    "endless loop": "hang",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """name -> (ELF, image), made once."""
    directory = tmp_path_factory.mktemp("tiny")

    def make(name):
        stem = directory / name.replace(" ", "-").replace(",", "")
        elf, iso = stem.with_suffix(".elf"), stem.with_suffix(".iso")
        if not iso.exists():
            source, thing = stem.with_suffix(".asm"), stem.with_suffix(".o")
            source.write_text(HEADER + TINY[name] + "\n")
            subprocess.run(["nasm", "-felf32", source, "-o", thing], check=True)
            subprocess.run(["ld", "-melf_i386", "-Ttext=0x100000", "-z", "noexecstack",
                            "--no-warn-rwx-segments", "-o", elf, thing], check=True)
            harness.make_iso(elf, iso)
        return elf, iso
    return make


@pytest.mark.parametrize("name", TINY)
def test_qemu_verdict_is_what_the_kernel_did(tiny, name):
    run = harness.boot("i386", iso=tiny(name)[1], timeout=3)
    assert run.verdict == EXPECTED[name], run.explain()
    assert run.passed == (name == "pass")


@pytest.mark.parametrize("name, expected", [
    ("pass", "pass"), ("fail", "fail"), ("code without the line", "crash"),
    ("triple fault", "reset"), ("line, then a triple fault", "reset"), ("silence", "hang"),
])
def test_bochs_verdict_is_what_the_kernel_did(tiny, name, expected):
    run = harness.boot_bochs("i386", kernel=tiny(name)[0], timeout=8)
    assert run.verdict == expected, run.explain()


def test_a_missing_image_is_an_error(tmp_path):
    run = harness.boot("i386", iso=tmp_path / "none.iso", timeout=5)
    assert run.verdict == "crash"


# The real kernel, broken on purpose by a word on its command line.
@pytest.mark.parametrize("word, expected", [
    ("test-panic", "fail"), ("test-hang", "hang"), ("test-triple", "reset"),
])
def test_a_broken_kernel_does_not_pass(arch, word, expected):
    run = harness.boot(arch, cmdline=f"selftest {word}", timeout=8)
    assert run.verdict == expected, run.explain()
    assert "verdict pass" not in run.text
