# SPDX-License-Identifier: MIT
"""At every stage of bring-up all witnesses see the same mappings, in Bochs and in QEMU.

Bochs goes first. QEMU then gets the boot information that Bochs had, so both kernels build the same
tables, and what is seen of one must be seen of the other. docs/witnesses.md says which witness
speaks at which stage.
"""
import random

import pytest

import harness
import planted
import standing
import walker
import witness
import witness_bochs
from test_builds import make

LONG = pytest.mark.matrix
LIVE = "after long high kernel-tables cr3 low-gone window map heap".split()


class Seen:
    """A kernel's bring-up, as everybody saw it."""

    def __init__(self, name, directory, count):
        self.name, (self.arch, _, physmap) = name, name.partition("-")
        path = harness.BUILD / ("kmap" if physmap else "") / self.arch
        if physmap:
            make(f"ARCH={self.arch}", f"PHYSMAP={physmap}", f"O={path}", "WERROR=1", "iso")
        self.image = standing.Image(path / f"twinpage-{self.arch}.elf")
        iso = path / f"twinpage-{self.arch}.iso"
        for emulator in ("bochs", "qemu"):
            (directory / emulator).mkdir()
        self.bochs, information = standing.in_bochs(self.image, iso, directory / "bochs", count)
        self.qemu = standing.in_qemu(self.image, iso, directory / "qemu", count, information)
        start = self.image.borders["KMAP_START"] & ~0x1FFFFF
        self.window = range(start, 1 << 64) if self.image.window == "kmap" else range(0)

    def stops(self):
        return [*(("Bochs", stop) for stop in self.bochs), *(("QEMU", stop) for stop in self.qemu)]


# ---- pairs ------------------------------------------------------------------------------------

def without_paging(words, asked):
    """There is no translation yet: all that the emulators can say is that addresses are physical."""
    if isinstance(words, standing.QemuWords):
        off, leads = words.tlb + words.mem == "PG disabled\n" * 2, words.leads
    else:
        off = words.tab == "paging off"
        leads = [int(text.split()[-1], 16) + va % 4096 for va, text in zip(asked, words.pages)]
    return ([] if off else ["paging is on"]) + \
        [f"{va:#x} leads to {pa:#x}" for va, pa in zip(asked, leads, strict=True) if va != pa]


def qemu_differences(stop):
    sight, words = stop.sight, stop.words
    still = witness.Still(sight.tables.cpu, None, [], words.tlb, words.mem)
    wrong = witness.tlb_differences(still, sight.pages, still.tlb())
    wrong += witness.mem_differences(still, sight.pages, still.mem())
    for va, pa in zip(stop.asked, words.leads, strict=True):
        page = sight.tables.translate(va)
        if pa != (page and page.pa + va - page.va):
            wrong.append(f"gva2gpa {va:#x}: {pa}, walker {page}")
    return wrong


def bochs_differences(stop, arch):
    sight, words = stop.sight, stop.words
    cpu = sight.tables.cpu
    mine = witness_bochs.as_tab(witness.from_walker(sight.pages))
    if stop.key == "after":  # compatibility mode has addresses of 32 bits, and so has `info tab`
        mine = [stretch for stretch in mine if stretch[0] < 1 << 32]
    wrong = witness.differences(mine, witness_bochs.tab_view(words.tab, set()), "walker and info tab")
    for va, text in zip(stop.asked, words.pages, strict=True):
        theirs = witness_bochs.page_of(arch, text, cpu.nx, cpu.pge)
        page = standing.walked(sight.tables.translate(va), va & ~4095)
        if theirs != page:
            wrong.append(f"page {va:#x}: {text}, walker {page}")
    return wrong


def vivo_differences(stop, window):
    """The kernel's own ptdump, which needs the window while it reads."""
    mine = witness.from_walker(p for p in stop.sight.pages if p.va not in window)
    theirs = witness.stretches(m for m in stop.vivo if int(m["va"], 16) not in window)
    return witness.differences(mine, theirs, "walker and the kernel's ptdump")


def differences(seen, emulator, stop):
    wrong = stop.sight.differences(stop.asked) if stop.sight else []
    wrong += stop.coming.differences(stop.asked) if stop.coming else []
    wrong += vivo_differences(stop, seen.window) if stop.vivo is not None else []
    if not stop.paging:
        return wrong + without_paging(stop.words, stop.asked)
    return wrong + (qemu_differences(stop) if emulator == "QEMU" else bochs_differences(stop, seen.arch))


# ---- all of them ------------------------------------------------------------------------------

def everybody_sees_the_same(seen):
    addresses = 0
    for emulator, stop in seen.stops():
        wrong = differences(seen, emulator, stop)
        assert not wrong, f"{stop.key} in {emulator}:\n" + "\n".join(wrong[:10])
        addresses += len(stop.asked)
        print(f"{stop.key:14} {emulator:6} {len(stop.sight.pages) if stop.sight else 0:5} pages "
              f"{len(stop.asked):5} addresses{'' if stop.paging else ', paging off'}"
              f"{', ptdump in the kernel' if stop.vivo else ''}")
    print(f"{addresses} addresses, and every page")


def each_speaks_where_it_can(seen):
    keys = [stage.key for stage in standing.stages_of(seen.arch)]
    for stops in (seen.bochs, seen.qemu):
        assert [stop.key for stop in stops] == keys
        assert [stop.key for stop in stops if stop.paging] == [key for key in keys if key in LIVE]
        assert [stop.key for stop in stops if stop.sight] == keys[1:], "at the entry there are none"
        assert [stop.key for stop in stops if stop.vivo] == keys[-6:]


def both_emulators_have_the_same_tables(seen):
    for bochs, qemu in zip(seen.bochs[1:], seen.qemu[1:], strict=True):
        wrong = witness.differences(witness.from_walker(bochs.sight.pages),
                                    witness.from_walker(qemu.sight.pages), "Bochs and QEMU")
        assert not wrong, (bochs.key, wrong)


def what_readers_foresee_is_found(seen):
    """Before CR0.PG, and before CR3 is loaded, only readers of memory can say what will be."""
    for stops in (seen.bochs, seen.qemu):
        by_key = {stop.key: stop for stop in stops}
        after = witness.from_walker(by_key["after"].sight.pages)
        for key in ("tables", "mode", "before"):
            assert witness.stretches(by_key[key].sight.told["maps"]) == after
        coming = witness.stretches(by_key["kernel-tables"].coming.told["maps"])
        loaded = witness.from_walker(by_key["cr3"].sight.pages)
        assert [s for s in coming if s.va not in seen.window] == \
            [s for s in loaded if s.va not in seen.window]


# ---- planted bugs -----------------------------------------------------------------------------

def plants(stop, rng, most):
    """(name, place, the entry with it, whether more than its print changes) of bugs in the tables."""
    tables = stop.sight.tables
    bugs = [(name, place, bad, planted.shows(name, place, tables))
            for place in planted.places(tables, stop.sight.pages, rng)
            for name, bad in planted.spoilt(place, tables).items()]
    bugs = [bug for bug in bugs if bug[-1] or stop.paging and bug[0] in planted.PRINTS]
    return rng.sample(bugs, min(most, len(bugs)))


def walker_notices(stop, place, bad):
    """walker.py reads the bad tables; the others have seen the good ones."""
    sight = stop.sight
    tables = walker.Tables(sight.tables.cpu, sight.tables.memory)
    tables.changed[place.at] = bad
    try:
        pages = list(tables.leaves())
    except walker.BadTables:
        return True
    still = witness.Still(tables.cpu, None, sight.told["maps"], stop.words.tlb)
    return bool(witness.kernel_differences(still, pages, still.kernel()) or
                stop.paging and witness.tlb_differences(still, pages, still.tlb()))


def kernel_notices(seen, stop, place, bad):
    """The kernel's reader reads them."""
    sight, size = stop.sight, stop.sight.tables.size
    with open(sight.dump, "r+b") as dump:
        for entry in (bad, place.entry):
            dump.seek(place.at)
            dump.write(entry.to_bytes(size, "little"))
            dump.flush()
            if entry == bad:
                answer = standing.host(seen.arch, sight.tables.cpu, sight.dump)
    return not answer or witness.stretches(answer[0]["maps"]) != witness.from_walker(sight.pages)


def bugs_in_the_tables_are_noticed(seen, most):
    rng, kinds, tried, survivors = random.Random(most), set(), 0, []
    for stop in seen.qemu[1:]:
        for name, place, bad, shows in plants(stop, rng, most):
            noticed = walker_notices(stop, place, bad)
            noticed &= not shows or kernel_notices(seen, stop, place, bad)
            survivors += [] if noticed else [f"{stop.key}: {name} at {place}"]
            kinds.add(name)
            tried += 1
    print(f"{tried - len(survivors)} of {tried} bugs in the tables noticed, {len(kinds)} kinds")
    assert not survivors, survivors
    assert len(kinds) >= 8


STORMS = {"AnyLevelGivesWrite", "IgnoresPat", "PAT of a large page is its address", "U is not looked at",
          "physical addresses are not compared"}
LEVELS = {"LeafAlone", "the leaf alone decides", "the level above the leaf is not asked"}
LARGE = {"LargePageOffByOne", "every page has 4 KiB inside", "walks through large pages",
         "PS of a large page is its PAT bit"}
# What no stage can show: user pages and the like; above a leaf only the kmap window's table takes a
# right away, and i386 comes up without a large page. test_witness.py shows all of it.
UNSEEN = {"i386": STORMS | LEVELS | LARGE, "x86_64": STORMS | LEVELS, "x86_64-kmap": STORMS}


def bugs_in_the_readers_are_noticed(seen, directory, all_readers):
    """Each at one stage at least; those that no stage can show are tried in the long form only."""
    stops, unseen, noticed = [stop for stop in seen.qemu if stop.paging], UNSEEN[seen.name], {}
    for reader in planted.BROKEN_READERS:
        noticed[reader.__name__] = any(broken_differs(stop, reader) for stop in stops)
    names = [name for name in planted.broken_kernel_readers(seen.arch) if all_readers or name not in unseen]
    for name in names if all_readers else random.Random(1).sample(names, 4):
        program = planted.build_broken(seen.arch, name, directory)
        noticed[name] = any(kernel_differs(seen, stop, program) for stop in stops)
    alive = {name for name, killed in noticed.items() if not killed}
    print(f"{len(noticed) - len(alive)} of {len(noticed)} bugs in the readers noticed at a stage, "
          f"{len(alive & unseen)} want what only storms map")
    assert alive <= unseen, alive - unseen


def broken_differs(stop, reader):
    sight = stop.sight
    pages = list(reader(sight.tables.cpu, sight.tables.memory).leaves())
    return bool(witness.differences(witness.from_walker(pages),
                                    witness.stretches(sight.told["maps"]), ""))


def kernel_differs(seen, stop, program):
    sight = stop.sight
    answer = standing.host(seen.arch, sight.tables.cpu, sight.dump, stop.asked, program)
    return not answer or bool(
        standing.reader_differences(sight.tables, sight.pages, stop.asked, *answer))


@pytest.mark.filterwarnings("ignore:setDaemon")  # in pexpect
@pytest.mark.parametrize("build, count, bugs, all_readers", [
    ("i386", 150, 6, False), ("x86_64", 150, 6, False), ("x86_64-kmap", 150, 6, False),
    *(pytest.param(build, 5000, 60, True, marks=LONG) for build in UNSEEN)])
def test_bring_up(build, count, bugs, all_readers, tmp_path):
    """One journey through each emulator, of which all is asked."""
    seen = Seen(build, tmp_path, count)
    everybody_sees_the_same(seen)
    each_speaks_where_it_can(seen)
    both_emulators_have_the_same_tables(seen)
    what_readers_foresee_is_found(seen)
    bugs_in_the_tables_are_noticed(seen, bugs)
    bugs_in_the_readers_are_noticed(seen, tmp_path, all_readers)
