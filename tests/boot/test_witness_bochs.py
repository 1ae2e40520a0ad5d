# SPDX-License-Identifier: MIT
"""Bochs as a witness: its debugger's `page` and `info tab` against the kernel's ptdump.

The kernel storms, prints its ptdump, and stops at a magic break; the debugger is then asked on its
standard input. `info tab` never shows 0xffff800000000000 to 0xffffefffffffffff in long mode (Bochs
2.7), so what lies there is left out of that comparison; `page` sees all of it. What Bochs calls a
page is always 4 KiB of it, so sizes come from the level that its walk ended on.
"""
import json
import os
import random
import re
import subprocess

import pytest

import harness
import walker
import witness

LONG = pytest.mark.matrix
BLIND = range(0xFFFF8 << 44, 0xFFFFF << 44)
SIZES = {"i386": {"PDE": 1 << 22, "PTE": 1 << 12},
         "x86_64": {"PDPE": 1 << 30, "PDE": 1 << 21, "PTE": 1 << 12}}
PAT = 0x0007040100070406  # what the kernel sets; asserted below


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


def reports(text):
    """{cmd: the last object that it printed}."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("{")]
    return {told["cmd"]: told for told in map(json.loads, lines)}


def answers(output):
    """[(the command, what it printed)] of the debugger."""
    parts = re.split(r"<bochs:\d+> ", output)[1:]
    return [tuple(part.partition("\n")[::2]) for part in parts]


def entry_of(line):
    name, value = re.match(r"\s*(\w+): 0x([0-9a-f]+)", line).groups()
    return name, int(value, 16)


def page_of(arch, text, nx, pge):
    """(pa of the 4 KiB, page size, perm, cache) as `page` has it, or None."""
    found = re.search(r"maps to physical page 0x([0-9a-f]+)", text)
    if not found:
        return None
    entries = [entry_of(line) for line in text.splitlines() if re.match(r"\s*P\w+: 0x", line)]
    name, leaf = entries[-1]
    rights = walker.W | walker.U
    for _, entry in entries:
        rights &= entry
    perm = "r" + ("w" if rights & walker.W else "")
    perm += "x" if not nx or not any(entry & walker.NX for _, entry in entries) else ""
    perm += "u" if rights & walker.U else ""
    perm += "g" if pge and leaf & walker.G else ""
    index = leaf >> 3 & 3 | (leaf >> (7 if name == "PTE" else 12) & 1) << 2
    return int(found[1], 16), SIZES[arch][name], perm, walker.CACHE_TYPES[PAT >> 8 * index & 7]


def look_up(stretches, va):
    for s in stretches:
        if s.va <= va < s.va + s.length:
            return s.pa + (va - s.va & ~4095), s.page, s.perm, s.cache
    return None


def kernel_view(told):
    """ptdump in the common form, without the kmap window, which is busy while it prints."""
    return witness.join(
        witness.Stretch(int(m["va"], 16), m["length"], int(m["pa"], 16),
                        witness.PAGE_BYTES[m["page"]], m["perm"].strip("ad"), m["cache"])
        for m in told["ptdump"]["maps"] if "kmap" not in m["name"])


def window_of(told):
    """The 4 MiB of the kmap window, if this kernel has one."""
    starts = [int(m["va"], 16) for m in told["ptdump"]["maps"] if "kmap" in m["name"]]
    return {va >> 22 for va in starts}


def tab_view(text, window):
    """`info tab`: [(va, end, pa)], without the kmap window."""
    rows = re.findall(r"0x([0-9a-f]+)-0x([0-9a-f]+) -> 0x([0-9a-f]+)-0x", text)
    rows = [(int(a, 16), int(b, 16) + 1, int(c, 16)) for a, b, c in rows]
    return [(a, min(b, witness.LOWER_END) if a < witness.LOWER_END else b, c) for a, b, c in rows
            if a >> 22 not in window]


def as_tab(stretches):
    """The same from ptdump: neighbours joined whatever they allow."""
    out = []
    for s in stretches:
        if s.va in BLIND:
            continue
        if out and out[-1][1] == s.va and out[-1][2] + (s.va - out[-1][0]) == s.pa:
            out[-1] = (out[-1][0], s.va + s.length, out[-1][2])
        else:
            out.append((s.va, s.va + s.length, s.pa))
    return out


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
