# SPDX-License-Identifier: MIT
#
# soak.mk - the soak: random calls of every kind against a model, for as long as one likes.
#
# OPS calls in 64 bits and in 32, from SEED on. soak.* is for speed, soak_checked.* has sanitizers.
OPS  ?= 1000000
SEED ?= 1
SOAK := $(wildcard tests/soak/*.c) $(SRC_PMM) src/mem/bootmap.c src/mem/bootmap_owners.c src/mem/bootmap_check.c src/mem/range_kind.c $(SRC_HEAP) src/mem/kmalloc.c \
    src/mem/frames.c src/mem/lock.c src/mem/owner.c src/mem/mem_err.c $(filter-out $(PAGING_$(ARCH)),$(SRC_PAGING))
SOAK_HEADERS := $(wildcard tests/soak/*.h include/*.h include/mem/*.h src/mem/*.h)
WRAPPED := -Wl,--wrap=frames_take -Wl,--wrap=frames_give

define soak_rule
$(HOST)/soak.$(1): BITS := $(1)
$(HOST)/soak.$(1): $(SOAK) $(PAGING_$(HOST_ARCH_$(1))) $(SOAK_HEADERS) Makefile
	$$(say) HOSTCC $$@
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(subst -O1,-O2,$$(HOST_CFLAGS)) $(WRAPPED) -o $$@ $$(filter %.c,$$^)

$(HOST)/soak_checked.$(1): $(call host_objects,$(1),$(SOAK) $(PAGING_$(HOST_ARCH_$(1))))
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) -m$(1) $$(HOST_SANITIZE) $(WRAPPED) -o $$@ $$^
-include $(patsubst %.o,%.d,$(call host_objects,$(1),$(SOAK)))
endef
$(foreach b,64 32,$(eval $(call soak_rule,$(b))))

SOAK_CHECKED := $(HOST)/soak_checked.64 $(HOST)/soak_checked.32

.PHONY: soak
soak: $(HOST)/soak.64 $(HOST)/soak.32
	@$(HOST)/soak.64 -n $(OPS) -s $(SEED)
	@$(HOST)/soak.32 -n $(OPS) -s $(SEED)
