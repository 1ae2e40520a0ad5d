# SPDX-License-Identifier: MIT
#
# web.mk - the kernel in the browser: build/web is a folder for any file server.

WEB := $(BUILD)/web
NPM := $(BUILD)/npm

# Exactly what the lock file says, by version and hash.
$(NPM)/done: web/package.json web/package-lock.json web/.npmrc
	$(call need,node npm)
	$(say) NPM $(NPM)
	@mkdir -p $(NPM)
	@cp $^ $(NPM)
	$(Q)cd $(NPM) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

web-page: $(NPM)/done
	+@$(MAKE) ARCH=i386 O=$(BUILD)/i386 CMDLINE= iso
	$(say) WEB $(WEB)
	$(Q)tools/mkweb.sh $(BUILD)/i386/twinpage-i386.iso $(NPM)/node_modules/v86 $(WEB)

web: web-page
	@echo "  $(WEB) is ready: cd $(WEB) && python3 -m http.server, then open http://localhost:8000"
