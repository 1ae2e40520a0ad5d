# SPDX-License-Identifier: MIT
#
# exhaustive.mk - the walks through every sequence of calls, in their long forms: optimised, without
# sanitizers. The short forms are among the unit tests.

EXHAUSTIVES := heap_exhaustive paging_exhaustive pmm_exhaustive

define fast_rule
$(HOST)/fast$(1)/%.o: %.c $(HOST)/flags
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) -O2 -MMD -MP -c $$< -o $$@
$(HOST)/fast$(1)/%.o: BITS := $(1)
endef
$(foreach b,64 32,$(eval $(call fast_rule,$(b))))

define exhaustive_rule
$(HOST)/exhaustive/$(1).$(2): $(patsubst %.c,$(HOST)/fast$(2)/%.o,$(call unit_sources,$(1),$(2)))
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) -m$(2) -o $$@ $$^ $(CMOCKA_LIBS_$(2))
exhaustive-$(1).$(2): $(HOST)/exhaustive/$(1).$(2)
	$$(say) RUN '$$<'
	$$(Q)$$< long
EXHAUSTIVE += exhaustive-$(1).$(2)
endef
$(foreach u,$(EXHAUSTIVES),$(foreach b,64 32,$(eval $(call exhaustive_rule,$(u),$(b)))))

.PHONY: exhaustive $(EXHAUSTIVE)
exhaustive: $(EXHAUSTIVE)
