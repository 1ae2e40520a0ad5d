# SPDX-License-Identifier: MIT
"""drawing.py - page tables and physical memory as SVG.

One column for each level, one box for each table, one row for each run of entries that say the
same. An arrow goes from an entry to the table it points to; orange is the way of one address, green
is what was not there in the drawing before. Nothing is to scale: the numbers say how much.

Positions follow from the order of the rows alone, so the same tables give the same bytes.
"""
from xml.sax.saxutils import escape

WIDTH, GAP, MARGIN, TOP = 236, 44, 16, 92
ROW, EMPTY, HEAD = 32, 18, 36
INK, GREY, LINE = "#1f2328", "#6e7781", "#afb8c1"
GREEN, ORANGE, PAPER = "#dafbe1", "#d4730a", "#ffffff"
KINDS = {"kept": "#eaeef2", "kernel": "#ddf4ff", "loader": "#fff8c5", "free": "#ffffff"}


def text(x, y, words, size=11, ink=INK, anchor="start", weight="normal"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" fill="{ink}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def box(x, y, width, height, fill=PAPER, stroke=LINE, more=""):
    return (f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" '
            f'stroke="{stroke}"{more}/>')


def document(width, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="DejaVu Sans Mono, Menlo, monospace">',
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>', *parts, "</svg>", ""])


# ---- tables ---------------------------------------------------------------------------------------

def row_height(stop, table, run):
    if not run.entry:
        return EMPTY
    return ROW + 14 if stop.row_words(table, run) else ROW


class Box:
    """A table with a place."""

    def __init__(self, stop, table, x, y):
        self.table, self.x, self.y = table, x, y
        self.tops = []
        at = y + HEAD
        for run in table.runs:
            self.tops.append(at)
            at += row_height(stop, table, run)
        self.bottom = at


class TablesDrawing:
    def __init__(self, picture, stop):
        self.picture, self.stop = picture, stop
        self.format = stop.format
        self.tables, self.ways = {}, {}
        self.once(picture.table)
        self.boxes = {}
        self.cursor = [TOP] * len(self.format.levels)
        self.place(picture.table, TOP)

    def once(self, table):
        """A table that several entries lead to is drawn once, with the marks of all, and with the
        addresses of the way that is marked."""
        first = self.tables.setdefault(table.physical, table)
        self.ways[table.physical] = self.ways.get(table.physical, 0) + 1
        if any(run.on_path for run in table.runs):
            first.prefix = table.prefix
        for run, again in zip(first.runs, table.runs):
            run.on_path, run.new = run.on_path or again.on_path, run.new or again.new
            if again.child:
                again.child = self.once(again.child)
        return first

    def place(self, table, wanted):
        """Depth first; a box lies beside the entry that leads to it, or below its neighbours."""
        if table.physical in self.boxes:
            return
        level = table.level
        box_ = Box(self.stop, table, MARGIN + level * (WIDTH + GAP), max(self.cursor[level], wanted))
        self.boxes[table.physical] = box_
        self.cursor[level] = box_.bottom + 20
        for run, top in zip(table.runs, box_.tops):
            if run.child:
                self.place(run.child, top - 10)

    def svg(self):
        parts = self.head()
        for box_ in self.boxes.values():
            parts += self.arrows(box_)
        for box_ in self.boxes.values():
            parts += self.table(box_)
        bottom = max(b.bottom for b in self.boxes.values())
        used = max(b.table.level for b in self.boxes.values()) + 1
        width = max(2 * MARGIN + used * WIDTH + (used - 1) * GAP, 720)
        return document(width, bottom + 72, parts + self.legend(bottom + 22))

    def head(self):
        """The CPU: its mode, its root, its next instruction."""
        stop, x = self.stop, MARGIN + 30
        cr3 = stop.controls["CR3"] & ~0xFFF
        mode = "paging on" if stop.paging_on() else "paging off"
        label = stop.image.label(stop.pc)
        parts = [box(MARGIN, 14, 600, 44, "#f6f8fa"),
                 text(MARGIN + 10, 32, f"CPU: {mode}, CR3 = {cr3:#x}", 12, weight="bold"),
                 text(MARGIN + 10, 50, f"next instruction: {stop.pc:#x} = {label}", 11)]
        root = self.boxes[self.picture.table.physical]
        dash = "" if self.picture.live else ' stroke-dasharray="5 4"'
        words = self.picture.root
        parts += [f'<path d="M {x} 58 V {root.y - 1}" stroke="{INK}" fill="none" '
                  f'stroke-width="1.5"{dash}/>', self.tip(x, root.y, down=True),
                  text(x + 8, 80, words, 11, GREY)]
        return parts

    @staticmethod
    def tip(x, y, ink=INK, down=False):
        points = [(x, y), (x - 4, y - 8), (x + 4, y - 8)] if down else \
            [(x, y), (x - 8, y - 4), (x - 8, y + 4)]
        return f'<polygon points="{" ".join(f"{a},{b}" for a, b in points)}" fill="{ink}"/>'

    def arrows(self, box_):
        parts = []
        for run, top in zip(box_.table.runs, box_.tops):
            if not run.child:
                continue
            child = self.boxes[run.child.physical]
            x1, y1, x2, y2 = box_.x + WIDTH, top + ROW // 2, child.x, child.y + HEAD // 2
            ink, thick = (ORANGE, 2.5) if run.on_path else (GREY, 1.2)
            bend = GAP // 2
            parts += [f'<path d="M {x1} {y1} C {x1 + bend} {y1} {x2 - bend} {y2} {x2 - 6} {y2}" '
                      f'stroke="{ink}" fill="none" stroke-width="{thick}"/>', self.tip(x2, y2, ink)]
        return parts

    def table(self, box_):
        table, dash = box_.table, "" if self.picture.live else ' stroke-dasharray="5 4"'
        level = self.format.levels[table.level]
        title = f"{level} {self.stop.table_title(table)}"
        ways = self.ways[table.physical]
        frame = f"in frame {table.physical:#x}" + (f", {ways} ways lead here" if ways > 1 else "")
        parts = [box(box_.x, box_.y, WIDTH, box_.bottom - box_.y, PAPER, INK, dash),
                 box(box_.x, box_.y, WIDTH, HEAD, "#eaeef2", INK),
                 text(box_.x + 8, box_.y + 15, title, 11, weight="bold"),
                 text(box_.x + 8, box_.y + 30, frame, 10, GREY)]
        for run, top in zip(table.runs, box_.tops):
            parts += self.row(box_, run, top)
        return parts

    def row(self, box_, run, top):
        x, last = box_.x, run.last
        index = f"[{run.first}]" if run.first == last else f"[{run.first}-{last}]"
        words = self.stop.row_words(box_.table, run)
        if not run.entry:
            return [text(x + 8, top + 13, index, 10, GREY),
                    text(x + WIDTH - 8, top + 13, words, 10, GREY, "end")]
        table, fmt = box_.table, self.format
        height = row_height(self.stop, table, run)
        parts = [box(x + 1, top, WIDTH - 2, height, GREEN if run.new else PAPER, "#d0d7de")]
        if run.on_path:
            parts.append(box(x + 1, top, 5, height, ORANGE, ORANGE))
        address = fmt.address(table.prefix, table.level, run.first)
        parts += [text(x + 10, top + 13, index, 11, weight="bold"),
                  text(x + WIDTH - 8, top + 13, self.target(table, run), 11, INK, "end"),
                  text(x + 10, top + 27, f"{address:#x}", 9, GREY),
                  text(x + WIDTH - 8, top + 27, fmt.flags(table.level, run.entry), 9.5, INK, "end")]
        if words:
            parts.append(text(x + WIDTH - 8, top + 41, words, 10, GREY, "end"))
        return parts

    def target(self, table, run):
        fmt = self.format
        target = fmt.target(table.level, run.entry)
        if fmt.is_leaf(table.level, run.entry):
            return f"page {target:#x}" if run.first == run.last else \
                f"{target:#x}..{target + (run.last - run.first + 1 << fmt.shift(table.level)):#x}"
        if run.last > run.first:
            return f"{run.last - run.first + 1} {fmt.levels[table.level + 1]}s"
        return f"{fmt.levels[table.level + 1]} {target:#x}"

    def legend(self, y):
        items, parts, x = [], [], MARGIN
        if any(run.new for box_ in self.boxes.values() for run in box_.table.runs):
            items.append((GREEN, INK, "new since the drawing before"))
        if self.picture.path is not None:
            items.append((ORANGE, ORANGE, f"the way of address {self.picture.path:#x}"))
        for fill, stroke, words in items:
            parts += [box(x, y, 12, 12, fill, stroke), text(x + 18, y + 10, words, 10, GREY)]
            x += 260
        shared = any(ways > 1 for ways in self.ways.values())
        words = ["grey number: first address behind the row" +
                 (" (of several ways, the marked or the first)" if shared else "")]
        words += [] if self.picture.live else ["dashed: the CPU does not use these tables"]
        return parts + [text(MARGIN, y + 28 + 15 * i, line, 10, GREY) for i, line in enumerate(words)]


# ---- physical memory ------------------------------------------------------------------------------

def strip_svg(strip):
    parts, y = [text(MARGIN, 24, "physical address (not to scale)", 10, GREY)], 34
    for start, end, words, kind in strip.rows:
        height = 46 if kind in ("free", "kept") else 30
        parts += [box(150, y, 360, height, KINDS[kind], INK),
                  text(142, y + 11, f"{start:#x}", 10, GREY, "end"),
                  text(162, y + height // 2 + 4, words, 12),
                  text(500, y + height // 2 + 4, size(end - start), 10, GREY, "end")]
        y += height
        gap = next((s for s, _, _, _ in strip.rows if s >= end), end) - end
        if gap:
            parts.append(text(142, y + 11, f"{end:#x}", 10, GREY, "end"))
            y += 14
    parts.append(text(142, y + 11, f"{strip.rows[-1][1]:#x}", 10, GREY, "end"))
    return document(560, y + 26, parts)


def size(count):
    for unit, word in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + f" {word}"
    return f"{count} bytes"
