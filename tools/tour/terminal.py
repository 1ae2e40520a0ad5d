# SPDX-License-Identifier: MIT
"""terminal.py - the tour for somebody at a terminal: prints a stop, then asks what to do.

Enter goes on, `p` gives Bochs' own prompt (every command of the debugger; `tour` comes back), `q`
ends. The prompt is ours and passes lines on, so that Ctrl-C stops the machine and not the tour.
"""
import readline  # noqa: F401  (input() gets history and editing by it)
import sys
import textwrap
import time

import stop as blocks
from stages import LEGEND, stages_of

WIDTH = 96
HELP = "Enter: next stop   p: Bochs' own prompt   w: these words again   q: quit"


def paragraph(text, indent=""):
    return textwrap.fill(" ".join(text.split()), WIDTH, initial_indent=indent,
                         subsequent_indent=" " * len(indent))


def columns(rows, indent="  "):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [indent + "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip()
            for row in rows]


def tree_lines(picture, fmt, name_of):
    """The tables as an indented list: > is the way of the address in question, + is new."""
    lines = [f"  {picture.root} -> {table_name(picture.table, fmt, name_of)}"]
    seen = set()

    def show(table, depth):
        if table.physical in seen:
            lines.append("    " * depth + "    (drawn above)")
            return
        seen.add(table.physical)
        for run in table.runs:
            mark = ("+" if run.new else " ") + (">" if run.on_path else " ")
            lines.append(f"  {mark}" + "    " * depth + row_text(table, run, fmt, name_of))
            if run.child:
                show(run.child, depth + 1)
    show(picture.table, 0)
    return lines


def table_name(table, fmt, name_of):
    name = name_of(table.physical)
    return f"{fmt.levels[table.level]} {name + ' at ' if name else ''}{table.physical:#x}"


def index_text(run):
    return str(run.first) if run.first == run.last else f"{run.first}-{run.last}"


def row_text(table, run, fmt, name_of):
    index = f"[{index_text(run)}]".ljust(12)
    if not run.entry:
        return index + "empty"
    target = fmt.target(table.level, run.entry)
    flags = fmt.flags(table.level, run.entry)
    if fmt.is_leaf(table.level, run.entry):
        end = target + (run.last - run.first + 1 << fmt.shift(table.level))
        return f"{index}memory [{target:#x}, {end:#x})  {flags}"
    many = run.last - run.first + 1
    name = name_of(target)
    what = f"{many} tables from {target:#x}" if many > 1 else \
        f"{fmt.levels[table.level + 1]} {name + ' at ' if name else ''}{target:#x}"
    return f"{index}-> {what}  {flags}"


def lines_of(block, tour):
    """A block as lines for a terminal."""
    if isinstance(block, blocks.Facts):
        return [block.title.replace("`", "")] + columns(block.rows)
    if isinstance(block, blocks.Entries):
        return [block.title] + columns([(a, b, c, "-> " + d) for a, b, c, d in block.rows])
    if isinstance(block, blocks.Reply):
        command = "; ".join(block.command.splitlines())
        return [f"<bochs> {command}", paragraph(f"({block.remark})", "  ")] + \
            ["  " + line for line in block.lines]
    if isinstance(block, blocks.Strip):
        return [block.title] + columns([(f"[{a:#x}, {b:#x})", words) for a, b, words, _ in block.rows])
    return [f"{block.title}   (+ new, > the way)"] + \
        tree_lines(block, tour.format, tour.image.table_name)


class Guide:
    def __init__(self, tour):
        self.tour = tour
        self.asks = sys.stdin.isatty()
        self.total = len(stages_of(tour.image.arch))

    def lead(self):
        print(paragraph(LEGEND))
        try:
            for number, stop in enumerate(self.tour.stops(), 1):
                text = self.text(number, stop)
                print(text, flush=True)
                if not self.answer(text):
                    return
            self.farewell()
        except (KeyboardInterrupt, EOFError):
            print()

    def text(self, number, stop):
        stage, image = stop.stage, self.tour.image
        out = ["", "=" * WIDTH, f"{number} of {self.total}  {stage.text(image, 'title')}", ""]
        place = stop.place
        label = self.tour.image.label(stop.pc)
        out.append(f"{stop.pc:#x}  {label}" + (f"  {place[0]}:{place[1]}" if place else ""))
        if place:
            out += [f"  {'->' if n == place[1] else '  '} {n:4}  {line}"
                    for n, line in self.tour.image.source(*place)]
        out += ["", paragraph(stage.text(image, "words"))]
        for block in stop.blocks:
            out += [""] + lines_of(block, self.tour)
        return "\n".join(out + ["", paragraph(stage.text(image, "missing"), "Without it: ")])

    # ---- what now? ------------------------------------------------------------------------------

    def answer(self, text):
        """False: the tour ends here."""
        while self.asks:
            print(f"\n{HELP}")
            word = input("tour> ").strip().lower()
            if word in ("", "n", "next"):
                return True
            if word in ("q", "quit"):
                return False
            if word in ("p", "prompt"):
                self.prompt()
            elif word in ("w", "words"):
                print(text)
            else:
                print(f"? {word}")
        return True

    def prompt(self):
        """Lines go to Bochs as they are; `c` and friends are stopped by Ctrl-C."""
        print("Bochs' own prompt: `help` lists its commands, `tour` comes back.")
        print("A stop that the machine has passed when you come back cannot be shown any more.")
        while True:
            line = input("<bochs> ").strip()
            if line in ("tour", "t"):
                return
            if line in ("q", "quit", "exit"):
                raise EOFError
            if line:
                self.pass_on(line)

    def pass_on(self, line):
        timeout, self.tour.debugger.process.timeout = self.tour.debugger.process.timeout, None
        try:
            print("\n".join(self.tour.debugger.ask(line)))
        except KeyboardInterrupt:
            self.tour.debugger.interrupt()
            print("\n".join(self.tour.debugger.process.before.splitlines()[-4:]))
        finally:
            self.tour.debugger.process.timeout = timeout

    def farewell(self):
        print("\nThat was the last stop.")
        if not self.asks:
            return
        print("Enter: the kernel runs on to its shell, with its words here; Ctrl-C stops it.   q: quit")
        if input("tour> ").strip().lower() in ("", "n", "next", "c"):
            self.run_on()
            self.prompt()

    def run_on(self):
        """Lets the kernel run and shows its serial line until Ctrl-C."""
        self.tour.debugger.process.sendline("c")
        shown = 0
        try:
            while True:
                text = self.tour.serial.read_bytes() if self.tour.serial.exists() else b""
                print(text[shown:].decode(errors="replace"), end="", flush=True)
                shown = len(text)
                time.sleep(0.3)
        except KeyboardInterrupt:
            self.tour.debugger.interrupt()
            print()
