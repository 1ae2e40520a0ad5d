# SPDX-License-Identifier: MIT
"""Malformed boot information, booted: the kernel says what is wrong and where, and stops.

The blob goes in through fw_cfg (opt/twinpage/mbi) in place of the loader's.
"""
import re
import struct

import harness
import pytest


def tag(kind, body):
    size = 8 + len(body)
    return struct.pack("<II", kind, size) + body + bytes(-size % 8)


def blob(*tags, end=struct.pack("<II", 0, 8)):
    body = b"".join(tags) + end
    return struct.pack("<II", 8 + len(body), 0) + body


def mmap(*entries, size=24, cut=0):
    body = struct.pack("<II", size, 0) + b"".join(struct.pack("<QQII", *e, 0) for e in entries)
    return tag(6, body[:len(body) - cut] if cut else body)


RAM = mmap((0, 0x9f000, 1), (0x100000, 0x3f00000, 1))
GOOD = blob(tag(1, b"x\0"), RAM)


def words(data, **changes):
    out = bytearray(data)
    for at, value in changes.items():
        struct.pack_into("<I", out, int(at[1:]), value)
    return bytes(out)


SAYS = {
    "MB2_TOO_SHORT": "total_size has no room for the header and the end tag",
    "MB2_TOO_LONG": "total_size is more than could be read; this kernel reads 128 KiB",
    "MB2_BAD_TOTAL_SIZE": "total_size is not a multiple of 8",
    "MB2_TAG_TOO_SMALL": "a tag is too small for its own fields",
    "MB2_TAG_PAST_END": "a tag reaches past the end of the information",
    "MB2_NO_END_TAG": "the information ends without an end tag",
    "MB2_BAD_END_TAG": "the end tag does not have size 8",
    "MB2_DUPLICATE_MMAP": "there are two memory map tags",
    "MB2_DUPLICATE_EFI_MAP": "there are two EFI memory map tags",
    "MB2_BAD_ENTRY_SIZE": "the memory map's entry size is impossible",
    "MB2_BAD_DESCR_SIZE": "the EFI map's descriptor size is impossible",
    "MB2_BAD_MODULE": "a module ends before it starts, or has no name's end",
    "MB2_BAD_STRING": "a string has no terminating zero inside its tag",
    "MB2_BAD_FRAMEBUFFER": "the framebuffer's numbers contradict each other",
    "MB2_NO_MEMORY_MAP": "there is no memory map",
}

# What the loader said, the offset of what is wrong with it, and its name.
BROKEN = {
    "no-map": (blob(tag(1, b"x\0")), 0x18, "MB2_NO_MEMORY_MAP"),
    "total-0": (words(GOOD, _0=0), 0x0, "MB2_TOO_SHORT"),
    "total-odd": (words(GOOD, _0=len(GOOD) - 3), 0x0, "MB2_BAD_TOTAL_SIZE"),
    "total-long": (words(GOOD, _0=len(GOOD) + 8), 0x0, "MB2_TOO_LONG"),
    "total-all-ones": (words(GOOD, _0=0xffffffff), 0x0, "MB2_TOO_LONG"),
    "tag-size-0": (words(GOOD, _12=0), 0x8, "MB2_TAG_TOO_SMALL"),
    "tag-size-7": (words(GOOD, _12=7), 0x8, "MB2_TAG_TOO_SMALL"),
    "tag-past-end": (words(GOOD, _12=4096), 0x8, "MB2_TAG_PAST_END"),
    "tag-wraps": (words(GOOD, _12=0xfffffff9), 0x8, "MB2_TAG_PAST_END"),
    "no-end": (blob(RAM, end=b""), 0x48, "MB2_NO_END_TAG"),
    "end-size": (blob(RAM, end=struct.pack("<IIQ", 0, 16, 0)), 0x48, "MB2_BAD_END_TAG"),
    "two-maps": (blob(RAM, RAM), 0x48, "MB2_DUPLICATE_MMAP"),
    "two-efi-maps": (blob(RAM, tag(17, struct.pack("<II", 40, 1)), tag(17, struct.pack("<II", 40, 1))),
                     0x58, "MB2_DUPLICATE_EFI_MAP"),
    "entry-size-0": (blob(mmap((0, 1, 1), size=0)), 0x8, "MB2_BAD_ENTRY_SIZE"),
    "entry-size-20": (blob(mmap((0, 1, 1), size=20)), 0x8, "MB2_BAD_ENTRY_SIZE"),
    "entry-size-huge": (blob(mmap((0, 1, 1), size=0xfffffff8)), 0x8, "MB2_BAD_ENTRY_SIZE"),
    "entry-cut": (blob(mmap((0, 1, 1), cut=4)), 0x8, "MB2_BAD_ENTRY_SIZE"),
    "efi-size-8": (blob(RAM, tag(17, struct.pack("<II", 8, 1) + bytes(8))), 0x48, "MB2_BAD_DESCR_SIZE"),
    "module-backwards": (blob(RAM, tag(3, struct.pack("<II", 0x2000, 0x1000) + b"m\0")), 0x48, "MB2_BAD_MODULE"),
    "module-unnamed": (blob(RAM, tag(3, struct.pack("<II", 0x1000, 0x2000) + b"m")), 0x48, "MB2_BAD_MODULE"),
    "string-open": (blob(RAM, tag(1, b"xxxx")), 0x48, "MB2_BAD_STRING"),
    "framebuffer-short": (blob(RAM, tag(8, bytes(8))), 0x48, "MB2_TAG_TOO_SMALL"),
    "framebuffer-empty": (blob(RAM, tag(8, bytes(24))), 0x48, "MB2_BAD_FRAMEBUFFER"),
    "nothing-usable": (blob(mmap((0, 1 << 30, 2))), None, "MEM_NO_FRAME"),
    "too-little": (blob(mmap((0x100000, 0xf0000, 1))), None, "MEM_NO_FRAME"),
}


@pytest.mark.parametrize("arch", harness.ARCHES)
@pytest.mark.parametrize("name", BROKEN)
def test_it_is_named_and_the_kernel_stops(arch, name, tmp_path):
    data, where, error = BROKEN[name]
    path = tmp_path / "mbi.bin"
    path.write_bytes(data)
    run = harness.boot(arch, timeout=30,
                       extra=["-fw_cfg", f"name=opt/twinpage/mbi,file={path}"])
    assert run.verdict == "fail", run.explain()
    last = run.text.strip().splitlines()[-1]
    said = (f"memory map: {error}: .*; this kernel needs .* beside its image" if where is None else
            f"boot information at 0x[0-9a-f]+ \\+ {where:#x}: {error}: {re.escape(SAYS[error])}")
    assert re.fullmatch("twinpage: verdict fail: " + said, last), run.explain()


@pytest.mark.parametrize("arch", harness.ARCHES)
def test_a_good_one_boots(arch, tmp_path):
    path = tmp_path / "mbi.bin"
    path.write_bytes(GOOD)
    run = harness.boot(arch, timeout=30, extra=["-fw_cfg", f"name=opt/twinpage/mbi,file={path}"])
    assert run.passed, run.explain()


@pytest.mark.parametrize("odd_frame", [0, 1])
def test_tables_run_out_while_they_are_built(odd_frame, tmp_path):
    """Islands of RAM, a GiB apart, need two tables each in the direct map, and there are too few
    frames for all: with one frame left the first table of an island goes back. An error by name."""
    islands = [(i << 30, 0x1000, 1) for i in range(4, 260)]
    path = tmp_path / "mbi.bin"
    path.write_bytes(blob(mmap((0x100000, 0x280000 + 0x1000 * odd_frame, 1), *islands)))
    run = harness.boot("x86_64", cpu="max", timeout=30,
                       extra=["-fw_cfg", f"name=opt/twinpage/mbi,file={path}"])
    assert run.verdict == "fail", run.explain()
    assert "kernel page tables: MEM_NO_FRAME" in run.text and "PANIC" not in run.text, run.explain()
