# SPDX-License-Identifier: MIT
"""verbs.py - walk, why, ptdump, pmm, heap and meminfo in the words of the kernel's shell.

Each function takes a Picture (report.py) and returns lines, without colours. The numbers are this
reader's own, found in memory; only the wording is the kernel's (src/diag/report_*.c), so that what
one learns in the shell holds in the debugger, and a test can compare the two letter by letter.
"""
from collections import Counter

from memview.physical import PAGE
from memview.report import PAGE_NAMES
from memview.tables import merge

LEVEL_NAMES = ("?", "PTE", "PDE", "PDPTE", "PML4E", "PML5E")
BITS = ("P", "W", "U", "PWT", "PCD", "A", "D", "PS/PAT", "G")


# ---- units: src/diag/units.c ------------------------------------------------------------------
def size_text(count):
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    unit = 0
    while unit < 6 and count >> 10 * unit >= 1024:
        unit += 1
    whole = count >> 10 * unit
    tenth = (count >> 10 * unit - 10 & 1023) * 10 // 1024 if unit else 0
    return f"{whole}.{tenth} {units[unit]}" if tenth else f"{whole} {units[unit]}"


def permille(part, whole):
    while whole > (2**32 - 1) // 1000:
        whole, part = whole >> 1, part >> 1
    return part * 1000 // whole if whole else 0


def columns(leaf):
    return "".join(letter if letter in leaf.perm else "-" for letter in "rwxugad")


# ---- walk -------------------------------------------------------------------------------------
def _allows(tables, step):
    """The rights of one entry by itself."""
    rights = tables.narrow((True, True, True), step.level, step.entry)
    return {name for name, allowed in zip(("write", "user", "exec"), rights) if allowed}


def deciding(tables, walk):
    """Index of the step that decides what the page allows: where the walk ends, or the highest
    that takes away what the leaf would allow."""
    last = len(walk.steps) - 1
    found = last
    if walk.leaf and walk.steps:
        leaf = _allows(tables, walk.steps[last])
        for i in range(last - 1, -1, -1):
            if leaf - _allows(tables, walk.steps[i]):
                found = i
    return found


def why(tables, walk):
    if not walk.canonical:
        return "not canonical: bits 63 to 47 must all be equal"
    if walk.reserved:
        return "a reserved bit is set: any access faults"
    if not walk.leaf:
        return "the present bit of the last entry is clear"
    if walk.leaf.exec:
        return "mapped writable and executable" if walk.leaf.write else "mapped, code"
    return "mapped, writable data" if walk.leaf.write else "mapped, read-only data"


def _bits(entry):
    text = "".join(f"{BITS[i] if entry >> i & 1 else '-'} " for i in range(8, -1, -1))
    return text + ("NX" if entry >> 63 else "")


def walk(kernel, va):
    tables = kernel.tables
    if not tables.on:
        return [f"  paging is off: {va:#x} is a physical address"]
    found = tables.walk(va)
    lines = [f"  {va:#x} is in {kernel.region_name(va)}"]
    decides = deciding(tables, found)
    for i, step in enumerate(found.steps):
        mark, note = "  <- decides" if i == decides else "", step_note(found, i)
        lines.append(f"  {LEVEL_NAMES[step.level]:<5} at 0x{step.entry_pa:09x}  "
                     f"0x{step.entry:016x}  {_bits(step.entry)}{mark}")
        lines += [f"        {note}"] if note else []
    if found.leaf:
        lines.append(f"  -> physical {found.pa:#x}, {PAGE_NAMES[found.leaf.size]} page, "
                     f"{columns(found.leaf)}, cache {found.leaf.cache}")
    return lines + [f"  {why(tables, found)}"]


# ---- why: src/diag/explain.c ------------------------------------------------------------------
ACCESSES = {  # the bit, does it forbid when set, what that means, in a walk, in a sentence
    "write": ("W", 1, False, "the page is read-only", "W clear: no writing", "writing"),
    "execute": ("NX", 63, True, "the page is no-execute: it holds data", "NX set: no execution",
                "executing"),
    "user": ("U", 2, False, "the page is for the kernel only", "U clear: kernel only", "user access"),
}


def unreadable(found):
    """Why any access faults: (index of the step or None, state of the bit, meaning), or None."""
    if not found.canonical:
        return None, "", "it is not canonical: bits 63 to 47 must be equal"
    if found.reserved:
        return len(found.steps) - 1, "a reserved bit set", "any access through such an entry faults"
    return None if found.leaf else (len(found.steps) - 1, "P clear", "nothing is mapped there")


def forbidding(found, access):
    """Index of the first step that does not let it through, or None."""
    _, bit, when_set, *_ = ACCESSES[access]
    return next((i for i, s in enumerate(found.steps) if bool(s.entry >> bit & 1) == when_set), None)


def step_note(found, index):
    """What this step is the first to take away."""
    denied = unreadable(found)
    if denied:
        return f"{denied[1]}: {denied[2]}" if denied[0] == index else ""
    return "; ".join(words[4] for access, words in ACCESSES.items()
                     if forbidding(found, access) == index)


def _any_access(found):
    index, state, meaning = unreadable(found)
    if index is None:
        return meaning
    step = found.steps[index]
    return f"the {LEVEL_NAMES[step.level]} at 0x{step.entry_pa:08x} has {state}: {meaning}"


def _heap_owner(picture, va):
    h = picture.heap
    if va - h.start >= h.mapped:
        return "the heap's window, at a page that the heap does not hold now"
    block = next((b for b in reversed(h.blocks) if b.payload <= va), None)
    if block is None or va - block.payload >= block.size:
        return "the heap, its own bookkeeping"
    return (f"the heap, byte {va - block.payload} of a {'live' if block.live else 'freed'} block of "
            f"{block.size} bytes at {block.payload:#x}")


def owner(picture, va, place):
    """Whose memory it is; `place(va)` names code and data of the image."""
    kernel = picture.kernel
    region = kernel.region(va)
    stack = kernel.stack(va)
    if stack:
        return stack
    if va < PAGE:
        return "the null page, which is never mapped"
    if not kernel.tables.canonical(va):
        return "nobody: no such address exists"
    if region and region.kind == "heap":
        return _heap_owner(picture, va)
    if region and region is kernel.hhdm:
        free = picture.frames.at((va - region.start) // PAGE).state == "free"
        return f"the {region.name} of physical {va - region.start:#x}{', a free frame' if free else ''}"
    if region and region.kind == "window":
        return f"the {region.name}, slot {(va - region.start) // PAGE}"
    if region and region.kind == "device":
        return f"device memory ({region.name})"
    name, symbol = kernel.region_name(va), place(va)
    return f"{name}, {symbol}" if symbol else name


def why_address(picture, va, place):
    """One sentence, a clause a line: whose, what is mapped, every access and who forbids it."""
    if not picture.kernel.tables.on:
        return [f"  paging is off: {va:#x} is a physical address"]
    found = picture.kernel.tables.walk(va)
    first = f"  {va:#x} belongs to {owner(picture, va, place)};"
    if unreadable(found):
        return [first, f"  any access faults, because {_any_access(found)}."]
    lines = [first, f"  a {PAGE_NAMES[found.leaf.size]} page maps it to physical {found.pa:#x}, cache "
                    f"{found.leaf.cache}, and the kernel may read it"]
    for access, (bit, *_, verb) in ACCESSES.items():
        index = forbidding(found, access)
        step = found.steps[index] if index is not None else None
        lines[-1] += ";"
        lines.append(f"  {verb} is denied by the {LEVEL_NAMES[step.level]}'s {bit} "
                     f"(at 0x{step.entry_pa:08x})" if step else f"  {verb} is allowed")
    lines[-1] += "."
    return lines


# ---- ptdump -----------------------------------------------------------------------------------
def _stretches(leaves):
    """What differs only in accessed and dirty is one stretch, which has both."""
    out = []
    for leaf in leaves:
        key = (leaf.size, leaf.write, leaf.exec, leaf.user, leaf.glob, leaf.cache)
        if out and out[-1][0] == key and out[-1][1].va + out[-1][2] == leaf.va \
                and out[-1][1].pa + out[-1][2] == leaf.pa:
            out[-1][2] += leaf.size
            out[-1][3] |= set(leaf.perm)
        else:
            out.append([key, leaf, leaf.size, set(leaf.perm)])
    return [(leaf, size, "".join(c if c in perm else "-" for c in "rwxugad"))
            for _, leaf, size, perm in out]


def ptdump(picture):
    kernel = picture.kernel
    if not kernel.tables.on:
        return ["  paging is off: nothing is mapped, every address is physical"]
    count = picture.sweep.table_count or len({t.pa for t in picture.page_tables})
    lines = [f"  page tables at {kernel.tables.root:#x}, {count} of them the kernel's",
             "  perm: read write execute user global accessed dirty"]
    region, stretches = None, _stretches(picture.leaves)
    for leaf, size, perm in stretches:
        name = kernel.region_name(leaf.va)
        if name != region:
            lines.append(f"  {name}")
        region = name
        lines.append(f"    {leaf.va:#x} {size_text(size):>9} -> 0x{leaf.pa:010x}  "
                     f"{PAGE_NAMES[leaf.size]}  {perm}  {leaf.cache}")
    total = sum(size for _, size, _ in stretches)
    return lines + [f"  {len(stretches)} stretches, {size_text(total)}", _audit(picture)]


def _audit(picture):
    """No page writable and executable at once, not even by two mappings of one frame."""
    nx, stretches = picture.kernel.tables.nx, merge(picture.leaves)
    code = [(leaf.pa, leaf.pa + size) for leaf, size in stretches if leaf.exec and not leaf.write]
    writable = [(leaf, size) for leaf, size in stretches if leaf.write]
    both = sum(nx and leaf.exec for leaf, _ in writable)
    aliases = sum(a < leaf.pa + size and leaf.pa < b for leaf, size in writable for a, b in code)
    first = f"{both} stretches writable and executable, " if nx else "as far as it can without NX, "
    return f"  W^X {'broken' if both or aliases else 'holds'}: {first}{aliases} writable aliases of code"


# ---- pmm --------------------------------------------------------------------------------------
def pmm(picture):
    if not picture.frames.bits:
        return ["  there is no frame allocator yet"]
    f, view = picture.frames, picture.kernel.view.pmm
    longest = max((run.frames for run in f.free_runs()), default=0)
    sizes = "".join(f"{4 << order if order < 8 else 1 << order - 8:6}{'K' if order < 8 else 'M'}"
                    for order in range(11))
    refused = view.refused
    broken = next((x.words for x in picture.sweep.findings if x.kind == "ledger"), None)
    return [f"  {f.total} frames: {f.free} free, {f.held} used, {f.reserved} reserved",
            f"  longest free run {longest} frames, {size_text(longest * PAGE)}",
            "  free blocks by size", "  " + sizes,
            "  " + "".join(f"{n:7}" for n in f.by_order()),
            f"  refused: {refused[0]} double frees, {refused[1]} not held, "
            f"{refused[2]} out of range, {refused[3]} bad",
            f"  metadata {size_text(view.metadata_bytes)}; invariants {broken or 'hold'}"]


# ---- heap: follows src/diag/report_heap.c -----------------------------------------------------
HEAP_COLUMNS, HEAP_ROWS, CLASSES = 56, 8, 18


def _cells(heap, start, cell):
    """Live and free bytes of each cell, and those of the free ones that wait in bins."""
    live, free, waiting = ([0] * (HEAP_COLUMNS * HEAP_ROWS) for _ in range(3))
    for block in heap.blocks:
        at, end = block.payload - start, block.payload - start + block.size
        while at < end and at // cell < len(live):
            stop = min(end, (at // cell + 1) * cell)
            (live if block.live else free)[at // cell] += stop - at
            waiting[at // cell] += block.waiting
            at = stop
    return zip(live, free, waiting)


def _glyph(live, free, waiting):
    if not free:
        return "█"
    return "▒" if live else "░" if waiting else "·"


def _picture(heap):
    start = heap.blocks[0].payload if heap.blocks else heap.start
    cell = 16
    while cell * HEAP_COLUMNS * HEAP_ROWS < heap.mapped:
        cell *= 2
    glyphs = [_glyph(*bytes_) for bytes_ in _cells(heap, start, cell)]
    end = heap.blocks[-1].payload + heap.blocks[-1].size if heap.blocks else start
    cells = -((start - end) // cell)
    for at in range(0, cells, HEAP_COLUMNS):
        yield f"  {start + at * cell:#x} {''.join(glyphs[at:min(at + HEAP_COLUMNS, cells)])}"
    yield f"  one cell is {size_text(cell)}; · free  ░ in bins  ▒ mixed  ██ one block  █ several"


def _size_class(size):
    return next((c for c in range(CLASSES - 1) if size <= 16 << c), CLASSES - 1)


def _histogram(heap):
    live = Counter(_size_class(block.requested) for block in heap.live)
    free = Counter(_size_class(block.size) for block in heap.dead)
    yield "  blocks by size       live      free"
    for size_class in sorted(live | free):
        sizes = "larger   " if size_class == CLASSES - 1 else f"up to {size_text(16 << size_class):<9}"
        yield f"    {sizes:<15}{live[size_class]:6} {free[size_class]:9}"


def _count(number, noun):
    return f"{number} {noun}{'s' * (number != 1)}"


def heap(picture):
    h, stats = picture.heap, picture.kernel.view.heap.stats
    if not h.mapped:
        return ["  there is no heap yet"]
    outside = 1000 - permille(h.largest, h.free) if h.free else 0
    return [f"  {size_text(h.mapped)} mapped, at most {size_text(stats.most)}; "
            f"{size_text(h.used)} in {_count(len(h.live), 'live block')}",
            f"  {size_text(h.free)} in {_count(len(h.dead), 'free block')}, the largest {size_text(h.largest)}",
            f"  of these {size_text(sum(b.size for b in h.waiting))} in "
            f"{_count(len(h.waiting), 'block')} that bins keep unmerged",
            f"  fragmentation {outside // 10}.{outside % 10}% "
            "(free memory outside the largest free block)",
            f"  grown {_count(stats.grown, 'time')}, shrunk {_count(stats.shrunk, 'time')}, "
            f"{_count(stats.refused, 'request')} refused",
            *_picture(h), *_histogram(h),
            f"  invariants {'broken: ' + h.damage[0][1] if h.damage else 'hold'}"]


# ---- meminfo ----------------------------------------------------------------------------------
def _row(name, frames, total):
    p = permille(frames, total)
    cells = max(p * 26 // 1000, 1 if frames else 0)
    return f"  {name:<18} {frames:11} {size_text(frames * PAGE):>11} {p // 10:3}.{p % 10}%  " + "█" * cells


def _stage(after, frames, exact):
    counts = "".join(f" {frames(name):10}" for name in ("free", "used", "reserved", "total"))
    return f"  {after:<18}{counts}  {'exact' if exact else 'LOST'}"


def _ledger(picture, info):
    """The kernel's notes, and the same sums from what we counted ourselves."""
    kernel, f = picture.kernel, info["frames"]
    ledger = kernel.object("ledger", "ledger")
    yield "  ledger after             free       used   reserved      total"
    for note in ledger.stage[:ledger.count]:
        yield _stage(kernel.string(note.after), lambda name: getattr(note.frames, name), not note.broken)
        if note.broken:
            yield f"  {kernel.string(note.broken)}"
    exact = (f["free"] + f["used"] + f["reserved"] == f["total"]
             and sum(f["owners"].values()) == f["used"] + f["reserved"]
             and f["owners"].get("heap", 0) * PAGE == info["heap"]["mapped"])
    yield _stage("now", f.get, exact)


def meminfo(picture):
    info = picture.meminfo()
    f, h = info["frames"], info["heap"]
    order = [name for value, name in sorted(picture.kernel.owners.items()) if value]
    return ["  physical memory         frames        size",
            *(_row(name, f[name], f["total"]) for name in ("total", "free", "used", "reserved")),
            "  owners",
            *(_row(name, f["owners"][name], f["total"]) for name in order if f["owners"].get(name)),
            f"  heap   {size_text(h['mapped'])} mapped, {size_text(h['used'])} used in "
            f"{h['blocks']} blocks, {size_text(h['free'])} free",
            f"  tables {info['tables']}",
            *_ledger(picture, info)]


# ---- sweep: ours alone ------------------------------------------------------------------------
def sweep(picture):
    found = picture.sweep.findings
    lines = [f"  {f.kind.replace('_', ' ')}: " + (f"physical {f.pa:#x} " if f.pa >= 0 else "")
             + (f"at {f.va:#x} " if f.va >= 0 else "") + f"({f.words})" for f in found[:50]]
    if len(found) > 50:
        lines.append(f"  ... and {len(found) - 50} more")
    return lines + [f"  {picture.kernel.stage}: " + (f"{len(found)} things are wrong" if found else
                    "nothing leaked, nothing owned twice, no stale mapping")]
