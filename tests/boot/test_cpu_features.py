# SPDX-License-Identifier: MIT
"""What the kernel finds and uses of each CPU, stated here by hand from the CPUs' own manuals.

`offered` is what CPUID tells; `used` is what is armed, and CR0, CR4, EFER and the PAT, as read back
at the prompt, must hold exactly those bits. i386 uses neither NX nor 1 GiB pages nor PCID: its
paging mode has none of them. On every CPU the storm's trace is that of its features, so that each
fallback is not only chosen but works.
"""
import json

import pytest

import harness

LONG = pytest.mark.matrix
ALL = frozenset("wp pse pge pat nx smep smap umip gib pcid".split())
ONLY_64 = {"nx", "gib", "pcid"}  # what two-level paging does not have
CR4 = {"pse": 4, "pge": 7, "umip": 11, "smep": 20, "smap": 21}
PAT_VALUE = 0x0007040100070406

# QEMU 7.2 without KVM: what a model has beyond this, TCG does not do, and CPUID does not tell.
QEMU = {
    "486": "pse", "pentium": "pse", "pentium2": "pse pge pat", "pentium3": "pse pge pat",
    "coreduo": "pse pge pat nx", "qemu32": "pse pge pat", "kvm32": "pse pge pat",
    "core2duo": "pse pge pat nx", "Penryn": "pse pge pat nx", "qemu64": "pse pge pat nx",
    "kvm64": "pse pge pat nx", "phenom": "pse pge pat nx gib", "Opteron_G1": "pse pge pat nx",
    "Opteron_G5": "pse pge pat nx gib", "Nehalem": "pse pge pat nx",
    "Westmere": "pse pge pat nx", "SandyBridge": "pse pge pat nx",
    "IvyBridge": "pse pge pat nx smep", "Haswell": "pse pge pat nx smep",
    "Broadwell": "pse pge pat nx smep smap", "Skylake-Client": "pse pge pat nx smep smap",
    "Skylake-Server": "pse pge pat nx smep smap gib", "EPYC": "pse pge pat nx smep smap gib",
    "EPYC-Rome": "pse pge pat nx smep smap umip gib",
    "max": "pse pge pat nx smep smap umip gib",
}
WITHOUT = ("pse", "pge", "pat", "nx", "smep", "smap", "umip", "pdpe1gb")
ONLY_32_BIT = {"486", "pentium", "pentium2", "pentium3", "coreduo", "qemu32", "kvm32"}

BOCHS = {
    "pentium": "pse", "pentium_mmx": "pse", "p2_klamath": "pse pge",
    "p3_katmai": "pse pge pat", "p4_willamette": "pse pge pat",
    "p4_prescott_celeron_336": "pse pge pat nx", "athlon64_clawhammer": "pse pge pat nx",
    "core2_penryn_t9600": "pse pge pat nx", "corei7_sandy_bridge_2600k": "pse pge pat nx pcid",
    "corei7_ivy_bridge_3770k": "pse pge pat nx pcid smep",
    "corei7_haswell_4770": "pse pge pat nx pcid smep gib",
    "broadwell_ult": "pse pge pat nx pcid smep smap gib",
    "corei7_skylake_x": "pse pge pat nx pcid smep smap gib", "ryzen": "pse pge pat nx smep smap gib",
}
BOCHS_32_BIT = {"pentium", "pentium_mmx", "p2_klamath", "p3_katmai", "p4_willamette"}


def row(arch, model, words, short):
    return pytest.param(arch, model, frozenset(words.split()) | {"wp"},
                        marks=() if short else LONG, id=f"{arch}-{model}")


SHORT = {("i386", "486"), ("i386", "pentium3"), ("i386", "Haswell"), ("x86_64", "qemu64"),
         ("x86_64", "EPYC"), ("x86_64", "max")}
QEMU_ROWS = [row(arch, model, words, (arch, model) in SHORT) for model, words in QEMU.items()
             for arch in harness.ARCHES if arch == "i386" or model not in ONLY_32_BIT]
QEMU_ROWS += [row(arch, f"max,-{name}", " ".join(
                  set(QEMU["max"].split()) - {"gib" if name == "pdpe1gb" else name}), False)
              for arch in harness.ARCHES for name in WITHOUT]
BOCHS_ROWS = [row(arch, model, words, False) for model, words in BOCHS.items()
              for arch in harness.ARCHES if arch == "i386" or model not in BOCHS_32_BIT]


def expected_use(arch, offered):
    if arch == "i386":
        return offered - ONLY_64
    return offered | {"pse"}  # long mode has 2 MiB pages whatever CPUID says


def check(arch, told, offered):
    assert set(told["offered"]) == offered
    used = set(told["used"])
    assert used == expected_use(arch, offered)
    cr0, cr4, efer, pat = (int(told[name], 16) for name in ("cr0", "cr4", "efer", "pat"))
    assert cr0 & 0xE0010001 == 0x80010001, "PG, WP, PE; caches on"
    armed = {name for name, bit in CR4.items() if cr4 >> bit & 1}
    in_cr4 = used & CR4.keys()
    if arch == "x86_64":
        in_cr4 = in_cr4 - {"pse"}  # PAE ignores CR4.PSE (SDM 3A 4.1.1)
        assert cr4 >> 5 & 1 and efer & 0x500 == 0x500, "PAE; LME and LMA"
    assert armed == in_cr4
    assert cr4 >> 17 & 1 == 0, "PCIDs are not used yet, so not armed"
    assert bool(efer >> 11 & 1) == ("nx" in used)
    assert pat == (PAT_VALUE if "pat" in offered else 0)
    assert told["virt_bits"] == (32 if arch == "i386" else 48)
    assert told["phys_bits"] == 32 if arch == "i386" else 36 <= told["phys_bits"] <= 52


def reports(run):
    lines = [line for line in run.text.splitlines() if line.startswith("{")]
    return {told["cmd"]: told for told in map(json.loads, lines)}


# One storm; what it may say, by the two features that change what is in the trace.
LINE = 'quiet run="storm 1 300 -j; storm check; storm clear; cpu -j"'
TRACES = {}


def check_trace(told, offered):
    """All CPUs with the same two features agree, on both targets and both emulators."""
    key = frozenset({"pge", "pat"} & offered)
    storm = told["storm"]
    first = TRACES.setdefault(key, (storm["hash"], storm["results"]))
    assert (storm["hash"], storm["results"]) == first


def check_run(run, arch, offered):
    """`storm clear` has no -j here, so that the one report of that name is the storm's."""
    assert run.passed, run.explain()
    told = reports(run)
    check(arch, told["cpu"], offered)
    check_trace(told, offered)


@pytest.mark.parametrize("arch, model, offered", QEMU_ROWS)
def test_features_of_a_qemu_cpu(arch, model, offered):
    check_run(harness.boot(arch, cpu=model, cmdline=LINE, timeout=30), arch, offered)


@pytest.mark.parametrize("arch, model, offered", BOCHS_ROWS)
def test_features_of_a_bochs_cpu(arch, model, offered):
    check_run(harness.boot_bochs(arch, cpu=model, cmdline=LINE, timeout=120), arch, offered)
