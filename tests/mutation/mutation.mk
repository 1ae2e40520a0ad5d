# SPDX-License-Identifier: MIT
#
# mutation.mk - `make mutate`: does any unit test notice a small mistake in the memory code?
#
# N= mutants (1500 unless given), FILES='src/mem/pmm.c ...' only of these; RESUME=1
# goes on where a run was broken off, or asks again for those that survived. An hour or so.

comma := ,
empty :=
space := $(empty) $(empty)

# Ten seconds each: too slow to be asked for every mutant that survives the others.
MUTATE_SLOW := pmm_maps.64 pmm_maps.32 pmm_interleave.32

# NAME:BITS:SOURCE,SOURCE... of every other unit test that holds memory code.
MUTATE_PROGRAMS := $(foreach u,$(COVER_UNITS),$(foreach b,$(or $(UNIT_$(u)_BITS),64 32),$(if $(filter \
    $(u).$(b),$(MUTATE_SLOW)),,$(u):$(b):$(subst $(space),$(comma),$(call unit_sources,$(u),$(b))))))

.PHONY: mutate
mutate:
	$(call need,gcc link\ -m32 include\ cmocka.h)
	@$(PYTHON) -B tests/mutation/mutate.py --programs $(MUTATE_PROGRAMS) $(if $(N),--number $(N)) \
	    $(if $(FILES),--files $(FILES)) $(if $(RESUME),--resume)
