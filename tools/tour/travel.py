# SPDX-License-Identifier: MIT
"""travel.py - how the machine gets to a stage.

Each function takes the tour and leaves the machine standing at the stage's instruction. What it
learns on the way (arguments of a call, the instructions stepped through) is put into tour.notes for
the look that follows.
"""
from debugger import Lost

STEPS_MAX = 64  # enough to come from a function's first instruction to the one that is meant


def to(name):
    """To the first instruction of a function, or to a label."""
    return lambda tour: tour.debugger.go(tour.image.address(name))


def arguments(tour, words):
    """The first words of arguments at a function's first instruction (System V ABI)."""
    registers = tour.debugger.registers()
    if tour.format.words == 2:
        return [registers[name] for name in ("rdi", "rsi", "rdx", "rcx", "r8", "r9")[:words]]
    return tour.debugger.linear((registers["rsp"] & 0xFFFFFFFF) + 4, words)


def come_back(tour):
    """From a function's first instruction to the one after its call."""
    tour.notes["returned"] = True
    stack = tour.debugger.registers()["rsp"]
    words = tour.debugger.linear(stack, tour.format.words)
    tour.debugger.go(sum(word << 32 * i for i, word in enumerate(words)))


def through(name):
    """Through a call of a function: to the instruction after it."""
    def travel(tour):
        to(name)(tour)
        come_back(tour)
    return travel


def over_cr0(tour):
    """Over `mov cr0, eax`; the fetch of the next instruction is still to come."""
    tour.debugger.step()
    if tour.debugger.pc() != tour.image.address("boot_after_paging"):
        raise Lost("mov cr0 did not lead to boot_after_paging")


def to_kernel_tables(tour):
    """To kernel_space_switch(kernel): everything is built and nothing is loaded."""
    to("kernel_space_switch")(tour)
    kernel = arguments(tour, 1)[0]
    offset = tour.image.member("src/kernel.c", "kernel", "aspace", "root")
    tour.notes["root"] = tour.debugger.linear(kernel + offset, 1)[0]


def over_cr3(tour):
    """From platform_load_root's first instruction over the one that writes CR3."""
    to("platform_load_root")(tour)
    for _ in range(STEPS_MAX):
        tour.debugger.step()
        tour.notes["returned"] = True
        if tour.debugger.controls()["CR3"] & ~0xFFF == tour.notes["root"]:
            return
    raise Lost(f"CR3 was not written within {STEPS_MAX} instructions")


def to_first_window(tour):
    """Into the first map_range of the new tables, and there through its first kmap."""
    to("map_range")(tour)
    words = arguments(tour, 6)
    if tour.format.words == 1:
        words = [words[0], words[1], words[2] | words[3] << 32, *words[4:]]
    tour.notes["map_range"] = dict(zip(("as", "va", "pa", "bytes", "flags"), words))
    stack = tour.debugger.registers()["rsp"]
    back = tour.debugger.linear(stack, tour.format.words)
    tour.notes["map_range"]["back"] = sum(word << 32 * i for i, word in enumerate(back))
    to("kmap")(tour)
    tour.notes["frame"] = arguments(tour, 1)[0]
    come_back(tour)


def to_end_of_map_range(tour):
    tour.notes["returned"] = True
    tour.debugger.go(tour.notes["map_range"]["back"])


def to_grown_heap(tour):
    """Through the first map_frames, which maps the heap's first memory."""
    to("kmalloc_init")(tour)
    to("map_frames")(tour)
    words = arguments(tour, 3)
    tour.notes["map_frames"] = dict(zip(("as", "va", "pages"), words))
    come_back(tour)
