# SPDX-License-Identifier: MIT
"""What can be said of a kernel and its image without starting them."""
import os
import shutil
import subprocess

import pytest
from elftools.elf.constants import P_FLAGS
from elftools.elf.elffile import ELFFile

import harness

PAGE = 4096
HIGH_HALF = {"i386": 0xC0000000, "x86_64": 0xFFFFFFFF80000000}


@pytest.fixture(scope="module", params=harness.ARCHES)
def elf(request):
    with open(harness.kernel_path(request.param), "rb") as file:
        image = ELFFile(file)
        image.arch = request.param
        yield image


def loads(elf):
    return [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]


def symbol(elf, name):
    return elf.get_section_by_name(".symtab").get_symbol_by_name(name)[0]["st_value"]


def test_grub_accepts_the_header(arch):
    tool = "grub-file"
    assert subprocess.call([tool, "--is-x86-multiboot2", harness.kernel_path(arch)]) == 0


def test_the_header_lies_in_the_first_32_kib(elf):
    elf.stream.seek(0)
    at = elf.stream.read(32 << 10).find(bytes.fromhex("d65052e8"))
    assert at >= 0 and at % 8 == 0


def test_every_segment_has_pages_of_its_own(elf):
    last = 0
    for segment in loads(elf):
        assert segment["p_vaddr"] % PAGE == 0 and segment["p_paddr"] % PAGE == 0
        assert segment["p_align"] == PAGE
        assert segment["p_paddr"] >= last, "segments rise and share no page"
        last = -(-(segment["p_paddr"] + segment["p_memsz"]) // PAGE) * PAGE


def test_no_segment_is_writable_and_executable(elf):
    assert len(loads(elf)) >= 3
    for segment in loads(elf):
        assert segment["p_flags"] & (P_FLAGS.PF_W | P_FLAGS.PF_X) != P_FLAGS.PF_W | P_FLAGS.PF_X


def test_only_the_entry_is_low(elf):
    low = [s for s in loads(elf) if s["p_vaddr"] < HIGH_HALF[elf.arch]]
    assert len(low) == 1 and low[0]["p_vaddr"] == 1 << 20
    assert low[0]["p_vaddr"] <= elf["e_entry"] < low[0]["p_vaddr"] + low[0]["p_filesz"]
    for segment in loads(elf)[1:]:
        assert segment["p_vaddr"] - segment["p_paddr"] == HIGH_HALF[elf.arch]


def test_nothing_depends_on_the_build(elf):
    names = [s.name for s in elf.iter_sections()]
    assert not [n for n in names if n.startswith((".note", ".comment", ".eh_frame", ".got"))]
    assert not [s for s in elf.iter_segments() if s["p_type"] in ("PT_INTERP", "PT_DYNAMIC")]
    elf.stream.seek(0)
    assert str(harness.ROOT).encode() not in elf.stream.read()


def test_every_function_is_in_the_table_for_backtraces(elf):
    start, end = symbol(elf, "kernel_text_start"), symbol(elf, "kernel_text_end")
    names = {s.name for s in elf.get_section_by_name(".symtab").iter_symbols()
             if s["st_info"]["type"] == "STT_FUNC" and start <= s["st_value"] < end}
    text = elf.get_section_by_name(".rodata").data()
    base = elf.get_section_by_name(".rodata")["sh_addr"]
    table = text[symbol(elf, "ksym_names") - base:]
    told = set(table[:table.index(b"\0\0")].decode().split("\0"))
    aliases = len(names - told)  # two names for one address: the table keeps the first
    assert len(names) > 100 and aliases < len(names) // 20, sorted(names - told)


def test_i386_code_runs_on_a_486():
    done = subprocess.run(["objdump", "-d", "--no-show-raw-insn", harness.kernel_path("i386")],
                          stdout=subprocess.PIPE, text=True, check=True)
    found = [line for line in done.stdout.splitlines()
             if any(f"\t{word}" in line for word in ("cmov", "%xmm", "rep stos %al,%es:(%edi),"))]
    assert not found, found[:5]


def test_the_image_is_small(arch):
    assert os.path.getsize(harness.iso_path(arch)) < 4 << 20


def test_the_image_is_the_same_wherever_it_is_built(arch, tmp_path):
    """Built from a copy of the tree, elsewhere and at another time of day."""
    copy = tmp_path / "a" / "rather" / "different" / "place"
    shutil.copytree(harness.ROOT, copy, ignore=shutil.ignore_patterns("build", ".git", "docs"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(["make", f"ARCH={arch}", f"O={tmp_path / 'out'}", "iso"], cwd=copy, check=True,
                   env=dict(environment, TZ="Asia/Kathmandu"), stdout=subprocess.DEVNULL)
    built = tmp_path / "out" / f"twinpage-{arch}.iso"
    assert built.read_bytes() == harness.iso_path(arch).read_bytes()
