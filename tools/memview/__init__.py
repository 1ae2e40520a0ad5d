# SPDX-License-Identifier: MIT
"""memview - an independent reader of this kernel's memory: tables, frames, heap, from outside.

The modules, in the order in which each leans on those before it:

    physical   where physical memory comes from: a dump, a core, Bochs' text, or gdb
    tables     x86 page tables as the manual has them; knows nothing of this kernel
    dwarf      the layout of C structs, from the kernel's debug information
    heap       the blocks of the heap
    kernel     the kernel's own objects in that memory, and the names of its regions
    frames     boot map and bitmaps: what the allocator believes of every frame
    sweep      marks what is used, sweeps what is owned, and says where the two disagree
    report     all of it as one JSON object
    verbs      the same as the kernel's shell prints it
    page       the JSON in one self-contained HTML page
    machine    boots the kernel in QEMU and takes the dump
"""
