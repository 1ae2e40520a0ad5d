# SPDX-License-Identifier: MIT
#
# bench.mk - what calls cost: the allocators as shared objects for replaying traces, and the tables
# that show ours beside others. Optimised, with checks on; x86_64 Linux.

BITS ?= 64
BENCH_CFLAGS = -std=gnu2x -O2 -g -fPIC -fvisibility=hidden -shared -Wl,-z,defs $(WARNINGS) $(HOST_TARGET) -Ibench \
    $(addprefix -DHEAP_HARDEN=,$(HEAP_HARDEN)) $(CFLAGS)

define bench_rule
$(HOST)/$(1)_bench$(3).so: FORCE
	$$(say) HOSTCC $$@
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(BENCH_CFLAGS) $(4) -o $$@ bench/$(1)_bench.c $(2) src/mem/mem_err.c
endef
$(eval $(call bench_rule,heap,$(SRC_HEAP)))
PMM_BENCH := $(SRC_PMM) $(SRC_BOOTMAP) src/multiboot2.c src/mem/owner.c src/lib/string.c
$(eval $(call bench_rule,pmm,$(PMM_BENCH)))
$(eval $(call bench_rule,pmm,$(PMM_BENCH),_cached,-DCACHED))

bench-so: $(HOST)/heap_bench.so $(HOST)/pmm_bench.so $(HOST)/pmm_bench_cached.so

TABLE_CFLAGS = -std=gnu2x -O2 -g -m64 $(WARNINGS) -Iinclude -Isrc -Isrc/arch/x86_64 $(CFLAGS)
PMM_TABLE    := bench/pmm_table.c bench/pmm_measure.c bench/step.c bench/pmm_ours.c \
    bench/yardsticks/linear_bitmap.c bench/yardsticks/free_list.c bench/yardsticks/buddy.c \
    $(PMM_BENCH) src/mem/mem_err.c
HEAP_REPLAY  := bench/heap_replay.c bench/heap_trace.c bench/heap_trace_file.c bench/heap_library.c \
    bench/step.c
TABLES       := $(HOST)/pmm_table $(HOST)/heap_replay $(HOST)/heap_bench.so

table_objects = $(patsubst %.c,$(HOST)/table/%.o,$(1))

$(HOST)/flags_table: FORCE
	$(call need,$(HOSTCC) include\ stdio.h)
	$(call keep,$@,$(HOSTCC) $(TABLE_CFLAGS))

$(HOST)/table/%.o: %.c $(HOST)/flags_table
	$(say) HOSTCC '$< (table)'
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(TABLE_CFLAGS) -MMD -MP -c $< -o $@

$(HOST)/pmm_table: $(call table_objects,$(PMM_TABLE))
$(HOST)/heap_replay: $(call table_objects,$(HEAP_REPLAY))
$(HOST)/pmm_table $(HOST)/heap_replay:
	$(say) HOSTLD $@
	$(Q)$(HOSTCC) -m64 -o $@ $^ -ldl
-include $(patsubst %.o,%.d,$(call table_objects,$(PMM_TABLE) $(HEAP_REPLAY)))

define show_tables
	@$(HOST)/pmm_table
	@echo
	@$(PYTHON) bench/heap_table.py $(HOST)/heap_replay $(HOST)/heap_bench.so
endef

bench-host: $(TABLES)
	$(show_tables)

# The same, then instruction counts inside the kernel on both targets.
bench: $(TABLES) images
	$(show_tables)
	@echo
	@TWINPAGE_BUILD=$(abspath $(BUILD)) $(PYTHON) tests/boot/bench.py
