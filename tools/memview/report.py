# SPDX-License-Identifier: MIT
"""report.py - everything that was found, as one object that JSON can hold.

The parts `meminfo`, `ptdump`, `frames`, `pmm` and `mmap` have the form of the kernel's own reports
(`meminfo -j` and so on), so that the two can be compared as they are; the rest is for the page.
Addresses are strings "0x...", ranges half open.
"""
from memview.frames import FREE, HELD, Frames, boot_ranges
from memview.heap import Heap
from memview.physical import PAGE, Unreadable
from memview.sweep import KINDS, Sweep
from memview.tables import PRESENT, Leaf, Table, merge

PAGE_NAMES = {1 << 12: "4K", 1 << 21: "2M", 1 << 22: "4M", 1 << 30: "1G"}


class Picture:
    """The kernel seen from outside, once: what all reports are made of."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.frames = Frames(kernel)
        self.heap = Heap(kernel)
        self.sweep = Sweep(kernel, self.frames, self.heap)
        self.found = self._visit()

    def _visit(self):
        found = []
        try:
            for thing in self.kernel.tables.visit():
                found.append(thing)
        except Unreadable:
            pass  # the sweep has said so
        return found

    @property
    def leaves(self):
        return [f for f in self.found if isinstance(f, Leaf)]

    @property
    def page_tables(self):
        return [f for f in self.found if isinstance(f, Table)]

    # ---- the kernel's own forms ----

    def meminfo(self):
        f, h = self.frames, self.heap
        return {"frames": {"total": f.total, "free": f.free, "used": f.held, "reserved": f.reserved,
                           "owners": self.sweep.owners()},
                "heap": {"mapped": h.mapped, "used": h.used, "free": h.free,
                         "blocks": len(h.live), "largest": h.largest},
                "tables": self.sweep.table_count}

    def ptdump(self):
        return {"cr3": hex(self.kernel.tables.root),
                "maps": [self._map(leaf, size) for leaf, size in merge(self.leaves)]}

    def maps(self):
        """For people: a stretch ends where a region ends, not where the CPU has not been yet."""
        name = self.kernel.region_name
        return [dict(self._map(leaf, size), perm=leaf.perm.replace("a", "").replace("d", ""))
                for leaf, size in merge(self.leaves, False, lambda leaf: name(leaf.va))]

    def _map(self, leaf, size):
        return {"va": hex(leaf.va), "length": size, "pa": hex(leaf.pa),
                "page": PAGE_NAMES[leaf.size], "perm": leaf.perm, "cache": leaf.cache,
                "name": self.kernel.region_name(leaf.va)}

    def stretches(self):
        """Frames [start, end) of RAM that are all free or all not."""
        out = []
        for run in self.frames.runs:
            free = run.state == FREE
            if out and out[-1]["free"] == free and out[-1]["end"] == hex(run.first * PAGE):
                out[-1]["end"] = hex(run.end * PAGE)
            else:
                out.append({"start": hex(run.first * PAGE), "end": hex(run.end * PAGE), "free": free})
        return out

    def pmm(self):
        f = self.frames
        return {"total": f.total, "free": f.free, "used": f.held, "reserved": f.reserved,
                "largest_run": max((r.frames for r in f.free_runs()), default=0),
                "runs": f.by_order()}

    def mmap(self):
        return {"ranges": [{"start": hex(start), "end": hex(end), "kind": kind,
                            "owner": name if owner else ""}
                           for start, end, kind, owner, name in boot_ranges(self.kernel)],
                "usable_frames": self.frames.total, "above_limit_frames": self.frames.above_limit}

    # ---- for the page ----

    def runs(self):
        """Who owns what: frames with one owner side by side."""
        out = []
        for run in self.frames.runs:
            if run.state != HELD:
                _push(out, run.first, run.end, run.state, "free" if run.state == FREE else "boot")
                continue
            for frame in range(run.first, run.end):
                _push(out, frame, frame + 1, self.sweep.owner_of_held(frame, run.tag), "held")
        return [{"start": hex(a * PAGE), "end": hex(b * PAGE), "owner": owner, "state": state}
                for a, b, owner, state in out]

    def tables(self):
        return [self._table(table) for table in self.page_tables]

    def _table(self, table):
        """One table: its entries in rows, neighbours that continue each other merged.
        A row: index, entries, raw entry, target, and for pages: bytes, perm, cache."""
        k = self.kernel.tables
        rows, size = [], 1 << k.shift(table.level)
        for index, entry in enumerate(k.read_table(table.pa, table.level)):
            if not entry & PRESENT:
                continue
            if not k.is_leaf(table.level, entry) or k.reserved(table.level, entry):
                rows.append([index, 1, hex(entry), hex(k.next_table(entry))])
                continue
            leaf = k.walk(k.widen(table.va + index * size)).leaf
            self._add_row(rows, index, entry, leaf)
        return {"pa": hex(table.pa), "level": table.level, "va": hex(table.va),
                "parent": hex(table.entry_pa) if table.entry_pa >= 0 else "", "rows": rows}

    @staticmethod
    def _add_row(rows, index, entry, leaf):
        last = rows[-1] if rows else None
        if last and len(last) == 7 and last[0] + last[1] == index and last[5] == leaf.perm and \
                last[6] == leaf.cache and int(last[3], 16) + last[1] * leaf.size == leaf.pa:
            last[1] += 1
            last[4] += leaf.size
        else:
            rows.append([index, 1, hex(entry), hex(leaf.pa), leaf.size, leaf.perm, leaf.cache])

    def blocks(self):
        """Heap blocks: payload, bytes, bytes asked for, live, who asked, does it wait in a bin."""
        return [[hex(b.payload), b.size, b.requested, int(b.live),
                 self.kernel.names_of(b.caller) if b.caller else "", int(b.waiting)] for b in self.heap.blocks]

    def whole(self):
        k, t = self.kernel, self.kernel.tables
        r = t.registers
        return {
            "memview": 1, "arch": k.image.arch, "stage": k.stage, "mode": t.mode,
            "registers": {n: hex(getattr(r, n)) for n in ("cr0", "cr3", "cr4", "efer")},
            "geometry": {"levels": t.levels, "index_bits": t.index_bits, "va_bits": t.va_bits,
                         "entry_bytes": t.entry_bytes, "word": t.word},
            "meminfo": self.meminfo(), "ptdump": self.ptdump(),
            "frames": {"stretches": self.stretches()}, "pmm": self.pmm(), "mmap": self.mmap(),
            "regions": [{"name": g.name, "start": hex(g.start), "end": hex(g.end), "kind": g.kind}
                        for g in k.regions],
            "nx": t.nx, "maps": self.maps(), "runs": self.runs(), "tables": self.tables(),
            "heap": {"start": hex(self.heap.start), "top": hex(self.heap.top),
                     "limit": hex(self.heap.limit), "blocks": self.blocks()},
            "sweep": {"counts": self.sweep.counts, "meaning": KINDS,
                      "findings": [{"kind": f.kind, "pa": hex(f.pa) if f.pa >= 0 else "",
                                    "va": hex(f.va) if f.va >= 0 else "", "words": f.words}
                                   for f in self.sweep.findings]},
        }


def _push(out, first, end, owner, state):
    if out and out[-1][1] == first and out[-1][2:] == (owner, state):
        out[-1] = (out[-1][0], end, owner, state)
    else:
        out.append((first, end, owner, state))
