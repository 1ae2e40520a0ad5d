# SPDX-License-Identifier: MIT
#
# sources.mk - what each unit test is made of: tests/unit/test_NAME.c and UNIT_NAME.
#
# Every test is built twice, for 64 and for 32 bits, with ASan and UBSan. UNIT_NAME_64 and
# UNIT_NAME_32 add what differs; UNIT_NAME_BITS := 32 builds it only so.

UNITS := cmdline units paging

UNIT_cmdline := src/cmdline.c
UNIT_units   := src/diag/units.c src/lib/fmt.c

UNIT_paging := src/mem/paging.c src/mem/paging_change.c src/mem/paging_space.c \
    src/mem/paging_table.c src/mem/paging_walk.c src/mem/paging_check.c src/mem/mem_err.c \
    src/lib/string.c tests/unit/fake_machine.c
UNIT_paging_64 := src/mem/paging64.c
UNIT_paging_32 := src/mem/paging32.c
