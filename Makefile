# SPDX-License-Identifier: MIT
#
# Makefile - goals, source lists and pattern rules. `make help` says what there is to make.
#
# Sources are listed by hand: a file is part of the kernel because somebody said so. What differs
# between the targets is in arch.mk. No tool is run while this file is being read, so that
# `make deps` can install what the other goals of the same command then use.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:

include arch.mk

ARCH ?= x86_64
ifeq ($(filter $(ARCH),$(ARCHES)),)
$(error ARCH=$(ARCH) is not a target; there are: $(ARCHES))
endif

BUILD   := $(if $(O),$(O),build)
O       := $(if $(O),$(O),build/$(ARCH))
PHYSMAP ?= $(firstword $(PHYSMAPS_$(ARCH)))
ifeq ($(filter $(PHYSMAP),$(PHYSMAPS_$(ARCH))),)
$(error PHYSMAP=$(PHYSMAP) is not possible for ARCH=$(ARCH); there is: $(PHYSMAPS_$(ARCH)))
endif

PYTHON  ?= /usr/bin/python3
CMDLINE ?=

KERNEL := $(O)/twinpage-$(ARCH).elf
ISO    := $(O)/twinpage-$(ARCH).iso
HOST   := $(BUILD)/host

.DEFAULT_GOAL := kernel
.PHONY: kernel iso run bochs debug test unit matrix bench bench-so bootmap deps doctor help clean \
        compile_commands.json FORCE

# ---- quiet output, as in Linux: V=1 shows the commands ----------------------------------------
ifeq ($(V),1)
Q   :=
say := @:
else
Q   := @
say = @printf '  %-7s %s\n'
endif

# ---- make deps GOALS: install, then start afresh, so that nothing was looked for too early ----
WITH_DEPS := $(filter deps,$(MAKECMDGOALS))
REST      := $(filter-out deps,$(MAKECMDGOALS))
ifneq ($(and $(WITH_DEPS),$(REST)),)

deps:
	@tools/deps.sh install
$(firstword $(REST)): deps
	+@$(MAKE) $(REST)
$(wordlist 2,$(words $(REST)),$(REST)): $(firstword $(REST))
	@:

else

deps:
	@tools/deps.sh install
doctor:
	@tools/deps.sh doctor

# ---- what the kernel is made of ---------------------------------------------------------------
ASM := boot/header.asm $(ENTRY_$(ARCH)) src/arch/$(ARCH)/trap_entry.asm

CORE := src/kernel.c src/kernel_space.c src/physmap_$(PHYSMAP).c src/cmdline.c src/multiboot2.c

LIB := $(wildcard src/lib/*.c)

MEM := src/mem/mem_err.c src/mem/owner.c \
    $(wildcard src/mem/bootmap*.c) \
    $(wildcard src/mem/pmm*.c) \
    $(filter-out src/mem/paging32.c src/mem/paging64.c,$(wildcard src/mem/paging*.c)) \
    $(PAGING_$(ARCH)) \
    $(wildcard src/mem/$(PHYSMAP)*.c) $(wildcard src/mem/physmap*.c) \
    $(wildcard src/mem/heap*.c) src/mem/kmalloc.c src/mem/mmio.c src/mem/preflight.c

ARCH_C := $(wildcard src/arch/*.c) $(wildcard src/arch/$(ARCH)/*.c)

DEV     := $(wildcard src/dev/*.c)
DEV_ASM := $(wildcard src/dev/*.asm)

DIAG := $(filter-out src/diag/ksyms.c,$(wildcard src/diag/*.c)) src/diag/ksyms.c

# Until every part is there, build what is.
SOURCES := $(wildcard $(CORE) $(LIB) $(MEM) $(ARCH_C) $(DEV) $(DIAG))
ASM     := $(wildcard $(ASM) $(DEV_ASM))

OBJECTS := $(SOURCES:%.c=$(O)/obj/%.o) $(ASM:%.asm=$(O)/obj/%.asm.o)

# ---- tools and flags --------------------------------------------------------------------------
ifeq ($(LLVM),1)
ifeq ($(origin CC),default)
CC := clang
endif
ifeq ($(origin LD),default)
LD := ld.lld
endif
NM    ?= llvm-nm
STRIP ?= llvm-strip
CFLAGS_TOOL := --target=$(CLANG_TARGET_$(ARCH))
else
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
ifeq ($(origin LD),default)
LD := $(CROSS_COMPILE)ld
endif
NM    ?= $(CROSS_COMPILE)nm
STRIP ?= $(CROSS_COMPILE)strip
CFLAGS_TOOL :=
endif
NASM ?= nasm

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wvla -Wundef -Wwrite-strings $(if $(filter 1,$(WERROR)),-Werror)
INCLUDES := -Iinclude -Isrc -Isrc/arch/$(ARCH)
HARDEN   ?= -fno-stack-protector

# Paths in debug information are relative, so that the same source gives the same bytes anywhere.
CFLAGS_KERNEL = -std=gnu2x -O2 -g -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only \
    -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-common $(HARDEN) \
    -ffile-prefix-map=$(abspath $(O))=build -ffile-prefix-map=$(CURDIR)=. \
    $(CFLAGS_TOOL) $(CFLAGS_$(ARCH)) $(WARNINGS) $(INCLUDES) $(CFLAGS)
NASMFLAGS_KERNEL = -f $(NASM_FORMAT_$(ARCH)) -w+error=all -I$(O)/ $(NASMFLAGS)
LDFLAGS_KERNEL = -m $(LD_EMULATION_$(ARCH)) -static --build-id=none -z noexecstack \
    -z max-page-size=0x1000 -T $(LD_SCRIPT_$(ARCH)) $(LDFLAGS)

# Everything that changes what the compiler makes: when this text changes, all is built anew.
FLAGS_TEXT = $(CC) $(CFLAGS_KERNEL) / $(NASM) $(NASMFLAGS_KERNEL) / $(LD) $(LDFLAGS_KERNEL) \
             / $(SOURCES) $(ASM)

# $(call keep,FILE,TEXT): writes TEXT to FILE unless that is what it holds.
define keep
	@mkdir -p $(dir $(1))
	@printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $(1) || printf '%s\n' '$(subst ','\'',$(2))' >$(1)
endef

# $(call need,TOOL): a clear word instead of "command not found".
need = @tools/deps.sh need $(1)

$(O)/flags: FORCE
	$(call need,$(CC) $(LD) $(NM) $(NASM))
	@mkdir -p $(O)
	@{ printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))'; \
	   $(CC) --version; $(LD) --version; $(NASM) -v; } 2>&1 >$@.new; \
	 if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(O)/cmdline: FORCE
	$(call keep,$@,$(CMDLINE))

# ---- compiling --------------------------------------------------------------------------------
$(O)/obj/%.o: %.c $(O)/flags
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_KERNEL) -MMD -MP -c $< -o $@

$(O)/obj/%.asm.o: %.asm $(O)/flags
	$(say) NASM $<
	@mkdir -p $(@D)
	$(Q)$(NASM) $(NASMFLAGS_KERNEL) -MD $(@:.o=.d) -MQ $@ $< -o $@

$(O)/obj/ksyms_%.o: $(O)/ksyms_%.c $(O)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_KERNEL) -c $< -o $@

-include $(OBJECTS:.o=.d)

# The console font, from the package console-setup-linux.
FONT ?= /usr/share/consolefonts/Lat15-Terminus16.psf.gz
$(O)/font.psf:
	$(call need,$(FONT))
	$(say) FONT $@
	@mkdir -p $(@D)
	$(Q)gzip -dc $(FONT) >$@
$(O)/obj/src/dev/font.asm.o: $(O)/font.psf

# ---- linking, twice: the first image tells the names for the second one's backtraces ----------
$(O)/ksyms_none.c:
	@mkdir -p $(@D)
	@awk -f tools/ksyms.awk /dev/null >$@
$(O)/ksyms_none.c: tools/ksyms.awk

$(O)/pass1.elf: $(OBJECTS) $(O)/obj/ksyms_none.o $(LD_SCRIPT_$(ARCH))
	$(Q)$(LD) $(LDFLAGS_KERNEL) -o $@ $(OBJECTS) $(O)/obj/ksyms_none.o

$(O)/ksyms_real.c: $(O)/pass1.elf tools/ksyms.awk
	$(say) KSYMS $@
	$(Q)$(NM) -n $< | awk -f tools/ksyms.awk >$@

$(KERNEL): $(OBJECTS) $(O)/obj/ksyms_real.o $(LD_SCRIPT_$(ARCH))
	$(say) LD $@
	$(Q)$(LD) $(LDFLAGS_KERNEL) -o $@ $(OBJECTS) $(O)/obj/ksyms_real.o
	$(Q)$(NM) -n $@ | awk -f tools/ksyms.awk | cmp -s - $(O)/ksyms_real.c || \
	    { echo "error: text moved between the two links; backtraces would lie" >&2; rm $@; exit 1; }

kernel: $(KERNEL)

# ---- the image --------------------------------------------------------------------------------
$(ISO): $(KERNEL) grub.cfg $(O)/cmdline tools/mkiso.sh
	$(say) ISO $@
	$(Q)STRIP='$(STRIP)' CMDLINE='$(subst ','\'',$(CMDLINE))' tools/mkiso.sh $(KERNEL) grub.cfg $@

iso: $(ISO)

clean:
	$(Q)rm -rf $(BUILD)
endif
