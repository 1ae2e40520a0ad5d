# SPDX-License-Identifier: MIT
"""The rules of the tree hold, and the script that checks them notices when they do not."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tools" / "check_layering.py"


def check(root):
    return subprocess.run([sys.executable, SCRIPT, root], stdout=subprocess.PIPE, text=True)


def test_the_tree_keeps_its_rules():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path, text, finding", [
    ("src/lib/string.c", '#include "diag/console.h"', "higher: diag"),
    ("src/mem/owner.c", "#include <mem/heap.h>", "higher: heap"),
    ("src/mem/mem_err.c", "#include <stdio.h>", "neither ours nor freestanding"),
    ("src/mem/mem_err.c", "#ifdef __i386__", "asks for the architecture"),
    ("src/mem/mem_err.c", "#if __SIZEOF_POINTER__ == 8", "asks for the architecture"),
    ("src/mem/forgotten.c", "/* SPDX-License-Identifier: MIT */", "in no list of the Makefile"),
    ("src/mem/bare.h", "int x;", "no SPDX line"),
    ("include/odd.h", "/* SPDX-License-Identifier: MIT */", "belongs to no layer"),
])
def test_a_broken_rule_is_noticed(tmp_path, path, text, finding):
    for name in ("src", "include", "boot"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "arch.mk"):
        shutil.copy(ROOT / name, tmp_path / name)
    victim = tmp_path / path
    old = victim.read_text() if victim.exists() else ""
    victim.write_text(old + text + "\n")
    done = check(tmp_path)
    assert done.returncode == 1
    assert any(finding in line for line in done.stdout.splitlines() if line.startswith(path)), \
        done.stdout
