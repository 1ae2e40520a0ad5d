/* SPDX-License-Identifier: MIT */
/*
 * range_kind.c - what the firmware's numbers for kinds of memory mean.
 *
 * A number that nobody has defined is RANGE_UNKNOWN, which is never handed out.
 */
#include <mem/bootmap.h>

const char *range_kind_name(enum range_kind kind)
{
    static const char *const names[RANGE_KIND_COUNT] = {"usable",   "acpi",    "pmem", "nvs",
                                                        "reserved", "unknown", "bad"};
    return (unsigned)kind < RANGE_KIND_COUNT ? names[kind] : "unknown";
}

enum range_kind range_kind_of_e820(uint32_t type)
{
    switch (type) { /* ACPI 6.4 table 15.4; 12 and 20 as GRUB and Linux use them */
    case 1:
        return RANGE_USABLE;
    case 2:
        return RANGE_RESERVED;
    case 3:
        return RANGE_ACPI;
    case 4:
        return RANGE_NVS;
    case 5:
        return RANGE_BAD;
    case 7:
    case 12:
        return RANGE_PMEM;
    case 20:
        return RANGE_RESERVED;
    default:
        return RANGE_UNKNOWN;
    }
}

enum range_kind range_kind_of_efi(uint32_t type)
{
    switch (type) { /* UEFI 2.10 table 7.6; boot services are over */
    case 1:
    case 2:
    case 3:
    case 4:
    case 7:
        return RANGE_USABLE;
    case 0:
    case 5:
    case 6:
    case 11:
    case 12:
    case 13:
        return RANGE_RESERVED;
    case 8:
        return RANGE_BAD;
    case 9:
        return RANGE_ACPI;
    case 10:
        return RANGE_NVS;
    case 14:
        return RANGE_PMEM;
    default:
        return RANGE_UNKNOWN;
    }
}
