# SPDX-License-Identifier: MIT
#
# tools.mk - programs of this machine that are made of the kernel's own sources: how those are compiled,
# for 64 and for 32 bits, with ASan and UBSan; the boot map; the reader of page tables. And the page
# that shows a kernel's memory.

HOSTCC       ?= gcc
HOST_ARCH_32 := i386
HOST_ARCH_64 := x86_64
HOST_TARGET   = -m$(BITS) -Iinclude -Isrc -Isrc/arch/$(HOST_ARCH_$(BITS)) $(DEFINES_$(HOST_ARCH_$(BITS)))
HOST_CFLAGS   = -std=gnu2x -O1 -g -fno-omit-frame-pointer $(WARNINGS) $(HOST_TARGET) -Itests/unit -Itests/soak
HOST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

$(HOST)/flags: FORCE
	$(call need,$(HOSTCC) link\ -m32 include\ cmocka.h)
	$(call keep,$@,$(HOSTCC) $(HOST_CFLAGS) $(HOST_SANITIZE))

# $(call host_objects,BITS,SOURCES)
host_objects = $(patsubst %.c,$(HOST)/obj$(1)/%.o,$(2))

define host_rule
$(HOST)/obj$(1)/%.o: BITS := $(1)
$(HOST)/obj$(1)/%.o: %.c $(HOST)/flags
	$$(say) HOSTCC '$$< ($(1))'
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) $$(HOST_SANITIZE) -MMD -MP -c $$< -o $$@
endef
$(foreach b,64 32,$(eval $(call host_rule,$(b))))

# What becomes of a memory map.
BOOTMAP_TOOL := tools/bootmap/main.c tools/bootmap/input.c src/multiboot2.c $(SRC_BOOTMAP) src/mem/owner.c \
    src/mem/mem_err.c src/diag/report_mmap.c src/diag/units.c src/diag/json.c src/lib/fmt.c

$(HOST)/bootmap: $(call host_objects,64,$(BOOTMAP_TOOL))
	$(say) HOSTLD $@
	$(Q)$(HOSTCC) -m64 $(HOST_SANITIZE) -o $@ $^
-include $(patsubst %.o,%.d,$(call host_objects,64,$(BOOTMAP_TOOL)))

bootmap: $(HOST)/bootmap

# What page tables say: one for each paging mode.
PTDUMP_TOOL := tools/ptdump/main.c src/diag/report_ptdump.c src/diag/units.c src/diag/json.c src/lib/fmt.c \
    src/mem/paging_walk.c src/mem/paging_table.c

define ptdump_rule
$(HOST)/ptdump$(1): $(call host_objects,$(1),$(PTDUMP_TOOL) src/mem/paging$(1).c)
	$$(say) HOSTLD $$@
	$$(Q)$$(HOSTCC) -m$(1) $$(HOST_SANITIZE) -o $$@ $$^
-include $(patsubst %.o,%.d,$(call host_objects,$(1),$(PTDUMP_TOOL) src/mem/paging$(1).c))
endef
$(foreach b,64 32,$(eval $(call ptdump_rule,$(b))))
PTDUMPS := $(HOST)/ptdump64 $(HOST)/ptdump32

ptdump: $(PTDUMPS)

# The kernel's memory from outside, as a page for a browser. TYPE='heap_test 1000' is typed first.
memview: $(ISO)
	$(call need,$(QEMU_$(ARCH)) import\ elftools)
	@$(PYTHON) tools/memview/memview.py --boot $(ISO) --elf $(KERNEL) --qemu $(QEMU_$(ARCH)) \
	    --memory $(or $(MEM),64M) --cpu $(or $(CPU),max) $(if $(TYPE),--type '$(TYPE)') \
	    -o $(O)/memview.html --json $(O)/memview.json
	$(say) PAGE $(O)/memview.html
