# SPDX-License-Identifier: MIT
#
# arch.mk - everything that differs between the targets, and nothing else.
#
# The Makefile reads these as $(NAME_$(ARCH)). A new target is a new column here and a new
# directory src/arch/<target>.

ARCHES := i386 x86_64

# ---- compiling --------------------------------------------------------------------------------
# What the sources may use, in programs of this machine as well. i386 runs on a 486: no cmov, no
# CPUID before it is known to be there.
DEFINES_i386   :=
DEFINES_x86_64 := -DHAVE_CMOV

# Returning a one-member struct in a register makes the strong types free.
CFLAGS_i386       := -m32 -march=i486 -freg-struct-return $(DEFINES_i386)
CFLAGS_x86_64     := -m64 -march=x86-64 -mcmodel=kernel -mno-red-zone $(DEFINES_x86_64)

# Nothing on i386 needs a stack aligned to more than a word; the two compilers call that differently.
GCC_FLAGS_i386   := -mpreferred-stack-boundary=2
CLANG_FLAGS_i386 := -mstack-alignment=4

CLANG_TARGET_i386   := i686-elf
CLANG_TARGET_x86_64 := x86_64-elf

NASM_FORMAT_i386   := elf32
NASM_FORMAT_x86_64 := elf64

# ---- linking ----------------------------------------------------------------------------------
LD_EMULATION_i386   := elf_i386
LD_EMULATION_x86_64 := elf_x86_64

LD_SCRIPT_i386   := boot/kernel32.ld
LD_SCRIPT_x86_64 := boot/kernel64.ld

# SANITIZE=asan: the image's shadow is the last MiB of its 8 MiB, and the shadow of a byte at VA stands
# at (VA >> 3) + SHADOW_OFFSET: SHADOW_START less KERNEL_OFFSET / 8.
SHADOW_START_i386    := 0xC0700000
SHADOW_OFFSET_i386   := 0xA8700000
SHADOW_START_x86_64  := 0xFFFFFFFF80700000
SHADOW_OFFSET_x86_64 := 0xDFFFFFFF90700000

# clang has -fsanitize=kernel-address for systems that it knows.
CLANG_ASAN_TARGET_i386   := i686-linux-gnu
CLANG_ASAN_TARGET_x86_64 := x86_64-linux-gnu

# A red zone begins at a multiple of 8, so gcc must align frames that have one.
ASAN_STACK_i386 := -mpreferred-stack-boundary=4 -mincoming-stack-boundary=2

# ---- sources ----------------------------------------------------------------------------------
ENTRY_i386   := boot/entry32.asm
ENTRY_x86_64 := boot/entry64.asm

PAGING_i386   := src/mem/paging32.c
PAGING_x86_64 := src/mem/paging64.c

# The physical window: a few slots, or all RAM for good. i386 has no room for the second.
PHYSMAPS_i386   := kmap
PHYSMAPS_x86_64 := hhdm kmap

# ---- emulators --------------------------------------------------------------------------------
QEMU_i386   := qemu-system-i386
QEMU_x86_64 := qemu-system-x86_64

BOCHS_CPU_i386   := p3_katmai
BOCHS_CPU_x86_64 := corei7_skylake_x

# How gdb is told what it looks at.
GDB_ARCH_i386   := i386
GDB_ARCH_x86_64 := i386:x86-64
