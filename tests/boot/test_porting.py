# SPDX-License-Identifier: MIT
"""What docs/porting.md shows is compiled and run, with the files that it names and no others."""
import re
import shutil
import subprocess

import pytest

import harness

DRIVERS = {
    "heap": """
#include <string.h>
int main(void)
{
    if (!start())
        return 1;
    for (unsigned i = 1; i < 200; i++) {
        unsigned char *block = malloc_like(i * 7);
        if (!block || (uintptr_t)block % 16)
            return 2;
        memset(block, (int)i, i * 7);
        free_like(block);
    }
    return malloc_like((size_t)2 << 20) != NULL;
}
""",
    "frames": """
int main(void) { return first_frame().v == 0x100 && pmm_free(&pmm, PFN(0x100), OWNER_USER) == MEM_OK ? 0 : 1; }
""",
    "paging": """
int main(void)
{
    paddr_t pa;
    if (map_one(VA(0xd0000000u), PA(0x5000)) || translate(&space, VA(0xd0000123u), &pa) || pa.v != 0x5123)
        return 1;
    return translate(&space, VA(0xd0001000u), &pa) == MEM_NOT_MAPPED &&
           map_page(&space, VA(0xd0000000u), PA(0x6000), 0) == MEM_MAPPED ? 0 : 2;
}
""",
}
FILES = {
    "heap": (["heap", "types"], ["heap*"]),
    "frames": (["pmm", "pmm_bits", "pmm_cache", "bootmap", "owner", "types"], ["pmm*", "bootmap.c", "bootmap_owners.c", "bootmap_range.h"]),
    "paging": (["paging", "kmap", "owner", "types", "../platform"], ["paging*"]),
}


def example(name):
    text = (harness.ROOT / "docs" / "porting.md").read_text()
    return re.search(rf"<!-- example: {name} -->\n```c\n(.*?)```", text, re.S).group(1)


def lift(name, bits, to):
    """Copies just the files that the page names."""
    headers, sources = FILES[name]
    (to / "include/mem").mkdir(parents=True)
    (to / "src").mkdir()
    for header in headers:
        shutil.copy(harness.ROOT / f"include/mem/{header}.h", to / f"include/mem/{header}.h")
    for pattern in sources:
        for file in (harness.ROOT / "src/mem").glob(pattern):
            shutil.copy(file, to / "src")
    (to / f"src/paging{96 - bits}.c").unlink(missing_ok=True)
    (to / "src/lib").mkdir()
    (to / "src/lib/string.h").write_text("#include <string.h>\n")


def build(compiler, bits, lifted, words):
    built = subprocess.run([compiler, "-std=gnu2x", "-O2", f"-m{bits}", "-Wall", "-Wextra", "-I", lifted / "include",
                            "-I", lifted / "src", *words, *lifted.glob("src/*.c")], capture_output=True, text=True)
    assert built.returncode == 0 and not built.stderr, built.stderr


@pytest.mark.parametrize("compiler", ("gcc", "clang"))
@pytest.mark.parametrize("bits", (32, 64))
@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_the_page_compiles_and_runs(name, bits, compiler, tmp_path):
    lift(name, bits, tmp_path)
    main = tmp_path / "main.c"
    main.write_text("#include <stdint.h>\n" + example(name) + DRIVERS[name])
    program = tmp_path / "program"
    build(compiler, bits, tmp_path, ["-o", program, main])
    assert subprocess.run([program]).returncode == 0


# What the sources call that the page does not show: in words of the page.
NEEDS = {"heap": {"memset", "memcpy"}, "frames": {"memset", "memcpy", "memmove"}, "paging": {"memset", "memcpy"}}


@pytest.mark.parametrize("compiler", ("gcc", "clang"))
@pytest.mark.parametrize("bits", (32, 64))
@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_nothing_else_is_needed(name, bits, compiler, tmp_path):
    """In a kernel, that is: without a library."""
    lift(name, bits, tmp_path)
    main, all_of_it = tmp_path / "main.c", tmp_path / "all.o"
    main.write_text(example(name))
    build(compiler, bits, tmp_path, ["-ffreestanding", "-fno-pic", "-fno-stack-protector", "-nostdlib", "-r", "-o",
                                     all_of_it, main])
    needed = set(subprocess.check_output(["nm", "-u", all_of_it], text=True).split()) - {"U"}
    assert needed <= NEEDS[name]
    section = (harness.ROOT / "docs" / "porting.md").read_text().split(f"<!-- example: {name} -->")[0].split("## ")[-1]
    assert all(f"`{word}`" in section for word in NEEDS[name])


@pytest.mark.parametrize("bits", (32, 64))
def test_the_heap_takes_no_name_but_its_own(bits, tmp_path):
    """Beside anything: all that it shows the linker begins with heap_."""
    lift("heap", bits, tmp_path)
    all_of_it = tmp_path / "all.o"
    build("gcc", bits, tmp_path, ["-ffreestanding", "-fno-pic", "-nostdlib", "-r", "-o", all_of_it])
    shown = subprocess.check_output(["nm", "-g", "--defined-only", "-P", all_of_it], text=True)
    names = [line.split()[0] for line in shown.splitlines()]
    assert "heap_alloc" in names and [n for n in names if not n.startswith("heap_")] == []
