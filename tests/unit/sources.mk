# SPDX-License-Identifier: MIT
#
# sources.mk - what each unit test is made of: tests/unit/test_NAME.c and UNIT_NAME.
#
# Every test is built twice, for 64 and for 32 bits, with ASan and UBSan. UNIT_NAME_64 and
# UNIT_NAME_32 add what differs; UNIT_NAME_BITS := 32 builds it only so.

UNITS := cmdline units

UNIT_cmdline := src/cmdline.c
UNIT_units   := src/diag/units.c src/lib/fmt.c
