# SPDX-License-Identifier: MIT
#
# fuzz.mk - what each fuzz target is made of: tests/fuzz/fuzz_NAME.c and FUZZ_NAME.
#
# Every target is built twice, for 64 and for 32 bits, by clang, with libFuzzer, ASan and UBSan.
# FUZZ_NAME_64 and FUZZ_NAME_32 add what differs. The C library's string functions stand in for ours,
# because ASan looks at the bounds of every call.

FUZZES := multiboot2 boot bootmap pmm paging heap cmdline shell editor fmt

FUZZ_multiboot2 := src/multiboot2.c
FUZZ_boot       := src/multiboot2.c $(SRC_BOOTMAP) $(SRC_PMM) src/mem/owner.c src/mem/mem_err.c
FUZZ_bootmap    := $(UNIT_bootmap)
FUZZ_pmm        := $(filter-out src/lib/string.c,$(UNIT_pmm))
FUZZ_paging     := tests/fuzz/mappings.c tests/fuzz/paging_choices.c tests/fuzz/tables.c \
    $(filter-out src/lib/string.c,$(PAGING))
FUZZ_paging_64  := src/mem/paging64.c
FUZZ_paging_32  := src/mem/paging32.c
FUZZ_heap       := $(SRC_HEAP)
FUZZ_cmdline    := src/cmdline.c
FUZZ_shell      := src/diag/shell.c src/diag/line_editor.c src/diag/json.c src/lib/fmt.c
FUZZ_editor     := src/diag/line_editor.c src/lib/fmt.c
FUZZ_fmt        := src/lib/fmt.c

FUZZCC       ?= clang
FUZZ_CFLAGS   = -std=gnu2x -O2 -g -fno-omit-frame-pointer -fno-pie $(WARNINGS) $(HOST_TARGET) -Itests/unit
FUZZ_SANITIZE := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

$(HOST)/flags_fuzz: FORCE
	$(call need,$(FUZZCC) fuzz\ -m64 fuzz\ -m32)
	$(call keep,$@,$(FUZZCC) $(FUZZ_CFLAGS) $(FUZZ_SANITIZE) no trace-cmp in src/mem and tests)

# $(call fuzz_objects,NAME,BITS)
fuzz_objects = $(patsubst %.c,$(HOST)/fuzz$(2)/%.o,tests/fuzz/fuzz_$(1).c $(FUZZ_$(1)) $(FUZZ_$(1)_$(2)))

# libFuzzer looks at what is compared where the input is text. Where it is a list of choices that
# tells it nothing, and would be most of the time: so neither in src/mem nor in the oracles.
define fuzz_rule
$(HOST)/fuzz$(1)/%.o: BITS := $(1)
$(HOST)/fuzz$(1)/src/mem/%.o $(HOST)/fuzz$(1)/tests/%.o: FUZZ_BLIND := -fno-sanitize-coverage=trace-cmp
$(HOST)/fuzz$(1)/%.o: %.c $(HOST)/flags_fuzz
	$$(say) FUZZCC '$$< ($(1))'
	@mkdir -p $$(@D)
	$$(Q)$$(FUZZCC) $$(FUZZ_CFLAGS) $$(FUZZ_SANITIZE) $$(FUZZ_BLIND) -MMD -MP -c $$< -o $$@
endef
$(foreach b,64 32,$(eval $(call fuzz_rule,$(b))))

# Not position independent: what the heap seals with its address is the same in every run.
define fuzz_target
$(HOST)/fuzz/$(1).$(2): $(call fuzz_objects,$(1),$(2))
	@mkdir -p $$(@D)
	$$(Q)$$(FUZZCC) -m$(2) -no-pie $$(FUZZ_SANITIZE) -o $$@ $$^
FUZZ_BINARIES += $(HOST)/fuzz/$(1).$(2)
-include $(patsubst %.o,%.d,$(call fuzz_objects,$(1),$(2)))
endef
$(foreach f,$(FUZZES),$(foreach b,64 32,$(eval $(call fuzz_target,$(f),$(b)))))

.PHONY: fuzz fuzz-binaries
fuzz-binaries: $(FUZZ_BINARIES)

# TARGET=heap is one of them, TIME the seconds for each and width. What is found new is kept in
# build/host/corpus and comes first the next time.
fuzz: $(if $(TARGET),$(HOST)/fuzz/$(TARGET).64 $(HOST)/fuzz/$(TARGET).32,$(FUZZ_BINARIES))
	@$(PYTHON) tests/fuzz/run.py --time $(or $(TIME),60) --corpus $(HOST)/corpus $^
