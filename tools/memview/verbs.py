# SPDX-License-Identifier: MIT
"""verbs.py - walk, ptdump, pmm, heap and meminfo in the words of the kernel's shell.

Each function takes a Picture (report.py) and returns lines, without colours. The numbers are this
reader's own, found in memory; only the wording is the kernel's (src/diag/report_*.c), so that what
one learns in the shell holds in the debugger, and a test can compare the two letter by letter.
"""
from memview.physical import PAGE
from memview.report import PAGE_NAMES

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
        mark = "  <- decides" if i == decides else ""
        lines.append(f"  {LEVEL_NAMES[step.level]:<5} at 0x{step.entry_pa:09x}  "
                     f"0x{step.entry:016x}  {_bits(step.entry)}{mark}")
    if found.leaf:
        lines.append(f"  -> physical {found.pa:#x}, {PAGE_NAMES[found.leaf.size]} page, "
                     f"{columns(found.leaf)}, cache {found.leaf.cache}")
    return lines + [f"  {why(tables, found)}"]


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
    lines = [f"  page tables at {kernel.tables.root:#x}, {count} of them",
             "  perm: read write execute user global accessed dirty"]
    region, stretches = None, _stretches(picture.leaves)
    for leaf, size, perm in stretches:
        name = kernel.region_name(leaf.va)
        if name != region:
            lines.append(f"  {name}")
        region = name
        lines.append(f"    {leaf.va:#x} {size_text(size):>9} -> 0x{leaf.pa:010x}  "
                     f"{PAGE_NAMES[leaf.size]}  {perm}  {leaf.cache}")
    both = sum(leaf.write and leaf.exec for leaf, _, _ in stretches)
    audit = "W^X cannot be judged: this paging mode has no NX" if not kernel.tables.nx else \
        f"W^X broken in {both} places" if both else "W^X holds"
    total = sum(size for _, size, _ in stretches)
    return lines + [f"  {len(stretches)} stretches, {size_text(total)}; {audit}"]


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
            f"  metadata {view.metadata_bytes // 1024} KiB; invariants {broken or 'hold'}"]


# ---- heap: follows src/diag/report_heap.c -----------------------------------------------------
HEAP_COLUMNS, HEAP_ROWS, CLASSES = 56, 8, 12


def _cells(heap, start, cell):
    """Live and free bytes of each cell."""
    live, free = [0] * (HEAP_COLUMNS * HEAP_ROWS), [0] * (HEAP_COLUMNS * HEAP_ROWS)
    for block in heap.blocks:
        at, end = block.payload - start, block.payload - start + block.size
        while at < end and at // cell < len(live):
            stop = min(end, (at // cell + 1) * cell)
            (live if block.live else free)[at // cell] += stop - at
            at = stop
    return live, free


def _picture(heap):
    start = heap.blocks[0].payload if heap.blocks else heap.start
    cell = 16
    while cell * HEAP_COLUMNS * HEAP_ROWS < heap.mapped:
        cell *= 2
    live, free = _cells(heap, start, cell)
    glyphs = ["-" if not a and not b else "█" if not b else "·" if not a else "▒"
              for a, b in zip(live, free)]
    for row in range(HEAP_ROWS):
        if row * HEAP_COLUMNS * cell >= heap.mapped:
            break
        text = "".join(glyphs[row * HEAP_COLUMNS:(row + 1) * HEAP_COLUMNS])
        yield f"  {start + row * HEAP_COLUMNS * cell:#x} {text}"
    yield f"  one cell is {size_text(cell)}; · free  ▒ partly used  █ used  - headers"


def _histogram(heap):
    counts = [0] * CLASSES
    for block in heap.live:
        size_class = 0
        while size_class < CLASSES - 1 and block.size > 16 << size_class:
            size_class += 1
        counts[size_class] += 1
    for size_class, count in enumerate(counts):
        if count and size_class < CLASSES - 1:
            yield f"    up to {size_text(16 << size_class):<9} {count:8}"
        elif count:
            yield f"    larger          {count:8}"


def heap(picture):
    h, stats = picture.heap, picture.kernel.view.heap.stats
    if not h.mapped:
        return ["  there is no heap yet"]
    outside = 1000 - permille(h.largest, h.free) if h.free else 0
    return [f"  {size_text(h.mapped)} mapped; {len(h.live)} live blocks hold {size_text(h.used)}",
            f"  {len(h.dead)} free blocks hold {size_text(h.free)}, the largest {size_text(h.largest)}",
            f"  fragmentation {outside // 10}.{outside % 10}% "
            "(free memory outside the largest free block)",
            f"  grown {stats.grown} times, shrunk {stats.shrunk} times, {stats.refused} requests refused",
            *_picture(h), "  live blocks by size", *_histogram(h),
            f"  invariants {h.damage[0][1] if h.damage else 'hold'}"]


# ---- meminfo ----------------------------------------------------------------------------------
def _row(name, frames, total):
    p = permille(frames, total)
    cells = max(p * 26 // 1000, 1 if frames else 0)
    return f"  {name:<18} {frames:11} {size_text(frames * PAGE):>11} {p // 10:3}.{p % 10}%  " + "█" * cells


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
            f"  tables {info['tables']}"]


# ---- sweep: ours alone ------------------------------------------------------------------------
def sweep(picture):
    found = picture.sweep.findings
    lines = [f"  {f.kind.replace('_', ' ')}: " + (f"physical {f.pa:#x} " if f.pa >= 0 else "")
             + (f"at {f.va:#x} " if f.va >= 0 else "") + f"({f.words})" for f in found[:50]]
    if len(found) > 50:
        lines.append(f"  ... and {len(found) - 50} more")
    return lines + [f"  {picture.kernel.stage}: " + (f"{len(found)} things are wrong" if found else
                    "nothing leaked, nothing owned twice, no stale mapping")]
