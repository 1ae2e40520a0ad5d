#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""picture.py FILE - the page after a few commands, for the documentation."""
import sys
import time

import browser

with browser.Page(size="1580,1440") as page:
    for command in ("map 0x40000000 3", "protect 0x40001000 r", "grab 300K", "walk 0x40001000"):
        page.run(command)
        time.sleep(1)
    page.driver.execute_script("twinpage.follow(0x40001000)")
    time.sleep(0.2)
    page.driver.save_screenshot(sys.argv[1])
