# SPDX-License-Identifier: MIT
"""stages.py - the tour as one table: where it stops, what it says there, what it looks at.

A stage is reached by `travel` (travel.py), explained by `words`, looked at by `look` (looks.py);
`missing` is what would go wrong without it. Text that differs between the targets is a dictionary.
Words may name things in `backquotes`; they are printed as they are on both screens.
"""
from dataclasses import dataclass

import looks
import travel


LEGEND = """Letters of an entry: `P` present, `W` writable, `U` for programs too, `A` accessed and `D`
written (the CPU sets them), `G` global, `PS` a large page, `PCD` not cached, `PWT` written through, `NX`
not executable; `pin` is a bit that the CPU ignores and the kernel uses: this table stays for good. In
Bochs' own lines a capital letter is a bit that is set."""

WINDOW = {
    "hhdm": """The HHDM shows all RAM, with the same bytes of code read-only.""",
    "kmap": """The table of the kmap window is taken over as it is.""",
}


@dataclass
class Stage:
    key: str
    title: str
    travel: object
    look: object
    words: object
    missing: object
    arches: tuple = ("i386", "x86_64")

    def text(self, image, what):
        """Title, words or missing for a kernel: by its target, or by its physical window."""
        value = getattr(self, what)
        if isinstance(value, dict):
            value = value[image.arch if image.arch in value else image.window]
        return value.replace("{window}", WINDOW[image.window])


STAGES = [
    Stage("entry", "Entry: what the loader hands over", travel.to("_start"), looks.entry,
          words="""GRUB has put the kernel's segments where the ELF file asked, has switched to 32-bit
protected mode, and jumps here. Paging is off: every address is a physical address. Only what the
Multiboot2 specification promises may be used: EAX, EBX and flat segments. There is no stack.""",
          missing="""Without the magic number in EAX nobody knows what EBX means. A kernel that reads
the boot information anyway reads whatever another loader left there. And whoever uses the loader's
stack or GDT for long uses memory that is free for all."""),

    Stage("tables", "The boot tables are built", travel.to("boot_tables_built"), looks.tables_built,
          words={
              "i386": """A dozen instructions have filled one page directory (PD) and two page tables
(PT). The directory shows the first 8 MiB twice: at 0, where this code runs, and at 0xC0000000, where
the kernel is linked. Both places share the same two tables. The last entry leads to the table of the
kmap window, which is empty. All this is just memory so far: the CPU knows nothing of it.""",
              "x86_64": """A few loops have filled four levels of tables. Large pages of 2 MiB save
the fourth level: 4 PDs show the first 4 GiB. The root leads to them three times: at 0, where this
code runs; at 0xFFFF800000000000, the higher-half direct map (HHDM); and at 0xFFFFFFFF80000000, where
the kernel is linked. All three share the same PDs. All this is just memory so far: the CPU knows
nothing of it."""},
          missing="""Without the map at 0 the very next instruction after PG could not be fetched.
Without the map at the top the jump high would land nowhere. Either way: a page fault without a
handler, a double fault without a handler, and the machine resets (triple fault). A table whose
address is not a multiple of 4096 is worse: its low bits are taken for flags."""),

    Stage("mode", "CR3, CR4 and EFER: what kind of paging", travel.to("boot_mode_chosen"),
          looks.mode_chosen,
          words={
              "i386": """CR3 holds the physical address of the root now. CR4.PAE stays 0, and that is
a decision: with PAE clear, PG means two levels with entries of 32 bits. There is no execute-disable
bit in this format. PSE (pages of 4 MiB) is left for later, as a 486 has none.""",
              "x86_64": """CR3 holds the physical address of the root now. CR4.PAE chooses entries of
64 bits. EFER.LME says that PG shall mean long mode, with four levels; EFER.NXE gives bit 63 of an
entry its meaning. Nothing has changed yet: all of them wait for PG. LMA, the bit by which the CPU
confirms, is still 0."""},
          missing={
              "i386": """With PAE set by mistake the CPU would read the directory as four entries of 64
bits, and the walk would go astray at the first fetch. With CR3 not loaded it would take the tables
from address 0, where the BIOS keeps its data.""",
              "x86_64": """Without PAE, setting PG while LME is set is refused with a
general-protection fault. Without LME the CPU would read the tables as 32-bit PAE paging does, three
levels, and go astray at once. Without NXE a set bit 63 is a *reserved* bit, and each such entry a
page fault."""}),

    Stage("before", "Just before CR0.PG", travel.to("boot_before_paging"), looks.before_paging,
          words="""One instruction is left. EAX holds the new CR0. It sets PG, and WP too, so that
read-only pages bind the kernel as well as programs; it clears CD and NW, which the BIOS and GRUB leave
set in Bochs and which would turn the caches off. The instruction *after* this one will be fetched
through the tables. So the tables have to lead its address to itself: that is all an identity map is
for.""",
          missing="""Compare the way above with the address it starts from. If its last line named
another page, the CPU would go on with whatever bytes are there; if an entry lacked P, the machine
would reset. A stopped debugger is the only place where this can be checked in time."""),

    Stage("after", "Just after CR0.PG", travel.over_cr0, looks.after_paging,
          words={
              "i386": """Paging is on, and nothing seems to have happened: EIP just went on to the
next instruction. But that one was fetched through two table entries. The trace shows the CPU reading
them, and writing: it sets the Accessed bit (A, 0x20) of each entry that it used. Compare the entries
with the stop before.""",
              "x86_64": """Paging is on, and nothing seems to have happened: RIP just went on to the
next instruction. But that one was fetched through three table entries. The trace shows the CPU reading
them, and writing: it sets the Accessed bit (A, 0x20) of each entry that it used. The CPU is in
*compatibility mode*: long mode is active (EFER.LMA), but the code segment is still one of 32
bits."""},
          missing="""Had the identity map been missing, this stop would never come: page fault,
double fault, triple fault, reset. That is the commonest first bug of all; it looks like a machine that
reboots for ever."""),

    Stage("long", "A 64-bit code segment", travel.to("boot_long_mode"), looks.long_mode,
          arches=("x86_64",),
          words="""A far jump through the boot GDT has loaded CS with a descriptor whose L bit is set.
From here on instructions are 64-bit ones. The address has not changed its nature: it is still the low
one, below 4 GiB, since a 32-bit jump cannot reach further.""",
          missing="""Without the jump the CPU would stay in compatibility mode and read 64-bit code
as 32-bit code: the REX prefix 0x48 is `dec eax` there. No fault tells you; the results are just
wrong."""),

    Stage("high", "The jump high", travel.to("boot_high"), looks.jumped_high,
          words="""An absolute jump has changed the instruction pointer from the low name of the kernel
to the high one. The bytes are the same, the page is the same; the way through the tables is another.
Only now can the low map be given up: nothing runs there any more. Next come a stack and C.""",
          missing="""A relative jump would have stayed low, and all would *seem* to work, until the low
map goes and the instruction pointer hangs in the air. Addresses of variables are linked high, so C
code that runs low finds its data but prints strange return addresses."""),

    Stage("kernel-tables", "The kernel's own tables", travel.to_kernel_tables, looks.kernel_tables,
          words={
              "i386": """C has built a second set of tables from the memory map. Here each section has
its own rights: code and constants cannot be written. (Data could still be executed: this format has no NX.)
{window} The page below each stack is left out. Directory entries of heap and device window are made now
and kept for good (`pin`), so that every address space to come can share them. CR3 still holds the boot
tables. Before it is loaded the kernel walks the new tables itself (`preflight`): its code, stack, GDT,
IDT and TSS must be there.""",
              "x86_64": """C has built a second set of tables from the memory map. Here each section
has its own rights: code cannot be written, all else cannot be executed (NX). {window} The page below
each stack is left out. Top-level entries of heap and device window are made now and kept for good
(`pin`), so that every address space to come can share them. CR3 still holds the boot tables. Before it
is loaded the kernel walks the new tables itself (`preflight`): its code, stack, GDT, IDT and TSS must
be there."""},
          missing="""With the boot tables everything is writable: a stray pointer can change code, and
a stack that grows too far silently runs into what lies below. A forgotten piece (most often the stack
or the IDT) makes the next instruction the last, and no fault handler can say so, since it is
unreachable, too."""),

    Stage("cr3", "The CR3 switch", travel.over_cr3, looks.cr3_switch,
          words="""One `mov cr3` has exchanged the whole address space under the running code. It goes
on because both sets of tables lead this address to the same page. Loading CR3 also empties the TLB, the
CPU's memory of earlier walks, but for entries marked global (G); the boot tables have none.""",
          missing="""A kernel that never leaves its boot tables has no rights, no guard pages and a low
map in which a null pointer is valid. A root given as a *virtual* address is a classic: CR3 takes
physical ones, and the walk begins in the wrong page."""),

    Stage("low-gone", "The low map is gone", travel.through("platform_flush_all"), looks.low_map_gone,
          words="""Entry 0 of the root is empty now: the place where the kernel came in does not exist
any more, and neither does the null page. From here on everything below the kernel belongs to programs.
A full TLB flush has followed the switch, so that no old walk is remembered.""",
          missing="""With the low map left in place `*(int *)0` reads the BIOS's interrupt table and goes
on: the bug shows much later. With the map removed but the TLB not flushed the machine behaves
differently on each run: QEMU hides this, Bochs and real CPUs do not."""),

    Stage("window", {"kmap": "A frame through the kmap window", "hhdm": "A frame through the HHDM"},
          travel.to_first_window, looks.window,
          words={
              "kmap": """The kernel wants to change a page table, but a table is a frame: it has a
physical address, and code can only use virtual ones. The kernel's part of the address
space has no room to show all RAM; so there is a window of page slots at the top, and `kmap` writes the
frame into a free slot. Its table
is part of the kernel image and is shared by all address spaces. The slot beside it stays empty, so
that an overrun faults. (The boot tables had the same window; the new tables were built through
it.)""",
              "hhdm": """The kernel wants to change a page table, but a table is a frame: it has a
physical address, and code can only use virtual ones. Here there is room to show all RAM at once:
`kmap` adds 0xFFFF800000000000 and is done. No entry is written, nothing needs flushing. (The boot
tables had the same map; the new tables were built through it.)"""},
          missing={
              "kmap": """Without a window one can only reach the frames that happen to be mapped. The
well-known trick instead, a directory that maps itself, shows one address space only. And a slot that
is reused without `invlpg` still shows the old frame.""",
              "hhdm": """Without a direct map every access to a table needs a mapping first, which
needs tables. A kernel that treats physical addresses as pointers works while the low map is there,
and dies on the switch."""}),

    Stage("map", "The first mapping in the live tables", travel.to_end_of_map_range, looks.mapped,
          words="""`map_range` has returned: the screen's memory has an address in the device window,
not cached (PCD and PWT), as writes to a device must not wait in a cache. It worked in three steps: look
at every entry (nothing may be mapped there), take every table (may run out), write the entries (cannot
fail). A new mapping needs no flush: a CPU does not remember that something was *not* there.""",
          missing="""Without the first step a mapping could be overwritten, and its frame lost. Without
the second, a failure in the middle would leave half a mapping. With normal caching the screen would
show letters late, or never."""),

    Stage("heap", "The heap grows for the first time", travel.to_grown_heap, looks.heap_grown,
          words="""The frame allocator is up, and the heap asks for its first memory. `map_frames` takes
one frame for each page; neighbours in the heap need not be neighbours in RAM. They are writable, global
(G: the same in every address space, so a change of CR3 need not forget them) and, where the format can
say so, not executable. The page beyond is not there: the heap cannot run over its end unseen.""",
          missing="""A heap without tables of its own must be sized at link time. If its top-level entry
were made only now, an address space copied earlier would not have it: memory that exists in one
program and faults in the next."""),
]


def stages_of(arch):
    return [stage for stage in STAGES if arch in stage.arches]
