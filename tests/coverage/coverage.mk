# SPDX-License-Identifier: MIT
#
# coverage.mk - the unit tests of the memory code once more, instrumented: lines, branches, MC/DC.
#
# Only clang 18 and later count MC/DC. Every test program that holds a measured source is built
# without sanitizers in both widths; report.py runs them and judges.

COVER_CC ?= clang-19
COVER    := $(BUILD)/coverage

# What is measured: every one of these has to be in a test program of that width.
COVER_64 := src/multiboot2.c $(filter-out src/mem/paging32.c,$(wildcard src/mem/*.c))
COVER_32 := src/multiboot2.c $(filter-out src/mem/paging64.c src/mem/hhdm.c,$(wildcard src/mem/*.c))

COVER_UNITS := $(foreach u,$(UNITS),$(if $(filter src/mem/% src/multiboot2.c,$(UNIT_$(u))),$(u)))

COVER_CFLAGS = -std=gnu2x -O1 -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc \
    $(filter-out -Werror,$(WARNINGS)) -Werror $(HOST_TARGET) -Itests/unit

$(COVER)/flags: FORCE
	$(call need,$(COVER_CC) llvm-cov-19 /usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.profile-i386.a link\ -m32 include\ cmocka.h)
	$(call keep,$@,$(COVER_CC) $(COVER_CFLAGS))

cover_objects = $(patsubst %.c,$(COVER)/obj$(1)/%.o,$(2))

define cover_object_rule
$(COVER)/obj$(1)/%.o: BITS := $(1)
$(COVER)/obj$(1)/%.o: %.c $(COVER)/flags
	$$(say) COVERCC '$$< ($(1))'
	@mkdir -p $$(@D)
	$$(Q)$$(COVER_CC) $$(COVER_CFLAGS) -MMD -MP -c $$< -o $$@
endef
$(foreach b,64 32,$(eval $(call cover_object_rule,$(b))))

define cover_rule
$(COVER)/unit/$(1).$(2): $(call cover_objects,$(2),$(call unit_sources,$(1),$(2)))
	@mkdir -p $$(@D)
	$$(Q)$$(COVER_CC) -m$(2) -fprofile-instr-generate -o $$@ $$^ $(CMOCKA_LIBS_$(2))
COVER_BINARIES += $(COVER)/unit/$(1).$(2)
-include $(patsubst %.o,%.d,$(call cover_objects,$(2),$(call unit_sources,$(1),$(2))))
endef
$(foreach u,$(COVER_UNITS),$(foreach b,$(or $(UNIT_$(u)_BITS),64 32),$(eval $(call cover_rule,$(u),$(b)))))

.PHONY: coverage
coverage: $(COVER_BINARIES)
	@$(PYTHON) -B tests/coverage/report.py --out $(COVER) --exceptions tests/coverage/exceptions.toml $(if $(ALL),--all) \
	    --sources-64 $(COVER_64) --sources-32 $(COVER_32) --binaries $(COVER_BINARIES)
