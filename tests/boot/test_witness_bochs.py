# SPDX-License-Identifier: MIT
"""Bochs as a witness: its debugger's `page` and `info tab` against the kernel's ptdump.

The kernel storms, prints its ptdump, and stops at a magic break; the debugger is then asked on its
standard input.
"""
import os
import random
import re
import subprocess

import pytest

import harness
import witness
from witness_bochs import PAT, as_tab, look_up, page_of, reports, tab_view

LONG = pytest.mark.matrix


def debug(arch, cmdline, commands, directory, timeout=150):
    """Boots in Bochs, runs debugger commands at the magic break; (what it printed, serial text)."""
    iso = harness.make_iso(harness.kernel_path(arch), directory / "boot.iso", cmdline)
    script = [str(harness.ROOT / "tools" / "bochs.sh"), str(iso), str(harness.kernel_path(arch)),
              harness.BOCHS_CPU[arch]]
    env = dict(os.environ, TERM="dumb", MEM="64M", DISPLAY_LIBRARY="term")
    done = subprocess.run(script, env=env, input="\n".join([*commands, "q", ""]), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory,
                          errors="replace", timeout=timeout * harness.SLOWER)
    assert "Magic breakpoint" in done.stdout, done.stdout[-2000:]
    return done.stdout, (directory / "bochs-serial.txt").read_text(errors="replace")


def answers(output):
    """[(the command, what it printed)] of the debugger."""
    parts = re.split(r"<bochs:\d+> ", output)[1:]
    return [tuple(part.partition("\n")[::2]) for part in parts]


def kernel_view(told):
    """ptdump in the common form, without the kmap window, which is busy while it prints."""
    return witness.stretches(m for m in told["ptdump"]["maps"] if "kmap" not in m["name"])


def window_of(told):
    """The 4 MiB of the kmap window, if this kernel has one."""
    starts = [int(m["va"], 16) for m in told["ptdump"]["maps"] if "kmap" in m["name"]]
    return {va >> 22 for va in starts}


def storm_line(seed, calls):
    return f'quiet run="storm {seed} {calls} -j; storm tighten; cpu -j; ptdump -j; storm stop"'


def addresses(arch, told, stretches, count, seed):
    rng = random.Random(seed)
    out = witness.addresses_of(told["storm"]["places"], stretches, count, rng)
    top = 1 << (32 if arch == "i386" else 64)
    canonical = (va % top for va in out)
    return [va for va in canonical if arch == "i386" or va >> 47 in (0, 0x1FFFF)]


@pytest.mark.parametrize("seed, calls, count", [
    (7, 300, 400), pytest.param(8, 3000, 8000, marks=LONG), pytest.param(9, 3000, 8000, marks=LONG)])
def test_bochs_sees_what_the_kernel_sees(arch, seed, calls, count, tmp_path):
    # The same storm in QEMU tells which addresses are worth asking for: one seed, one result.
    with harness.Machine(arch, cpu="max", memory="64M", timeout=60) as machine:
        machine.wait_prompt()
        like = {"storm": machine.json(f"storm {seed} {calls}"), "ptdump": machine.json("ptdump")}
    asked = addresses(arch, like, kernel_view(like), count, seed)
    output, text = debug(arch, storm_line(seed, calls),
                         ["info tab", *(f"page {va:#x}" for va in asked)], tmp_path)
    told = reports(text)
    assert told["storm"]["hash"] == like["storm"]["hash"], "Bochs and QEMU: one trace"
    assert int(told["cpu"]["pat"], 16) == PAT
    used = told["cpu"]["used"]
    mine = kernel_view(told)
    (_, tab), *pages = answers(output)
    assert tab_view(tab, window_of(told)) == as_tab(mine)
    wrong = []
    for va, (command, answer) in zip(asked, pages):
        assert command.endswith(f"{va:#x}"), command
        seen = page_of(arch, answer, "nx" in used, "pge" in used)
        if seen != look_up(mine, va):
            wrong.append(f"page {va:#x}: Bochs {seen}, ptdump {look_up(mine, va)}\n{answer}")
    mapped = sum(look_up(mine, va) is not None for va in asked)
    print(f"{arch}: {len(asked)} addresses asked of Bochs, {mapped} mapped, {len(as_tab(mine))} "
          f"stretches of info tab")
    assert not wrong, "\n".join(wrong[:5])
    assert mapped >= count // 8
