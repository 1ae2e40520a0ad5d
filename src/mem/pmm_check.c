/* SPDX-License-Identifier: MIT */
/* pmm_check.c - the invariants of pmm.c, as code. */
#include <mem/pmm.h>

bool pmm_holds(const struct pmm *pmm, const char **broken)
{
    uint64_t owned = 0;
    for (unsigned o = 0; o < OWNER_COUNT; o++)
        owned += pmm->owners[o];
    *broken = "P4: the owners add up to the total, and free is what nobody owns";
    if (owned != pmm->total || pmm->owners[OWNER_NONE] != pmm->free)
        return false;

    uint64_t set = 0;
    for (vword_t w = 0; w < pmm->words[0]; w++) {
        for (vword_t word = pmm->level[0][w]; word; word &= word - 1)
            set++;
    }
    *broken = "P1: free is the number of set bits";
    if (set != pmm->free)
        return false;

    *broken = "P2: a summary bit is set exactly when its word is not zero";
    for (unsigned l = 1; l < pmm->levels; l++) {
        for (vword_t w = 0; w < pmm->words[l - 1]; w++) {
            unsigned bits = 8 * sizeof(vword_t);
            if ((pmm->level[l][w / bits] >> w % bits & 1) != (pmm->level[l - 1][w] != 0))
                return false;
        }
    }
    return true;
}
