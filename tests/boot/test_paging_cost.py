# SPDX-License-Identifier: MIT
"""test_paging_cost.py - the bounds on what paging costs, in instructions counted by QEMU."""
import pytest

import bench

# i386 has the kmap window and takes its arguments by the stack: unmap_page's floor is a little over 42.
BOUNDS = {
    "map_page": {"i386": 45, "x86_64": 45},
    "unmap_page": {"i386": 43, "x86_64": 40},
    "map_range of 64, a page": {"i386": 8, "x86_64": 8},
    "unmap_range of 64, a page": {"i386": 8, "x86_64": 8},
    "map_range of 512, a page": {"i386": 8, "x86_64": 8},
    "unmap_range of 512, a page": {"i386": 8, "x86_64": 8},
    "HHDM in 1 GiB pages, a GiB": {"x86_64": 25},
    "HHDM in 2 MiB pages, a GiB": {"x86_64": 2700},
    "HHDM in 2 MiB pages, MiB of tables": {"x86_64": 4.02},
}


def test_paging_costs_what_is_promised(arch):
    found = bench.figures(arch)
    if "HHDM in 1 GiB pages, a GiB" not in found and arch == "x86_64":
        pytest.skip("built with the kmap window")
    over = {name: found[name] for name, bound in BOUNDS.items()
            if arch in bound and found[name] > bound[arch]}
    assert not over, over
