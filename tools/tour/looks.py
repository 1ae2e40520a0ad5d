# SPDX-License-Identifier: MIT
"""looks.py - what is looked at on each stage; stages.py says when, and in which words.

One function a stage, each a list of verbs of stop.py. Addresses come from symbols, from layout.h,
from registers, or from what travel.py noted on the way.
"""
MIB = 1 << 20


def entry(stop):
    stop.look_at_registers({
        "eax": "the loader's magic number: Multiboot2 says 0x36d76289",
        "ebx": "where the boot information lies (physical)",
        "esp": "the loader's stack: not ours, not used"})
    stop.look_at_controls({
        "CR0": "PE without PG: protected mode, paging off",
        "CR3": "no tables", "CR4": "no features", "EFER": "no long mode"})
    start = stop.registers["rbx"] & 0xFFFFFFFF
    size = stop.debugger.physical(start, 1)[0]
    stop.facts("Boot information", ("total_size", f"{size} bytes", "its first word"))
    memory_strip(stop, start, size)


def memory_strip(stop, information, size):
    """Physical memory as the loader leaves it."""
    image = stop.image
    boot, text = image.physical("kernel_physical_start"), image.physical("kernel_text_start")
    boot_end = information if boot < information < text else text  # GRUB uses the rest of the page
    end = image.physical("kernel_data_end")
    rows = [(0, MIB, "BIOS, screen: left alone", "kept"), (boot, boot_end, "kernel .boot", "kernel"),
            (information, information + size, "boot information (GRUB's)", "loader"),
            (end, stop.tour.memory, "free", "free")]
    rows += [(a, b, f"kernel {name}", "kernel") for name, a, b in image.sections()]
    stop.strip("Physical memory, as the loader leaves it", sorted(rows))


def root_symbol(stop):
    return stop.image.physical("boot_directory" if stop.format.words == 1 else "boot_pml4")


def boot_places(stop):
    """One address for each thing that the boot tables map."""
    image = stop.image
    places = [image.address("_start"), image.address("boot_high"), image.address("KMAP_START")]
    return places + ([image.address("HHDM_START")] if "HHDM_START" in image.borders else [])


def tables_built(stop):
    root = root_symbol(stop)
    stop.look_at_walk("The way to this code, low", stop.pc, root)
    stop.look_at_walk("The same page, high", stop.pc + stop.image.offset, root)
    stop.look_at_page(stop.pc, "no entries: while PG is off, an address *is* a physical address")
    stop.draw("The boot tables: in memory, and nobody looks at them yet", boot_places(stop), root)


def mode_chosen(stop):
    meanings = {"CR3": f"the root: {stop.table_words(stop.controls['CR3'])}"}
    if stop.format.words == 2:
        meanings |= {"CR4": "PAE: entries of 64 bits. Long mode insists on it",
                     "EFER": "LME: long mode as soon as PG is set. NXE: bit 63 forbids execution"}
    else:
        meanings |= {"CR4": "nothing: pages of 4 KiB and two levels need no extension",
                     "EFER": "i386 has no use for it"}
    meanings["CR0"] = "PG is off still"
    stop.look_at_controls(meanings)
    stop.draw("The CPU knows where the root is, and does not use it", boot_places(stop),
              stop.controls["CR3"] & ~0xFFF)


def before_paging(stop):
    value = stop.registers["rax"] & 0xFFFFFFFF
    old = stop.controls["CR0"]
    names = {31: "PG", 30: "CD", 29: "NW", 16: "WP", 5: "NE", 1: "MP"}
    on = [n for b, n in names.items() if value >> b & 1 and not old >> b & 1]
    off = [n for b, n in names.items() if old >> b & 1 and not value >> b & 1]
    stop.facts("What `mov cr0, eax` will change",
               ("CR0 now", f"{old:#010x}", stop.bits("CR0")),
               ("EAX", f"{value:#010x}", f"sets {' '.join(on)}; clears {' '.join(off) or 'none'}"))
    after = stop.image.address("boot_after_paging")
    stop.look_at_walk("The next instruction, by the rules to come", after,
                      stop.controls["CR3"] & ~0xFFF)
    stop.draw("What the CPU will read to fetch the next instruction", boot_places(stop),
              stop.controls["CR3"] & ~0xFFF, after)


def after_paging(stop):
    meanings = {"CR0": "PG is on. CD and NW are off: caches work", "CR3": "the root"}
    if stop.format.words == 2:
        meanings["EFER"] = "LMA: the CPU itself says that long mode is active"
    stop.look_at_controls(meanings)
    stop.look_at_page(stop.pc, "the identity map: this address and its page are the same number")
    stop.look_at_trace("one instruction, and what the CPU does to fetch it: RD is an entry that it "
                       "reads, WR is the CPU setting the Accessed bit (0x20) in it")
    stop.draw("The way of the next instruction fetch", boot_places(stop), None, stop.pc)


def long_mode(stop):
    stop.ask("sreg", "the descriptor's L bit is what makes the code 64 bits wide", keep="Code")
    stop.look_at_registers({"rip": "still low: only the mode has changed"})
    stop.look_at_page(stop.pc, "the same entries serve 32-bit and 64-bit code")
    stop.draw("The same tables, and the code is 64 bits wide", boot_places(stop), None, stop.pc)


def jumped_high(stop):
    low = stop.pc - stop.image.offset
    stop.look_at_registers({"rip" if stop.format.words == 2 else "eip": "where the kernel is linked"})
    stop.look_at_walk("This instruction, by its high name", stop.pc)
    stop.look_at_walk("The same bytes, by their low name", low)
    stop.look_at_page(stop.pc, "the hardware agrees")
    stop.draw("Two ways to one page; the code now runs on the high one", boot_places(stop), None,
              stop.pc)


def kernel_places(stop):
    image = stop.image
    names = ["kernel_text_start", "kernel_data_start"]
    names.append(f"{image.window.upper()}_START")
    return [image.address(name) for name in names]


def kernel_tables(stop):
    root, image = stop.tour.notes["root"], stop.image
    stop.look_at_controls({"CR3": "the boot tables still: what follows is read from memory"})
    for name, words in (("kernel_text_start", "Code: read and execute"),
                        ("kernel_rodata_start", "Constants: read"),
                        ("kernel_data_start", "Data: read and write"),
                        ("boot_stack_guard", "The page below the stack: a hole on purpose"),
                        ("_start", "Low memory: nothing")):
        stop.look_at_walk(words, image.address(name), root)
    stop.draw("The kernel's own tables, before anybody uses them", kernel_places(stop), root)


def cr3_switch(stop):
    stop.look_at_controls({"CR3": "the kernel's own root"})
    stop.look_at_page(stop.pc, "this very code, found through the new tables")
    stop.look_at_trace("the first instruction that is fetched through the new tables, and the walk to it")
    stop.draw("The kernel's tables, live", kernel_places(stop), None, stop.pc)


def low_map_gone(stop):
    image = stop.image
    stop.look_at_walk("Where the kernel came in", image.address("_start"))
    stop.look_at_walk("The null page", 0)
    stop.look_at_page(image.address("_start"), "an access would be a page fault from here on")
    stop.look_at_walk("The kernel's code is still there", image.address("kernel_main"))
    stop.look_at_controls({"CR4": "PGE was switched off and on: that empties the TLB, global "
                                  "entries too" if stop.controls["CR4"] >> 7 & 1 else "no PGE"})
    stop.draw("Nothing below the kernel", kernel_places(stop), None, stop.pc)


def result(stop):
    return stop.registers["rax"] & (0xFFFFFFFF if stop.format.words == 1 else ~0)


def window(stop):
    note = stop.tour.notes["map_range"]
    pointer = result(stop)
    stop.facts("What is going on",
               ("map_range", f"{note['va']:#x} -> {note['pa']:#x}", f"{note['bytes']:#x} bytes"),
               ("kmap of frame", f"{stop.tour.notes['frame']:#x}",
                f"physical {stop.tour.notes['frame'] << 12:#x}: the root of these very tables"),
               ("its answer", stop.hex(pointer), "a pointer to that frame"))
    stop.look_at_walk("The pointer", pointer)
    stop.look_at_page(pointer, "the hardware's walk of the pointer")
    words = stop.debugger.linear(pointer, 4)
    same = words == stop.debugger.physical(stop.tour.notes["frame"] << 12, 4)
    stop.facts("Proof", ("four words", "the same" if same else "NOT the same",
                         "read through the pointer (`x`) and from physical memory (`xp`)"))
    stop.draw("The way of the pointer", [pointer, note["va"]], None, pointer)


def mapped(stop):
    note = stop.tour.notes["map_range"]
    stop.facts("What was asked",
               ("va", stop.hex(note["va"]), "where the device window begins"),
               ("pa", f"{note['pa']:#x}", "video memory, text mode: a device, not RAM"),
               ("bytes", f"{note['bytes']:#x}", f"{note['bytes'] >> 12} pages"),
               ("answer", f"{result(stop) & 0xFFFFFFFF}", "MEM_OK"))
    stop.look_at_walk("The first page", note["va"])
    stop.look_at_walk("One page beyond: a guard", note["va"] + note["bytes"])
    stop.look_at_page(note["va"], "the hardware finds it")
    stop.draw("The new entries", [note["va"]], None, note["va"])


def heap_grown(stop):
    note = stop.tour.notes["map_frames"]
    size = note["pages"] << 12
    stop.facts("What was asked",
               ("va", stop.hex(note["va"]), "where the heap begins"),
               ("pages", f"{note['pages']}", "each in a frame of its own from the frame allocator"))
    stop.look_at_walk("The first page", note["va"])
    stop.look_at_walk("The last page", note["va"] + size - 4096)
    stop.look_at_walk("One page beyond: not yet", note["va"] + size)
    stop.look_at_page(note["va"], "the hardware finds it")
    stop.draw("The heap's first memory", [note["va"]], None, note["va"])
