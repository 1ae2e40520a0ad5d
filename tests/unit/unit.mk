# SPDX-License-Identifier: MIT
#
# unit.mk - what each unit test is made of: tests/unit/test_NAME.c and UNIT_NAME.
#
# Every test is built twice, for 64 and for 32 bits, with ASan and UBSan. UNIT_NAME_64 and
# UNIT_NAME_32 add what differs; UNIT_NAME_BITS := 32 builds it only so.

PAGING_TESTS := paging paging_large paging_share paging_hand paging_life \
    paging_corners paging_exact paging_views paging_digest paging_exhaustive
PMM_TESTS    := pmm pmm_tags pmm_maps pmm_model pmm_model_tags pmm_exhaustive pmm_exhaustive_tags \
    pmm_corners pmm_edges pmm_places pmm_hidden pmm_interleave

UNITS := cmdline units fmt terminal shell
UNITS += multiboot2 bootmap bootmap_corners boot_corners
UNITS += $(PMM_TESTS)
UNITS += $(PAGING_TESTS) preflight preflight_corners kmap hhdm mmio kernel_frames

# Some are there once more for another HEAP_HARDEN than 2, which their name then ends with.
HEAP_TESTS  := heap $(addprefix heap_,misuse attacks corners search tree edges ends empty held callers damage_lists damage_bins \
    damage_tree invariants window far)
UNIT_heap_window_BITS := 64
HEAP_LEVELS := $(addprefix heap_,$(addsuffix _0,corners search tree edges empty held damage_tree) \
    $(addsuffix _1,misuse attacks corners search tree damage_lists damage_bins damage_tree) \
    $(addsuffix _3,misuse attacks corners search tree edges empty held damage_lists damage_bins damage_tree))
UNITS += $(HEAP_TESTS) heap_exhaustive $(HEAP_LEVELS) kernel_heap
UNITS += oom oom_boot

UNIT_cmdline := src/cmdline.c
UNIT_units   := src/diag/units.c src/lib/fmt.c

PAGING := src/mem/paging.c src/mem/paging_change.c src/mem/paging_space.c \
    src/mem/paging_table.c src/mem/paging_walk.c src/mem/paging_check.c src/mem/mem_err.c \
    src/lib/string.c tests/unit/fake_machine.c
$(foreach t,$(PAGING_TESTS),$(eval UNIT_$(t) := $(PAGING) tests/unit/paging_walker.c))
define paging_format
UNIT_$(1)_64 := src/mem/paging64.c
UNIT_$(1)_32 := src/mem/paging32.c
endef
$(foreach t,$(PAGING_TESTS) preflight preflight_corners kernel_heap mmio,$(eval $(call paging_format,$(t))))

HEAP := src/mem/heap.c src/mem/heap_init.c src/mem/heap_resize.c src/mem/heap_space.c src/mem/heap_lists.c \
    src/mem/heap_tree.c src/mem/heap_tree_check.c src/mem/heap_guard.c src/mem/heap_walk.c src/mem/heap_check.c
$(foreach u,$(HEAP_TESTS),$(eval UNIT_$(u) := $(HEAP)))
$(foreach u,$(HEAP_LEVELS),$(eval UNIT_$(u) := src/mem/mem_err.c))
UNIT_heap_exhaustive := $(HEAP) tests/unit/heap_world.c
UNIT_multiboot2 := src/multiboot2.c src/lib/string.c
UNIT_bootmap := src/mem/bootmap.c src/mem/bootmap_owners.c src/mem/bootmap_check.c src/mem/range_kind.c \
    src/mem/owner.c src/mem/mem_err.c
UNIT_bootmap_corners := $(UNIT_bootmap)
UNIT_boot_corners := $(SRC_BOOTMAP) src/multiboot2.c src/mem/owner.c src/mem/mem_err.c src/lib/string.c
UNIT_pmm := $(SRC_PMM) src/mem/owner.c src/mem/mem_err.c src/lib/string.c
UNIT_pmm_tags := src/mem/owner.c src/mem/mem_err.c src/lib/string.c
UNIT_pmm_model           := $(UNIT_pmm)
UNIT_pmm_corners         := $(UNIT_pmm)
UNIT_pmm_edges           := $(UNIT_pmm)
UNIT_pmm_places          := $(UNIT_pmm)
UNIT_pmm_hidden          := $(UNIT_pmm)
UNIT_pmm_interleave      := $(UNIT_pmm)
UNIT_pmm_model_tags      := $(UNIT_pmm_tags)
UNIT_pmm_exhaustive      := $(UNIT_pmm)
UNIT_pmm_exhaustive_tags := $(UNIT_pmm_tags)
UNIT_pmm_maps := $(SRC_PMM) $(SRC_BOOTMAP) src/multiboot2.c tools/bootmap/input.c src/mem/owner.c \
    src/mem/mem_err.c src/lib/string.c
UNIT_fmt := src/lib/fmt.c
UNIT_terminal := src/dev/terminal.c src/diag/line_editor.c src/lib/fmt.c
UNIT_preflight         := $(PAGING) src/mem/preflight.c src/diag/report_preflight.c src/lib/fmt.c
UNIT_preflight_corners := $(PAGING) src/mem/preflight.c
UNIT_hhdm      := src/mem/hhdm.c
UNIT_hhdm_BITS := 64
KERNEL_FRAMES := $(SRC_PMM) $(SRC_BOOTMAP) src/multiboot2.c src/mem/frames.c src/mem/lock.c src/mem/owner.c
UNIT_kernel_frames := $(KERNEL_FRAMES) src/mem/mem_err.c src/lib/string.c
UNIT_kernel_heap   := $(KERNEL_FRAMES) $(SRC_HEAP) $(PAGING) src/mem/kmalloc.c
UNIT_mmio  := $(PAGING) src/mem/mmio.c
UNIT_kmap  := src/mem/kmap.c
UNIT_shell := src/diag/shell.c src/diag/line_editor.c src/diag/json.c src/lib/fmt.c src/lib/string.c

# The whole stack, from the boot map to kmalloc.
OOM := $(PAGING) $(SRC_BOOTMAP) $(SRC_PMM) $(SRC_HEAP) src/multiboot2.c src/mem/owner.c src/mem/frames.c \
    src/mem/lock.c src/mem/mmio.c src/mem/kmalloc.c src/mem/preflight.c tests/unit/oom_stack.c \
    tests/unit/oom_ledger.c
define oom_test
UNIT_$(1)    := $(OOM)
UNIT_$(1)_64 := src/mem/paging64.c src/physmap_hhdm.c
UNIT_$(1)_32 := src/mem/paging32.c src/physmap_kmap.c
endef
$(foreach t,oom oom_boot,$(eval $(call oom_test,$(t))))
UNIT_oom += tests/unit/oom_calls.c

CMOCKA_64 :=
CMOCKA_32 := tests/unit/cmocka32.c
CMOCKA_LIBS_64 := -lcmocka
CMOCKA_LIBS_32 :=

# $(call unit_sources,NAME,BITS)
unit_sources = $(sort tests/unit/test_$(1).c $(UNIT_$(1)) $(UNIT_$(1)_$(2)) $(CMOCKA_$(2)))

define unit_rule
$(HOST)/unit/$(1).$(2): $(call host_objects,$(2),$(call unit_sources,$(1),$(2)))
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) -m$(2) $$(HOST_SANITIZE) -o $$@ $$^ $(CMOCKA_LIBS_$(2))
UNIT_BINARIES += $(HOST)/unit/$(1).$(2)
-include $(patsubst %.o,%.d,$(call host_objects,$(2),$(call unit_sources,$(1),$(2))))
endef
$(foreach u,$(UNITS),$(foreach b,$(or $(UNIT_$(u)_BITS),64 32),$(eval $(call unit_rule,$(u),$(b)))))

unit: $(UNIT_BINARIES)
	@$(PYTHON) tests/run.py --unit $(UNIT_BINARIES)
