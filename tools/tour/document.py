# SPDX-License-Identifier: MIT
"""document.py - a run of the tour as a Markdown page with drawings, and whether two runs agree.

The page is made of the same blocks that the terminal prints. Its last line names the run: the
kernel, the image and Bochs. Two pages of the same kernel, image and Bochs must be equal to the
byte. Of another build (a different compiler, another GRUB) they must be equal but for the numbers:
the same stages, words, entries, rights, rows and arrows.
"""
import re
from pathlib import Path

import stop as blocks
from drawing import TablesDrawing, strip_svg
from stages import LEGEND, stages_of

PICTURES = "bringup"  # folder beside the page

def page_name(arch):
    return f"bringup-{arch}.md"


def join(text):
    return " ".join(text.split())


def cell(text):
    return text.replace("|", "\\|")


class Page:
    def __init__(self, tour, stops):
        self.tour, self.stops = tour, stops
        self.arch = tour.image.arch
        self.pictures = {}  # file name -> SVG

    def text(self, trademark):
        out = self.opening()
        for number, stop in enumerate(self.stops, 1):
            out += self.stage(number, stop)
        return "\n".join(out + ["", f"<!-- {trademark} -->", ""])

    def opening(self):
        arch, image = self.arch, self.tour.image
        out = [f"# Paging bring-up on {arch}, stop by stop", "",
               join(f"""This page is made by `make ARCH={arch} bochs-tour`: the kernel ran in Bochs, and
every number below was read from that machine by Bochs' debugger. `make ARCH={arch} bochs` goes the
same way with you at the prompt. A test makes the page anew and fails when it differs."""), "",
               join(LEGEND), ""]
        for number, stage in enumerate(stages_of(arch), 1):
            out.append(f"{number}. [{stage.text(image, 'title')}](#stop-{number})")
        return out

    def stage(self, number, stop):
        stage, arch, image = stop.stage, self.arch, self.tour.image
        out = ["", f'<a id="stop-{number}"></a>', "",
               f"## {number}. {stage.text(image, 'title')}", "", *self.place(stop), "",
               join(stage.text(image, "words")), ""]
        for index, block in enumerate(stop.blocks):
            out += self.block(f"{arch}-{number:02}-{stage.key}", index, block, stop) + [""]
        return out + ["**Without it:** " + join(stage.text(image, "missing"))]

    def place(self, stop):
        where = stop.place
        out = [f"At `{stop.pc:#x}`, `{stop.image.label(stop.pc)}`"]
        if not where:
            return out
        file, line = where
        out[0] += f", [{file}:{line}](../{file}#L{line}):"
        language = "nasm" if file.endswith(".asm") else "c"
        mark = ";" if language == "nasm" else "//"
        lines = [f"{text}   {mark} <---" if n == line else text
                 for n, text in stop.image.source(file, line)]
        return out + ["", f"```{language}", *lines, "```"]

    def block(self, stem, index, block, stop):
        if isinstance(block, blocks.Facts):
            return [f"{block.title}:", "", "| | | |", "|---|---|---|",
                    *(f"| {a} | `{b}` | {cell(c)} |" for a, b, c in block.rows)]
        if isinstance(block, blocks.Entries):
            title = block.title.replace(" [", "**: ").rstrip("]")
            return [f"**{title}", "", "| entry | value | says | leads to |", "|---|---|---|---|",
                    *(f"| `{a}` | `{b}` | {c} | {d} |" for a, b, c, d in block.rows)]
        if isinstance(block, blocks.Reply):
            command = ", then ".join(f"`{line}`" for line in block.command.splitlines())
            return [f"Ask Bochs {command}: {block.remark}.", "", "```text", *block.lines, "```"]
        name = f"{stem}.svg"
        svg = strip_svg(block) if isinstance(block, blocks.Strip) else \
            TablesDrawing(block, stop).svg()
        self.pictures[name] = svg
        return [f"![{block.title}]({PICTURES}/{name})", "", f"*{block.title}.*"]


def write_document(directory, tour, stops, run):
    """Writes page and drawings; returns their names."""
    page = Page(tour, stops)
    text = page.text(run)
    folder = directory / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{page.arch}-*.svg"):
        old.unlink()
    names = [directory / page_name(page.arch)]
    names[0].write_text(text)
    for name, svg in page.pictures.items():
        (folder / name).write_text(svg)
        names.append(folder / name)
    return names


# ---- do two runs agree? ---------------------------------------------------------------------------

def read_document(directory, arch):
    """file -> lines, of the page and its drawings."""
    directory = Path(directory)
    paths = [directory / page_name(arch), *sorted((directory / PICTURES).glob(f"{arch}-*.svg"))]
    return {str(p.relative_to(directory)): p.read_text().splitlines() for p in paths if p.exists()}


def run_of(document, arch):
    lines = document.get(page_name(arch), [""])
    return lines[-1] if lines else ""


def shape(lines, same_bochs):
    """What stays when the kernel lies elsewhere: all but the numbers, the room they take, and the
    lines around a line number. Another Bochs may say things in other words, so then its own lines are
    left out, too."""
    text = re.sub(r"<!--.*-->|```(c|nasm)\n.*?```", "", "\n".join(lines), flags=re.S)
    if not same_bochs:
        text = re.sub(r"```text.*?```", "", text, flags=re.S)
    masked = re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-f]{16}\b|\d+(\.\d+)?", "#", text)
    return [" ".join(line.split()) for line in masked.splitlines()]


def differences(old, new, arch):
    """(how they were compared, list of differences). Empty list: they agree."""
    runs = run_of(old, arch), run_of(new, arch)
    same_run = runs[0] == runs[1]
    same_bochs = runs[0].split("Bochs")[-1] == runs[1].split("Bochs")[-1]
    how = "to the byte" if same_run else "but for the numbers (another build)"
    found = [f"{name} is only in the {'kept' if name in old else 'new'} document"
             for name in sorted(set(old) ^ set(new))]
    for name in sorted(set(old) & set(new)):
        a, b = (old[name], new[name]) if same_run else \
            (shape(old[name], same_bochs), shape(new[name], same_bochs))
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            found.append(f"{name}, line {at + 1}:\n  kept: {a[at] if at < len(a) else '(end)'}\n"
                         f"  new:  {b[at] if at < len(b) else '(end)'}")
    return how, found
