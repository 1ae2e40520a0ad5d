# SPDX-License-Identifier: MIT
"""sweep.py - marks every frame that is used, then sweeps over those that are owned.

The allocator says which frames are free, held, or reserved since boot. Who uses a frame is found
without asking it: page tables by walking down from CR3 (and from the kernel's own root, while the
boot tables still serve), heap pages and device memory by what is mapped where their owner says it
holds addresses. Where the two disagree, something is lost or will be used twice:

    leaked            held, and used by nobody that can be reached
    doubly_owned      used by two, or used by one and reserved for another
    mapped_but_free   in use (a page of the heap, a page table), and the allocator says free
    free_but_mapped   free, and a mapping that nobody answers for still shows it
    stray             the same for a frame that is not free
    missing           an owner holds an address, and nothing is mapped there
    misplaced         the direct map or the image shows the wrong frame
    rights            allows more, or less, or is cached otherwise, than what lies there needs
    bad_table         a table that cannot be one: reserved bits set, outside RAM
    ledger            the allocator's counters are not what its bitmap adds up to
    heap_damage       headers that do not match

The direct map and the kmap window show frames without using them. The boot tables, which lie in the
kernel image, show everything; they are not judged.
"""
from collections import defaultdict
from dataclasses import dataclass, replace

from memview.frames import ABSENT, FREE, HELD
from memview.physical import PAGE, Unreadable
from memview.tables import NX, PRESENT, WRITE, Leaf, PageTables, Table

KINDS = {
    "leaked": "held, but used by nobody that can be reached",
    "doubly_owned": "two owners at once",
    "mapped_but_free": "in use, but the allocator would give it out",
    "free_but_mapped": "given back, but a mapping still shows it",
    "stray": "mapped at an address that nobody answers for",
    "missing": "an owner holds the address, but nothing is mapped there",
    "misplaced": "the address shows the wrong frame",
    "rights": "allows more or less than what lies there needs; W^X is broken",
    "bad_table": "a page table that cannot be one",
    "ledger": "the allocator's counters disagree with its bitmap",
    "heap_damage": "the heap's headers do not match",
}
TABLES, HEAP, IMAGE = "page tables", "heap", "kernel image"
RIGHTS = {  # region -> (write, exec)
    "kernel text": (False, True), "kernel rodata": (False, False), "kernel data": (True, False),
    HEAP: (True, False),
}


@dataclass(frozen=True)
class Finding:
    kind: str
    pa: int  # -1: not about a frame
    va: int  # -1: not about an address
    words: str


class Sweep:
    def __init__(self, kernel, frames, heap):
        self.kernel, self.frames, self.heap = kernel, frames, heap
        self.findings = []
        self.users = defaultdict(dict)  # frame -> {user: first virtual address or table's base}
        self.devices = {}  # region -> (physical less virtual, write, cache) of its first page
        self.marked = set()  # pages seen: two address spaces may share tables
        self.table_frames = set()
        if not kernel.has_map:
            return
        for tables in self._spaces():
            self._mark_space(tables)
        self._sweep_held()
        self._look_for_missing()
        self._compare_ledger()
        self.findings += [Finding("heap_damage", -1, at, words) for at, words in heap.damage]

    @property
    def table_count(self):
        return len(self.table_frames)

    def _find(self, kind, words, pa=-1, va=-1):
        self.findings.append(Finding(kind, pa, va, words))

    @property
    def counts(self):
        return {kind: sum(f.kind == kind for f in self.findings) for kind in KINDS}

    # ---- marking ----

    def _is_boot(self, root):
        start, end = self.kernel.image.physical
        return start <= root < end

    def _spaces(self):
        """The tables in force, and the kernel's own if those are not yet."""
        tables = self.kernel.tables
        if tables.on:
            yield tables
        if self.kernel.root and self.kernel.root != tables.root:
            yield PageTables(self.kernel.physical,
                             replace(tables.registers, cr3=self.kernel.root))

    def _mark_space(self, tables):
        boot = self._is_boot(tables.root)
        seen = {}
        try:
            for found in tables.visit():
                if isinstance(found, Table):
                    self._mark_table(found, seen, boot)
                    self._check_entries(tables, found, boot)
                elif not boot and (found.va, found.entry_pa) not in self.marked:
                    self.marked.add((found.va, found.entry_pa))
                    self._mark_leaf(found)
        except Unreadable as error:
            self._find("bad_table", "a table lies where no memory is", pa=error.address)

    def _check_entries(self, tables, table, boot):
        for index, entry in enumerate(tables.read_table(table.pa, table.level)):
            if not entry & PRESENT:
                continue
            at = table.pa + index * tables.entry_bytes
            if tables.reserved(table.level, entry):
                self._find("bad_table", f"entry {entry:#x} has a reserved bit set", at)
            elif not boot and not tables.is_leaf(table.level, entry) and \
                    not (entry & WRITE and not (tables.nx and entry & NX)):
                self._find("rights", f"entry {entry:#x} forbids for all pages below", at)

    def _mark_table(self, table, seen, boot):
        frame = table.pa // PAGE
        state = self.frames.at(frame).state
        if table.pa in seen and not boot:
            self._find("doubly_owned", f"a page table for {seen[table.pa]:#x} and {table.va:#x}",
                       pa=table.pa, va=table.va)
        seen.setdefault(table.pa, table.va)
        if state == FREE:
            self._find("mapped_but_free", "a page table in a free frame", pa=table.pa, va=table.va)
        elif state == ABSENT:
            self._find("bad_table", "a page table outside RAM", pa=table.pa, va=table.va)
        elif state not in (HELD, IMAGE, "early tables"):
            self._find("doubly_owned", f"a page table in a frame of {state}", pa=table.pa, va=table.va)
        elif state != IMAGE:
            self.table_frames.add(frame)
            self.users[frame].setdefault(TABLES, table.va)

    def _holder(self, va):
        """Who answers for this address: (name, kind), or (None, kind of the region)."""
        region = self.kernel.region(va)
        if region is None:
            return None, "hole"
        if region.kind == "heap":
            return (HEAP if self.heap.holds(va) else None), "heap"
        if region.kind == "device" and region.name == "device window":
            return None, "device"
        return region.name, region.kind

    def _mark_leaf(self, leaf):
        holder, kind = self._holder(leaf.va)
        self._check_rights(leaf, holder)
        if kind == "window":
            self._check_window(leaf, holder)
            return
        if kind == "device" and holder:
            self._check_device(leaf, holder)
        if leaf.va < self.kernel.image.user_end:
            holder, kind = "user space", "device"  # whoever loaded this address space answers for it
        if kind == "image" and leaf.pa != leaf.va - self.kernel.image.offset:
            self._find("misplaced", "the image shows another frame", pa=leaf.pa, va=leaf.va)
        for at in range(0, leaf.size, PAGE):
            self._mark_page(leaf.va + at, leaf.pa + at, holder, kind)

    def _check_rights(self, leaf, holder):
        """Without NX (32-bit paging) everything can be executed, and that is nobody's fault."""
        nx = self.kernel.tables.nx
        write, execute = RIGHTS.get(holder, (leaf.write, leaf.exec))
        wrong = leaf.user and leaf.va >= self.kernel.image.user_end or leaf.write != write or (nx and leaf.exec != execute) or \
            (nx and leaf.write and leaf.exec) or (holder in RIGHTS and leaf.cache != "wb")
        if wrong:
            self._find("rights", f"{holder or 'nobody'}: {leaf.perm} {leaf.cache}", leaf.pa, leaf.va)

    def _check_device(self, leaf, holder):
        """One region is one stretch of physical memory, with the same rights throughout."""
        now = (leaf.pa - leaf.va, leaf.write, leaf.cache)
        first = self.devices.setdefault(holder, now)
        if now[0] != first[0]:
            self._find("misplaced", f"{holder} is torn", leaf.pa, leaf.va)
        elif now != first:
            self._find("rights", f"{holder}: {leaf.perm} {leaf.cache}, unlike its first page",
                       leaf.pa, leaf.va)

    def _check_alias(self, leaf):
        """The direct map must not make code writable or anything executable."""
        s = self.kernel.image
        text = s.symbols["kernel_text_start"] - s.offset
        end = s.symbols["kernel_rodata_end"] - s.offset
        overlaps = leaf.pa < end and text < leaf.pa + leaf.size
        if leaf.write == overlaps or (self.kernel.tables.nx and leaf.exec) or leaf.cache != "wb":
            self._find("rights", f"direct map: {leaf.perm} {leaf.cache}", leaf.pa, leaf.va)

    def _check_window(self, leaf, name):
        hhdm = self.kernel.hhdm
        if hhdm and name == hhdm.name:
            self._check_alias(leaf)
            if leaf.pa != leaf.va - hhdm.start:
                self._find("misplaced", "the direct map shows another frame", pa=leaf.pa, va=leaf.va)
        elif self.frames.at(leaf.pa // PAGE).state == FREE:
            self._find("mapped_but_free", "a kmap slot shows a free frame", pa=leaf.pa, va=leaf.va)

    def _mark_page(self, va, pa, holder, kind):
        state = self.frames.at(pa // PAGE).state
        if state == FREE:
            self._find("mapped_but_free" if holder else "free_but_mapped",
                       f"mapped for {holder}" if holder else "nobody holds the address", pa, va)
        elif state == ABSENT:
            if kind != "device":
                self._find("misplaced", "shows what is no RAM", pa, va)
        elif not holder:
            self._find("stray", f"the frame: {state}", pa, va)
        elif state == HELD:
            self._use(pa // PAGE, holder, va)
        elif (kind == "heap") or (kind == "image" and state != IMAGE):
            self._find("doubly_owned", f"{holder} and {state}", pa, va)

    def _use(self, frame, user, va):
        if user in self.users[frame]:
            self._find("doubly_owned", f"{user} at {self.users[frame][user]:#x} and at {va:#x}",
                       frame * PAGE, va)
        self.users[frame].setdefault(user, va)

    # ---- sweeping ----

    def _sweep_held(self):
        for run in self.frames.runs:
            if run.state != HELD:
                continue
            for frame in range(run.first, run.end):
                self._judge_held(frame, run.tag)

    def _judge_held(self, frame, tag):
        users = list(self.users.get(frame, ()))
        if not users:
            self._find("leaked", f"tagged {tag}" if tag else "nobody uses it", pa=frame * PAGE)
        elif len(users) > 1:
            self._find("doubly_owned", " and ".join(users), pa=frame * PAGE)
        elif tag and users[0] in (TABLES, HEAP) and users[0] != tag:
            self._find("doubly_owned", f"used as {users[0]}, tagged {tag}", pa=frame * PAGE)

    def _look_for_missing(self):
        """Only on the kernel's own tables: the boot tables promise nothing."""
        kernel = self.kernel
        if kernel.tables.root != kernel.root or not kernel.tables.on:
            return
        shown = sorted((leaf.va, leaf.va + leaf.size) for leaf in self._safe_leaves())
        for start, end, words in self._promised():
            for a, b in _holes(shown, start, end):
                self._find("missing", f"{words}, {(b - a) // PAGE} pages", va=a)

    def _safe_leaves(self):
        try:
            yield from (f for f in self.kernel.tables.visit() if isinstance(f, Leaf))
        except Unreadable:
            return

    def _promised(self):
        for region in self.kernel.regions:
            if region.name in ("kernel text", "kernel rodata") or \
                    (region.kind == "device" and region.name != "device window"):
                yield region.start, region.end, region.name
        yield from self._data_section()
        yield self.heap.start, self.heap.top, HEAP
        hhdm = self.kernel.hhdm
        for run in self.frames.runs if hhdm else ():
            yield hhdm.start + run.first * PAGE, hhdm.start + run.end * PAGE, hhdm.name

    def _data_section(self):
        """All but the guard pages below the stacks."""
        data = next(r for r in self.kernel.regions if r.name == "kernel data")
        guards = sorted(self.kernel.guards())
        for start, end in zip([data.start] + [g + PAGE for g in guards], guards + [data.end]):
            if start < end:
                yield start, end, data.name

    # ---- counting ----

    def owners(self):
        """Owner -> frames, by what was found: the boot map's for the reserved, users for the rest."""
        counts = defaultdict(int)
        for run in self.frames.runs:
            if run.reserved:
                counts[run.state] += run.frames
            elif run.state == HELD:
                for frame in range(run.first, run.end):
                    counts[self.owner_of_held(frame, run.tag)] += 1
        return dict(counts)

    def owner_of_held(self, frame, tag=""):
        users = self.users.get(frame)
        return next(iter(users)) if users else tag or "nobody"

    def _compare_ledger(self):
        if not self.frames.bits:
            return
        ledger, found = self.frames.ledger(), self.owners()
        free = self.frames.total - sum(ledger.values())
        if free != self.frames.free:
            self._find("ledger", f"{free} frames free by the counters, {self.frames.free} by the bits")
        for name in (n for n in {**ledger, **found} if n in self.kernel.owners.values()):
            if ledger.get(name, 0) != found.get(name, 0):
                self._find("ledger", f"{name}: {ledger.get(name, 0)} frames by the counters, "
                                     f"{found.get(name, 0)} found")


def _holes(shown, start, end):
    """What of [start, end) no stretch of the sorted list covers."""
    at = start
    for a, b in shown:
        if b <= at:
            continue
        if a >= end:
            break
        if a > at:
            yield at, a
        at = max(at, b)
    if at < end:
        yield at, end
