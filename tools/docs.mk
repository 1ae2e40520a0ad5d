# SPDX-License-Identifier: MIT
#
# docs.mk - documents and pictures that are made from runs of the kernel. When its symbols or lines move:
# make museum, make screens, and make ARCH=... bochs-tour for both targets.

# The tour of bring-up, as it is for everybody: with the default window.
bochs-tour: $(ISO)
ifneq ($(PHYSMAP),$(firstword $(PHYSMAPS_$(ARCH))))
	@echo "error: the document shows PHYSMAP=$(firstword $(PHYSMAPS_$(ARCH)))" >&2; exit 1
endif
	$(call need,$(TOUR_PIECES))
	@NM='$(NM)' $(PYTHON) -B tools/tour/tour.py --document docs $(TOUR_WORDS)

# Screenshots for the documentation, from a real boot.
screens: images web-page
	@TWINPAGE_BUILD=$(abspath $(BUILD)) $(PYTHON) tests/boot/screens.py docs
	@TWINPAGE_BUILD=$(abspath $(BUILD)) $(PYTHON) tests/web/picture.py docs/web.png

# docs/museum.md: what comes of every broken bring-up, from real runs.
museum:
	$(call need,$(QEMU_$(ARCH)) bochs)
	@$(PYTHON) tests/boot/museum.py
