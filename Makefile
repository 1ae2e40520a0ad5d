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
O       := $(if $(O),$(O),build/$(if $(SANITIZE),$(SANITIZE)/)$(ARCH)$(if $(BREAK),-break-$(BREAK))$(if $(filter 0,$(PREFLIGHT)),-raw))
PHYSMAP ?= $(firstword $(PHYSMAPS_$(ARCH)))
ifeq ($(filter $(PHYSMAP),$(PHYSMAPS_$(ARCH))),)
$(error PHYSMAP=$(PHYSMAP) is not possible for ARCH=$(ARCH); there is: $(PHYSMAPS_$(ARCH)))
endif

NO_DIGITS = $(subst 0,,$(subst 1,,$(subst 2,,$(subst 3,,$(subst 4,,$(subst 5,,$(subst 6,,$(subst \
    7,,$(subst 8,,$(subst 9,,$(1)))))))))))
ifneq ($(call NO_DIGITS,$(BREAK)),)
$(error BREAK=$(BREAK) is not a number; docs/museum.md lists them)
endif

ifneq ($(filter-out ubsan asan,$(SANITIZE)),)
$(error SANITIZE=$(SANITIZE) is not known; there are: ubsan asan)
endif

ifneq ($(filter-out 0 1 2 3,$(HEAP_HARDEN)),)
$(error HEAP_HARDEN=$(HEAP_HARDEN) is no level; there are: 0 1 2 3 (docs/performance.md))
endif

PYTHON  ?= /usr/bin/python3
CMDLINE ?=

KERNEL := $(O)/twinpage-$(ARCH).elf
ISO    := $(O)/twinpage-$(ARCH).iso
HOST   := $(BUILD)/host

.DEFAULT_GOAL := kernel
.PHONY: kernel iso run bochs bochs-tour debug memview test unit matrix bench bench-host bench-so bootmap ptdump \
        screens museum web web-page deps doctor help clean \
        compile_commands.json FORCE

# ---- quiet output, as in Linux: V=1 shows the commands ----------------------------------------
ifeq ($(V),1)
Q   :=
say := @:
else
Q   := @
say = $(if $(findstring s,$(firstword -$(MAKEFLAGS))),@:,@printf '  %-7s %s\n')
endif

# ---- make deps GOALS: install, then start afresh, so that nothing was looked for too early ----
WITH_DEPS := $(filter deps,$(MAKECMDGOALS))
REST      := $(filter-out deps,$(MAKECMDGOALS))
ifneq ($(and $(WITH_DEPS),$(REST)),)

deps:
	@tools/deps.sh install $(REST)
$(firstword $(REST)): deps
	+@$(MAKE) $(REST)
$(wordlist 2,$(words $(REST)),$(REST)): $(firstword $(REST))
	@:

else

deps:
	@tools/deps.sh install $(REST)
doctor:
	@tools/deps.sh doctor

# ---- what the kernel is made of ---------------------------------------------------------------
SRC_ASM := boot/header.asm $(ENTRY_$(ARCH)) src/arch/$(ARCH)/trap_entry.asm src/dev/font.asm

SRC_CORE := src/kernel.c src/kernel_space.c src/kernel_preflight.c src/physmap_$(PHYSMAP).c src/cmdline.c src/multiboot2.c

# Broken bring-ups, in kernels built with BREAK=n only.
SRC_MUSEUM := src/museum.c src/museum_tables.c src/museum_frames.c src/museum_machine.c \
    src/arch/$(ARCH)/museum.c

SRC_LIB := src/lib/fmt.c src/lib/string.c

SRC_BOOTMAP := src/mem/bootmap.c src/mem/bootmap_owners.c src/mem/bootmap_check.c src/mem/bootmap_multiboot2.c \
    src/mem/range_kind.c
SRC_PMM     := src/mem/pmm.c src/mem/pmm_layout.c src/mem/pmm_run.c src/mem/pmm_search.c src/mem/pmm_claim.c \
    src/mem/pmm_look.c src/mem/pmm_cache.c src/mem/pmm_check.c
SRC_PAGING  := src/mem/paging.c src/mem/paging_change.c src/mem/paging_space.c src/mem/paging_table.c \
    src/mem/paging_walk.c src/mem/paging_check.c $(PAGING_$(ARCH))
SRC_HEAP    := src/mem/heap.c src/mem/heap_init.c src/mem/heap_resize.c src/mem/heap_space.c src/mem/heap_lists.c \
    src/mem/heap_tree.c src/mem/heap_tree_check.c src/mem/heap_guard.c src/mem/heap_walk.c src/mem/heap_check.c
SRC_MEM     := src/mem/mem_err.c src/mem/owner.c $(SRC_BOOTMAP) $(SRC_PMM) $(SRC_PAGING) \
    src/mem/frames.c src/mem/lock.c \
    src/mem/$(PHYSMAP).c src/mem/mmio.c src/mem/preflight.c $(SRC_HEAP) src/mem/kmalloc.c

SRC_ARCH := src/arch/cpuid.c src/arch/platform.c src/arch/trap.c src/arch/$(ARCH)/cpu.c

SRC_DEV := src/dev/serial.c src/dev/debugcon.c src/dev/debug_exit.c src/dev/fw_cfg.c src/dev/pic.c \
    src/dev/pit.c src/dev/keyboard.c src/dev/terminal.c src/dev/vga_text.c src/dev/framebuffer.c \
    src/dev/font.c

SRC_DIAG := src/diag/console.c src/diag/screen.c src/diag/verdict.c src/diag/fault.c src/diag/stack_guard.c \
    src/diag/heap_fault.c src/diag/explain.c src/diag/ksyms.c src/diag/klines.c src/diag/banner.c \
    src/diag/units.c src/diag/json.c src/diag/input.c src/diag/line_editor.c src/diag/report_line.c \
    src/diag/shell.c src/diag/commands.c src/diag/fault_command.c src/diag/report_memory.c \
    src/diag/bench.c src/diag/report_mmap.c src/diag/report_frames.c src/diag/report_walk.c \
    src/diag/report_ptdump.c src/diag/report_heap.c src/diag/report_cpu.c src/diag/try.c \
    src/diag/report_blocks.c src/diag/report_leaks.c src/diag/report_preflight.c src/diag/storm.c \
    src/diag/storm_draw.c src/diag/storm_check.c src/diag/storm_edges.c src/diag/storm_effect.c src/diag/selftest.c \
    src/diag/selftest_machine.c src/diag/selftest_memory.c src/diag/selftest_oom.c src/diag/ledger.c \
    src/diag/oom.c src/diag/oom_calls.c src/diag/oom_state.c src/diag/oom_plant.c src/diag/refuse.c src/diag/hold.c

# Sanitizers, in kernels built with SANITIZE=ubsan or asan only (docs/sanitizers.md).
SRC_ubsan := src/diag/ubsan.c src/diag/ubsan_causes.c
SRC_asan  := src/diag/asan.c src/diag/asan_report.c src/diag/asan_causes.c

SOURCES := $(SRC_CORE) $(if $(BREAK),$(SRC_MUSEUM)) $(SRC_$(SANITIZE)) $(SRC_LIB) $(SRC_MEM) $(SRC_ARCH) $(SRC_DEV) $(SRC_DIAG)

OBJECTS := $(SOURCES:%.c=$(O)/obj/%.o) $(SRC_ASM:%.asm=$(O)/obj/%.asm.o)

# ---- tools and flags --------------------------------------------------------------------------
ifeq ($(LLVM),1)
ifeq ($(origin CC),default)
CC := clang
endif
ifeq ($(origin LD),default)
LD := ld.lld
endif
NM      ?= llvm-nm
STRIP   ?= llvm-strip
OBJDUMP ?= llvm-objdump
CFLAGS_TOOL := --target=$(CLANG_TARGET_$(ARCH)) $(CLANG_FLAGS_$(ARCH))
else
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
ifeq ($(origin LD),default)
LD := $(CROSS_COMPILE)ld
endif
NM      ?= $(CROSS_COMPILE)nm
STRIP   ?= $(CROSS_COMPILE)strip
OBJDUMP ?= $(CROSS_COMPILE)objdump
CFLAGS_TOOL := $(GCC_FLAGS_$(ARCH))
endif
NASM ?= nasm

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wvla -Wundef -Wwrite-strings $(if $(filter 1,$(WERROR)),-Werror)
DEFINES  := $(if $(BREAK),-DBREAK=$(BREAK)) $(if $(PREFLIGHT),-DPREFLIGHT=$(PREFLIGHT))
INCLUDES := -Iinclude -Isrc -Isrc/arch/$(ARCH)
HARDEN   ?= -fstack-protector-strong -mstack-protector-guard=global

# DEBUG=1: every frame carries its owner, freed heap memory is watched, if HEAP_HARDEN says no other level.
CFLAGS_DEBUG := $(if $(filter 1,$(DEBUG)),-DPMM_TAGS=1) \
    $(addprefix -DHEAP_HARDEN=,$(or $(HEAP_HARDEN),$(if $(filter 1,$(DEBUG)),3)))

# SANITIZE=ubsan: a failed check traps. Nothing is moved to the end of the text, so that the function
# that is named is the right one.
CFLAGS_ubsan := -DSANITIZE=1 -DUBSAN=1 -fsanitize=undefined -fno-sanitize-recover=all \
    $(if $(filter 1,$(LLVM)),,-fno-reorder-blocks-and-partition)

# SANITIZE=asan: every access calls asan.c. The heap's own files work in its red zones, and the
# sanitizer does not look at itself.
ASAN_gcc   := -fsanitize-address-use-after-scope -fasan-shadow-offset=$(SHADOW_OFFSET_$(ARCH)) $(addprefix --param ,asan-stack=1 asan-globals=1 \
    asan-instrumentation-with-call-threshold=0 asan-use-after-return=0) $(ASAN_STACK_$(ARCH))
ASAN_clang := --target=$(CLANG_ASAN_TARGET_$(ARCH)) $(addprefix -mllvm -asan-,mapping-offset=$(SHADOW_OFFSET_$(ARCH)) stack=1 globals=1 \
    instrumentation-with-call-threshold=0 use-after-return=never use-after-scope=1)
ASAN_SWITCHES := -fsanitize=kernel-address $(if $(filter 1,$(LLVM)),$(ASAN_clang),$(ASAN_gcc))
CFLAGS_asan   = -DSANITIZE=1 -DSHADOW_OFFSET=$(SHADOW_OFFSET_$(ARCH))u $(ASAN_SWITCHES)
LDFLAGS_asan := --defsym=SHADOW_START=$(SHADOW_START_$(ARCH))
UNSANITIZED  := $(if $(filter asan,$(SANITIZE)),$(SRC_HEAP) src/diag/asan.c src/diag/asan_report.c)

# Paths in debug information are relative, so that the same source gives the same bytes anywhere.
CFLAGS_KERNEL = -std=gnu2x -O2 -g -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only \
    -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-common -gno-record-gcc-switches $(HARDEN) \
    -ffile-prefix-map=$(abspath $(O))=build -ffile-prefix-map=$(CURDIR)=. \
    $(CFLAGS_TOOL) $(CFLAGS_$(ARCH)) $(CFLAGS_DEBUG) $(CFLAGS_$(SANITIZE)) $(WARNINGS) $(DEFINES) $(INCLUDES) $(CFLAGS)
NASMFLAGS_KERNEL = -f $(NASM_FORMAT_$(ARCH)) -w+error=all -I$(O)/ $(NASMFLAGS)
LDFLAGS_KERNEL = -m $(LD_EMULATION_$(ARCH)) -static --build-id=none -z noexecstack \
    -z max-page-size=0x1000 $(LDFLAGS_$(SANITIZE)) -T $(LD_SCRIPT_$(ARCH)) $(LDFLAGS)

# Everything that changes what the compiler makes: when this text changes, all is built anew.
FLAGS_TEXT = $(CC) $(CFLAGS_KERNEL) / $(NASM) $(NASMFLAGS_KERNEL) / $(LD) $(LDFLAGS_KERNEL) \
             / $(SOURCES) $(SRC_ASM)

# $(call keep,FILE,TEXT): writes TEXT to FILE unless that is what it holds.
define keep
	@mkdir -p $(dir $(1))
	@printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $(1) || printf '%s\n' '$(subst ','\'',$(2))' >$(1)
endef

# $(call need,TOOL): a clear word instead of "command not found".
need = @tools/deps.sh need $(1)

$(O)/flags: FORCE
	$(call need,$(CC) $(LD) $(NM) $(OBJDUMP) $(NASM))
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

# Wrappers around one instruction that cannot fault: a frame would be most of their cost.
$(O)/obj/src/arch/platform.o: CFLAGS_KERNEL += -momit-leaf-frame-pointer

$(UNSANITIZED:%.c=$(O)/obj/%.o) $(O)/obj/ksyms_none.o $(O)/obj/ksyms_real.o: ASAN_SWITCHES :=

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

# ---- linking, twice: the first image tells names and lines for the second one's backtraces -----
KSYMS := tools/ksyms.awk tools/klines.awk

# $(call symbols,IMAGE): the C source that names the code of an image.
symbols = { $(NM) -n $(1) | awk -f tools/ksyms.awk; \
    $(OBJDUMP) -d -l -j .text --no-show-raw-insn $(1) | awk -f tools/klines.awk; }

$(O)/ksyms_none.c: $(KSYMS)
	@mkdir -p $(@D)
	@{ awk -f tools/ksyms.awk /dev/null; awk -f tools/klines.awk /dev/null; } >$@

$(O)/pass1.elf: $(OBJECTS) $(O)/obj/ksyms_none.o $(LD_SCRIPT_$(ARCH))
	$(Q)$(LD) $(LDFLAGS_KERNEL) -o $@ $(OBJECTS) $(O)/obj/ksyms_none.o

$(O)/ksyms_real.c: $(O)/pass1.elf $(KSYMS)
	$(say) KSYMS $@
	$(Q)$(call symbols,$<) >$@

$(KERNEL): $(OBJECTS) $(O)/obj/ksyms_real.o $(LD_SCRIPT_$(ARCH))
	$(say) LD $@
	$(Q)$(LD) $(LDFLAGS_KERNEL) -o $@ $(OBJECTS) $(O)/obj/ksyms_real.o
	$(Q)$(call symbols,$@) | cmp -s - $(O)/ksyms_real.c || \
	    { echo "error: text moved between the two links; backtraces would lie" >&2; rm $@; exit 1; }

kernel: $(KERNEL)

# ---- the image --------------------------------------------------------------------------------
$(ISO): $(KERNEL) grub.cfg $(O)/cmdline tools/mkiso.sh
	$(say) ISO $@
	$(Q)STRIP='$(STRIP)' CMDLINE='$(subst ','\'',$(CMDLINE))' tools/mkiso.sh $(KERNEL) grub.cfg $@

iso: $(ISO)

# ---- emulators --------------------------------------------------------------------------------
# MEM=, CPU=, MACHINE= and QEMU_ARGS= change the machine.
run debug: $(ISO)
	$(call need,$(QEMU_$(ARCH)))
	@tools/qemu.sh $@ $(QEMU_$(ARCH)) $(ISO) $(KERNEL)

# A guided tour; STEP= gives the bare debugger, TOUR=0 just runs. The tour's document shows the
# machine that everybody has, whatever MEM= says.
TOUR_PIECES := bochs import\ pexpect import\ elftools
TOUR_WORDS   = $(ISO) $(KERNEL) $(BOCHS_CPU_$(ARCH))
bochs: $(ISO)
ifneq ($(STEP)$(filter 0,$(TOUR)),)
	$(call need,bochs)
	@NM='$(NM)' tools/bochs.sh $(TOUR_WORDS)
else
	$(call need,$(TOUR_PIECES))
	@NM='$(NM)' $(PYTHON) -B tools/tour/tour.py $(TOUR_WORDS)
endif

export MEM CPU MACHINE QEMU_ARGS GDB_ARGS STEP DISPLAY_LIBRARY BOCHS_ARGS

# ---- what else is made on this machine ---------------------------------------------------------
include tools/tools.mk
include tools/docs.mk
include web/web.mk
include bench/bench.mk
include tests/unit/unit.mk
include tests/coverage/coverage.mk
include tests/mutation/mutation.mk
include tests/soak/soak.mk
include tests/unit/exhaustive.mk
include tests/fuzz/fuzz.mk
include tests/proof/proof.mk

# ---- tests ------------------------------------------------------------------------------------
.PHONY: images
images:
	+@for arch in $(ARCHES); do \
	    $(MAKE) ARCH=$$arch O=$(BUILD)/$$arch CMDLINE= iso || exit 1; done

# The kernels that look at themselves, one for each sanitizer and target.
.PHONY: sanitized
sanitized:
	+@for kind in ubsan asan; do for arch in $(ARCHES); do \
	    $(MAKE) ARCH=$$arch SANITIZE=$$kind O=$(BUILD)/$$kind/$$arch CMDLINE= iso || exit 1; done; done

PYTEST_ARGS ?= -q -n 2
TESTS       ?= tests
TEST_MARK   := not matrix

test matrix: images sanitized $(UNIT_BINARIES) $(FUZZ_BINARIES) $(HOST)/bootmap $(PTDUMPS) $(TABLES) $(SOAK_CHECKED)
	@$(PYTHON) tests/boot/machines.py --count
	+@$(MAKE) web-page || echo 'no page for the browser: tests/web will fail' >&2
	@TWINPAGE_BUILD=$(abspath $(BUILD)) $(PYTHON) tests/run.py --summary $(HOST)/summary \
	    --unit $(UNIT_BINARIES) \
	    --pytest $(PYTEST_ARGS) -m '$(TEST_MARK)' $(TESTS)
matrix: TEST_MARK := matrix or not matrix

# ---- the rest ---------------------------------------------------------------------------------
compile_commands.json:
	@{ echo '['; \
	   printf '  {"directory": "$(CURDIR)", "file": "%s", "command": "%s"},\n' \
	       $(foreach s,$(SOURCES),'$(s)' '$(CC) $(CFLAGS_KERNEL) -c $(s)') | sed '$$s/,$$//'; \
	   echo ']'; } >$@
	$(say) GEN $@

# Only what is ours: O may be a directory with other things in it.
clean:
	$(Q)for d in $(O) $(BUILD) $(addprefix $(BUILD)/,$(ARCHES)) \
	    $(foreach k,ubsan asan,$(addprefix $(BUILD)/$(k)/,$(ARCHES)) $(BUILD)/$(k)) \
	    $(wildcard $(BUILD)/*-break-* $(BUILD)/*-raw); do \
	    rm -rf $$d/obj $$d/host $$d/flags* $$d/cmdline $$d/font.psf $$d/pass1.elf $$d/ksyms_*.c \
	        $$d/coverage $$d/mutation $$d/twinpage-* $$d/bochs* $$d/web $$d/npm $$d/serial.txt $$d/e9.txt $$d/memview.*; \
	    rmdir $$d 2>/dev/null || true; done; rmdir $(BUILD) 2>/dev/null || true

help:
	@echo 'make [ARCH=x86_64|i386] GOAL...          (ARCH is x86_64 unless given)'
	@echo
	@echo '  kernel    the kernel: $$(O)/twinpage-$$(ARCH).elf (the default goal)'
	@echo '  iso       a bootable image of it: BIOS, UEFI x64, UEFI ia32; CD or stick'
	@echo '  run       boots it in QEMU; serial line in this terminal, a window if there is a display'
	@echo '  bochs     a guided tour of paging bring-up in Bochs: stops by itself, explains, goes on'
	@echo '            STEP=1 is the bare debugger at the first instruction, STEP=symbol there instead;'
	@echo '            TOUR=0 boots to the shell without stopping'
	@echo '  bochs-tour  the same unattended, into docs/bringup-$$(ARCH).md with drawings'
	@echo '  debug     QEMU stopped at its first instruction, gdb attached, with the shell'\''s words'
	@echo '  memview   $$(O)/memview.html: the kernel'\''s memory from outside, searchable, checked'
	@echo '  test      everything that matters: unit tests in 64 and 32 bits, boots in QEMU and Bochs'
	@echo '  unit      the unit tests alone'
	@echo '  exhaustive  ten heap calls, four paging calls in every order, 2^20 states of frames: minutes'
	@echo '  fuzz      all fuzz targets, TIME=60 seconds each, in both widths; TARGET=heap is one of them'
	@echo '  coverage  lines, branches and MC/DC of the memory code, reached by the unit tests'
	@echo '  mutate    small mistakes in the memory code: do the unit tests see them? An hour; N=, FILES='
	@echo '  prove     proofs of parser, boot map, frames, pages and heap, with Frama-C, and that'
	@echo '            each planted mistake makes one fail (docs/proofs.md)'
	@echo '  matrix    test, on every machine, CPU, firmware and RAM size of the table'
	@echo '  soak      OPS=n random calls of every kind against a model, in 64 and 32 bits; SEED=n'
	@echo '  bench     instruction counts: the allocators beside others, on this machine; then the'
	@echo '            allocators and paging inside the kernel, on both targets'
	@echo '  bench-host the first half of it'
	@echo '  bench-so  heap and frame allocator as shared objects for trace replay (BITS=32|64)'
	@echo '  web       build/web: the i386 kernel in a browser, its page tables drawn live beside it'
	@echo '  screens   docs/screen-*.png, memview-*.png, web.png, from a real boot'
	@echo '  museum    docs/museum.md, from boots of every broken bring-up (BREAK=n run: one)'
	@echo '  bootmap   build/host/bootmap: the boot map code on the host, for any map you feed it'
	@echo '  ptdump    build/host/ptdump32, 64: the kernel'\''s ptdump on the host, over a dump of memory'
	@echo '  deps      installs what is missing (Debian, Ubuntu); with other goals, before them'
	@echo '  doctor    names what is missing, what for, and the package that has it'
	@echo '  compile_commands.json, clean, help'
	@echo
	@echo '  O=dir           build there instead of build/$$(ARCH)'
	@echo "  CMDLINE='...'   kernel command line: selftest, run=\"mmap; pmm\", quiet, bench"
	@echo '  PHYSMAP=kmap    x86_64 with the window instead of the direct map'
	@echo '  BREAK=n         a bring-up with mistake n of docs/museum.md; PREFLIGHT=0 lets it crash'
	@echo '  SANITIZE=ubsan  undefined behaviour traps; SANITIZE=asan: wrong accesses are told'
	@echo '  LLVM=1          clang and lld; CROSS_COMPILE=x86_64-elf- takes that gcc instead'
	@echo '  DEBUG=1         an owner on every frame, freed heap memory watched'
	@echo '  HEAP_HARDEN=n   what mistakes the heap catches, 0 to 3; 2 unless given (docs/performance.md)'
	@echo '  V=1 WERROR=1    show commands; warnings are errors'
	@echo '  MEM=128M CPU=max MACHINE=pc QEMU_ARGS=...   what run and debug start; GDB_ARGS for gdb'
endif
