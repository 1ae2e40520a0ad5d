# SPDX-License-Identifier: MIT
"""After a storm of paging calls everybody sees the same mappings: the kernel, QEMU, and a reader of
page tables that shares nothing with either.

One storm, many looks: a machine per target lives as long as this file. The long forms, under the
mark `matrix`, look at more than 10^5 addresses and at more CPUs.
"""
import random

import pytest

import harness
import planted
import standing
import walker
import witness
from test_builds import make

LONG = pytest.mark.matrix
LARGE = {"i386": {4 << 20}, "x86_64": {2 << 20, 1 << 30}}


def machine_with(arch, **how):
    how = {"cpu": "max", "memory": "64M", **how}
    machine = harness.Machine(arch, timeout=60, **how)
    machine.wait_prompt()
    return machine


def owners(machine):
    return machine.json("meminfo")["frames"]


def look_closely(machine, seed, samples, walks):
    """All comparisons over what is mapped now; returns (addresses compared, pages)."""
    rng = random.Random(seed)
    places = machine.places
    scene = witness.Scene(machine)
    tables = scene.tables()
    pages = scene.pages(tables)
    wrong = witness.kernel_differences(scene, pages, scene.kernel())
    wrong += witness.tlb_differences(scene, pages, scene.tlb())
    wrong += witness.mem_differences(scene, pages, scene.mem())
    asked = witness.addresses_of(places, scene.kernel(), samples, rng)
    wrong += witness.gva_differences(scene, asked, tables)
    scene.resume()
    wrong += witness.walk_differences(machine, scene.cpu, rng.sample(asked, walks), tables)
    assert not wrong, "\n".join(wrong[:10])
    return len(pages) + len(asked) + walks, pages


def blow(machine, seed, calls, frames=""):
    told = machine.json(f"storm {seed} {calls} {frames}")
    assert told["wrong"] == told["half_done"] == 0, told
    assert frames != "" or "MEM_NO_FRAME" not in {**told["results"], **told["large"]}, told
    machine.places = told["places"]
    return told


# ---- the same calls, the same results ------------------------------------------------------------

def trace(arch, seed, calls, **how):
    """What a storm says, and that it leaves nothing."""
    with machine_with(arch, **how) as machine:
        before = owners(machine)
        told = blow(machine, seed, calls)
        checked = machine.json("storm check")
        assert checked["disagree"] == 0 and checked["mapped"] > 0, checked
        assert machine.json("storm clear")["clear"]
        assert owners(machine) == before
    return told


def same_trace(seed, calls, **how):
    told = [trace(arch, seed, calls, **how) for arch in harness.ARCHES]
    assert told[0]["results"] == told[1]["results"]
    assert told[0]["hash"] == told[1]["hash"], "same calls, same results, another end"
    assert len(told[0]["results"]) >= min(7, calls // 100), "most ways to fail were met"


@pytest.mark.parametrize("seed, calls", [
    (2, 3000), *(pytest.param(seed, calls, marks=LONG)
                 for seed, calls in ((1, 300), (4, 30000), (5, 30000)))])
def test_both_targets_answer_the_same_calls_alike(seed, calls):
    """Declared differences are not in the hash: NX, page sizes, the place for large pages."""
    same_trace(seed, calls)


@LONG
@pytest.mark.parametrize("seed", range(10, 30))
def test_many_seeds_have_the_same_trace(seed):
    same_trace(seed, 4000)


@pytest.mark.parametrize("feature", ["pge", pytest.param("pat", marks=LONG),
                                     pytest.param("pse", marks=LONG)])
def test_without_a_feature_the_trace_is_the_same_too(feature):
    same_trace(3, 1000, cpu=f"max,-{feature}")


# ---- everybody sees the same ---------------------------------------------------------------------

@pytest.mark.parametrize("seed, calls, samples, walks", [
    (7, 400, 1500, 100),
    pytest.param(8, 4000, 100000, 2000, marks=LONG),
    pytest.param(9, 20000, 30000, 2000, marks=LONG),
])
def test_witnesses_agree_after_a_storm(arch, seed, calls, samples, walks):
    with machine_with(arch) as machine:
        told = blow(machine, seed, calls)
        count, pages = look_closely(machine, seed, samples, walks)
        few = {min(LARGE[arch])} if calls > 1000 else LARGE[arch]  # many calls split all 1 GiB
        assert {*"rwug", "wb", "wt", "uc", "wc", 4096} | few <= witness.covers(pages)
        counted = machine.json("storm check")
        assert counted["disagree"] == 0
        print(f"{arch} seed {seed}: {count} addresses by every witness, {len(pages)} pages, "
              f"{counted['addresses']} within the kernel, results {told['results']}")
        assert count > samples
        assert machine.json("storm clear")["clear"]
        look_closely(machine, seed, 200, 20)


def test_witnesses_agree_where_levels_above_take_rights_away(arch):
    """The kernel leaves permissions to the leaf; so for once something else writes the tables."""
    with machine_with(arch) as machine:
        blow(machine, 11, 1500)
        before = {p.va: p.perm for p in witness.Scene(machine).pages()}
        machine.qmp("cont")
        assert machine.json("storm tighten")["tightened"] >= 8
        _, pages = look_closely(machine, 11, 500, 100)
        lost = {letter for p in pages for letter in set(before[p.va]) - set(p.perm)}
        assert lost >= ({"w", "u"} if arch == "i386" else {"w", "u", "x"}), lost
        assert machine.json("storm check")["disagree"] == 0
        assert machine.json("storm clear")["clear"]


@LONG
@pytest.mark.parametrize("target, cpu", [
    ("i386", "486"), ("i386", "pentium3"), ("i386", "max,-pse"), ("i386", "max,-pat"),
    ("i386", "max,-pge"), ("x86_64", "qemu64"), ("x86_64", "max,-nx"), ("x86_64", "max,-pdpe1gb"),
    ("x86_64", "max,-pat"), ("x86_64", "Haswell"), ("x86_64", "max,phys-bits=46"),
])
def test_witnesses_agree_on_other_cpus(target, cpu):
    with machine_with(target, cpu=cpu) as machine:
        blow(machine, 12, 2000)
        count, _ = look_closely(machine, 12, 4000, 200)
        assert count > 4000
        assert machine.json("storm clear")["clear"]


@LONG
def test_the_window_instead_of_the_direct_map_makes_no_difference(tmp_path):
    make("ARCH=x86_64", f"O={tmp_path}", "WERROR=1", "PHYSMAP=kmap", "iso")
    iso = tmp_path / "twinpage-x86_64.iso"
    assert trace("x86_64", 13, 3000, iso=iso)["hash"] == trace("x86_64", 13, 3000)["hash"]
    with machine_with("x86_64", iso=iso) as machine:
        blow(machine, 13, 1000)
        assert machine.json("storm tighten")["tightened"]
        count, _ = look_closely(machine, 13, 4000, 200)
        assert count > 4000
        assert machine.json("storm clear")["clear"]


# ---- frames --------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed, rounds", [(21, 4), pytest.param(22, 60, marks=LONG)])
def test_every_frame_comes_back_at_every_boundary(arch, seed, rounds):
    """The places lie around every address where a table ends: 2 MiB, 4 MiB, 1 GiB, 512 GiB, the end
    of the canonical half. In between, the frames held as tables are exactly those that the reader
    of memory finds."""
    with machine_with(arch) as machine:
        before = owners(machine)
        tables = frames_of_tables(machine)
        for round_ in range(rounds):
            blow(machine, seed + round_, 100 * (1 + round_ % 7))
            blow(machine, seed + 2 * round_, 50)  # on top of what is there
            held = owners(machine)["owners"]["page tables"] - before["owners"]["page tables"]
            assert held == frames_of_tables(machine) - tables + 1, "and the kernel's own root"
            assert machine.json("storm clear")["clear"]
            assert owners(machine) == before


def tables_for(first, end, level, bits, large):
    """How many tables hang below one table of `level` that maps [first, end), from geometry alone."""
    if level == 1:
        return 0
    count, unit = 0, 1 << 12 + (level - 1) * bits
    for base in range(first & ~(unit - 1), end, unit):
        low, high = max(first, base), min(end, base + unit)
        if high - low < unit or unit not in large:
            count += 1 + tables_for(low, high, level - 1, bits, large)
    return count


def expected_tables(arch, edge):
    """Pinned tables are there already: all of i386's kernel half, the PDPTs of x86_64's."""
    first = witness.number(edge["va"])
    large = LARGE[arch] if edge["large"] else set()
    if arch == "x86_64":
        return tables_for(first, first + edge["length"], 4 if edge["user"] else 3, 9, large)
    return tables_for(first, first + edge["length"], 2, 10, large) if edge["user"] else 0


def test_every_range_across_a_boundary_takes_and_gives_exactly_its_tables(arch):
    with machine_with(arch) as machine:
        before = owners(machine)
        edges = machine.json("storm edges")["edges"]
        assert len(edges) == 120
        for edge in edges:
            assert edge["result"] == "MEM_OK" and edge["left"] == 0, edge
            assert edge["tables"] == expected_tables(arch, edge), edge
        assert {e["tables"] for e in edges} >= ({1, 2, 4} if arch == "i386" else {3, 6, 2, 4})
        assert machine.json("storm clear")["clear"]
        assert owners(machine) == before


@pytest.mark.parametrize("seeds", [range(41, 44), pytest.param(range(50, 80), marks=LONG)])
def test_when_frames_run_out_nothing_is_lost(arch, seeds):
    """Calls that find no frame for a table, half way through or at once, have changed nothing. What
    is there before has large pages: splitting them needs up to six frames at once."""
    with machine_with(arch) as machine:
        before, refused = owners(machine), 0
        for frames, seed in enumerate(seeds):
            full = blow(machine, seed, 150)
            told = blow(machine, seed + 100, 200, f"{frames % 7}")
            refused += sum(told[of].get("MEM_NO_FRAME", 0) for of in ("results", "large"))
            assert tables_of(told) <= tables_of(full) + frames % 7
            assert machine.json("storm check")["disagree"] == 0
            look_closely(machine, seed, 100, 20)
            assert machine.json("storm clear")["clear"]
            assert owners(machine) == before
        assert refused > 5 * len(seeds)


def tables_of(told):
    return told["user_tables"] + told["kernel_tables"]


def frames_of_tables(machine):
    """How many frames the tables in CR3 take, by the independent reader."""
    scene = witness.Scene(machine)
    scene.resume()
    tables = scene.tables()
    for _ in tables.leaves():
        pass
    return len(tables.seen)


# ---- planted bugs --------------------------------------------------------------------------------

def notices(scene, tables, kernel, tlb):
    """Does any comparison see that these tables are not what the others saw?"""
    try:
        pages = scene.pages(tables)
    except walker.BadTables:
        return True
    return bool(witness.kernel_differences(scene, pages, kernel)
                or witness.tlb_differences(scene, pages, tlb))


@pytest.mark.parametrize("most", [100, pytest.param(1500, marks=LONG)])
def test_bugs_planted_in_the_tables_are_noticed(arch, most):
    rng = random.Random(31)
    with machine_with(arch) as machine:
        blow(machine, 31, 60)
        scene = witness.Scene(machine)
    kernel, tlb, tables = scene.kernel(), scene.tlb(), scene.tables()
    assert not notices(scene, tables, kernel, tlb), "nothing is planted yet"
    bugs = [(name, place.at, bad, place.level)
            for place in planted.places(tables, scene.pages(tables), rng)
            for name, bad in planted.spoilt(place, tables).items()]
    rng.shuffle(bugs)
    killed, kinds, survivors = 0, set(), []
    for name, at, bad, level in bugs[:most]:
        tables = scene.tables()
        tables.changed[at] = bad
        kinds.add(name)
        if notices(scene, tables, kernel, tlb):
            killed += 1
        else:
            survivors.append(f"{name} in level {level} at {at:#x}: {bad:#x}")
    tried = len(bugs[:most])
    print(f"{arch}: {killed} of {tried} planted bugs noticed ({100 * killed // tried} %), "
          f"{len(kinds)} kinds")
    assert not survivors, survivors
    assert len(kinds) >= (11 if arch == "i386" else 12)


def test_bugs_planted_in_the_reader_are_noticed(arch):
    with machine_with(arch) as machine:
        blow(machine, 32, 600)
        assert machine.json("storm tighten")["tightened"]
        scene = witness.Scene(machine)
    kernel, tlb = scene.kernel(), scene.tlb()
    assert not notices(scene, scene.tables(), kernel, tlb)
    alive = [reader.__name__ for reader in planted.BROKEN_READERS
             if not notices(scene, reader(scene.cpu, scene.memory), kernel, tlb)]
    tried = len(planted.BROKEN_READERS)
    print(f"{arch}: {tried - len(alive)} of {tried} broken readers noticed")
    assert not alive


def lead_one_page_elsewhere(scene):
    """In the middle of a stretch, which storms seldom leave: memory with it."""
    tables, memory = scene.tables(), bytearray(scene.memory)
    stretch = next(s for s in scene.kernel() if s.page == 4096 and s.length >= 3 * 4096)
    _, at, _ = tables.steps(stretch.va + 4096)[-1]
    memory[at + 1] ^= 1 << 4  # bit 12
    return bytes(memory)


@pytest.mark.parametrize("most", [5, pytest.param(None, marks=LONG)])
def test_bugs_planted_in_the_kernels_reader_are_noticed(arch, most, tmp_path):
    """The kernel's reader as the host runs it; without a bug it says what the kernel said."""
    with machine_with(arch) as machine:
        blow(machine, 40, 600)
        assert machine.json("storm tighten")["tightened"]
        places = machine.places
        scene = witness.Scene(machine)
    rng, dump = random.Random(33), tmp_path / "memory.bin"
    dump.write_bytes(scene.memory)
    told, _ = standing.host(arch, scene.cpu, dump)
    assert witness.stretches(m for m in told["maps"] if scene.outside(int(m["va"], 16))) == scene.kernel()

    scene.memory = lead_one_page_elsewhere(scene)
    dump.write_bytes(scene.memory)
    tables = scene.tables()
    pages = list(tables.leaves())
    asked = witness.addresses_of(places, scene.kernel(), 500, rng)
    asked = [va for va in asked if arch == "i386" or va >> 47 in (0, 0x1FFFF)]
    assert not standing.reader_differences(tables, pages, asked, *standing.host(arch, scene.cpu, dump, asked))
    names = planted.broken_kernel_readers(arch)
    names = rng.sample(names, most or len(names))
    alive = []
    for name in names:
        program = planted.build_broken(arch, name, tmp_path)
        answer = standing.host(arch, scene.cpu, dump, asked, program)
        if answer and not standing.reader_differences(tables, pages, asked, *answer):
            alive.append(name)
    print(f"{arch}: {len(names) - len(alive)} of {len(names)} bugs in the kernel's reader noticed")
    assert not alive
