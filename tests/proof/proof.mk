# SPDX-License-Identifier: MIT
#
# proof.mk - what tests/proof states, proved with Frama-C; docs/proofs.md.
#
# First the axioms; then the proofs; then every planted mistake has to make one fail. UNIT=paging: only
# that unit. SMOKE=1: a check for contradictory contracts, too, as long again as the proofs.

.PHONY: prove
prove:
	$(call need,frama-c why3 z3 cvc4)
	@$(PYTHON) tests/proof/bits.py
	@$(PYTHON) tests/proof/prove.py --cache $(BUILD)/proof $(UNIT)
	$(if $(SMOKE),@$(PYTHON) tests/proof/prove.py --cache $(BUILD)/proof --smoke $(UNIT))
	@$(PYTHON) tests/proof/prove.py --cache $(BUILD)/proof --plant $(UNIT)
