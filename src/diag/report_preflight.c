/* SPDX-License-Identifier: MIT */
/*
 * report_preflight.c - a refusal in words: what is wrong, and which bit of which entry says so.
 *
 * Every sentence about a page has the same three parts, so that one can be told from another at a
 * glance: the page, what it lacks, the entry to blame.
 */
#include "diag/report_preflight.h"

#include "lib/fmt.h"

enum { DIGITS = 2 * sizeof(vword_t), TAIL_BYTES = 160 };

/* What the page is or is not; NULL: the sentence is not about one page. */
static const char *const lacks[PREFLIGHT_REASONS] = {
    [PREFLIGHT_NOT_CANONICAL] = "is not at a canonical address",
    [PREFLIGHT_FOREIGN_TABLE] = "hangs from a table that is not ours",
    [PREFLIGHT_PS_WITHOUT_PSE] = "is not mapped as it seems",
    [PREFLIGHT_NX_WITHOUT_NXE] = "cannot be reached",
    [PREFLIGHT_RESERVED_BIT] = "cannot be reached",
    [PREFLIGHT_NOT_MAPPED] = "is not mapped",
    [PREFLIGHT_ONE_ENTRY_OFF] = "is not mapped",
    [PREFLIGHT_WRONG_FRAME] = "leads to the wrong frame",
    [PREFLIGHT_NOT_WRITABLE] = "is not writable",
    [PREFLIGHT_NOT_EXECUTABLE] = "is not executable",
    [PREFLIGHT_NOT_USER] = "is closed to user code",
    [PREFLIGHT_WRITABLE] = "is writable, and must not be",
    [PREFLIGHT_EXECUTABLE] = "is executable, and must not be",
    [PREFLIGHT_USER] = "is a user page, which SMEP and SMAP refuse to the kernel",
    [PREFLIGHT_MAPPED] = "is mapped, and must not be",
    [PREFLIGHT_STALE] = "would be stale",
    [PREFLIGHT_NO_TOP_ENTRY] = "has no top-level entry to share",
};

static const char *bit_name(unsigned bit)
{
    switch (bit) {
    case 0:
        return "P";
    case 1:
        return "W";
    case 2:
        return "U";
    case 7:
        return "PS";
    default:
        return "NX";
    }
}

/* True when the bit to blame is set; else it is clear. */
static bool bit_is_set(const struct preflight_refusal *r)
{
    return r->walk.step[r->step].entry >> r->bit & 1;
}

/* What the entry to blame holds that is wrong. */
static void blame(const struct preflight_refusal *r, char *text, size_t bytes)
{
    unsigned long long inside = PAGE_SIZE - 1;
    unsigned long long pa = r->walk.pa.v & ~inside, meant = r->meant.v & ~inside;
    switch (r->reason) {
    case PREFLIGHT_PS_WITHOUT_PSE:
        fmt(text, bytes, "has PS (bit 7) set while CR4.PSE is clear: the CPU walks on through it");
        break;
    case PREFLIGHT_NX_WITHOUT_NXE:
        fmt(text, bytes, "has NX (bit 63) set while EFER.NXE is clear, which makes it reserved");
        break;
    case PREFLIGHT_RESERVED_BIT:
        fmt(text, bytes, "has reserved bit %u set", r->bit);
        break;
    case PREFLIGHT_ONE_ENTRY_OFF:
        fmt(text, bytes, "has P (bit 0) clear, and entry %u holds what belongs here", r->beside);
        break;
    case PREFLIGHT_WRONG_FRAME:
        fmt(text, bytes, "leads to 0x%llx, meant is 0x%llx", pa, meant);
        break;
    case PREFLIGHT_STALE:
        fmt(text, bytes, "is new, but the TLB keeps the global page at 0x%llx over a CR3 load",
            (unsigned long long)r->stale.v & ~inside);
        break;
    default:
        fmt(text, bytes, "has %s (bit %u) %s", bit_name(r->bit), r->bit,
            bit_is_set(r) ? "set" : "clear");
    }
}

static void page_text(const struct preflight_refusal *r, char *text, size_t bytes)
{
    const struct walk_step *s = &r->walk.step[r->step];
    void *page = (void *)(r->walk.va.v & ~(vword_t)(PAGE_SIZE - 1));
    char tail[TAIL_BYTES];
    if (r->reason == PREFLIGHT_NOT_CANONICAL) {
        fmt(text, bytes, "%s page %p %s", r->what, page, lacks[r->reason]);
        return;
    }
    if (r->reason == PREFLIGHT_FOREIGN_TABLE) {
        fmt(text, bytes, "%s page %p %s: its level %u table at 0x%llx lies in the %s", r->what,
            page, lacks[r->reason], s->level,
            (unsigned long long)(s->entry_pa.v & ~(uint64_t)(PAGE_SIZE - 1)), r->tenant);
        return;
    }
    blame(r, tail, sizeof tail);
    fmt(text, bytes, "%s page %p %s: level %u entry %u (0x%0*llx) %s", r->what, page,
        lacks[r->reason], s->level, r->index, (int)DIGITS, (unsigned long long)s->entry, tail);
}

void preflight_text(const struct preflight_refusal *r, char *text, size_t bytes)
{
    unsigned long long root = r->meant.v;
    switch (r->reason) {
    case PREFLIGHT_FINE:
        fmt(text, bytes, "nothing is wrong");
        break;
    case PREFLIGHT_ROOT_MISALIGNED:
        fmt(text, bytes,
            "%s at 0x%llx is not aligned to a page: CR3 drops bits 0 to 11, so the CPU walks "
            "0x%llx",
            r->what, root, root & ~(unsigned long long)(PAGE_SIZE - 1));
        break;
    case PREFLIGHT_ROOT_TOO_HIGH:
        fmt(text, bytes, "%s at 0x%llx lies beyond this CPU's physical addresses", r->what, root);
        break;
    case PREFLIGHT_PAE_CLEAR:
        fmt(text, bytes, "CR4.PAE (bit 5) is clear: long mode cannot walk 8-byte entries without");
        break;
    case PREFLIGHT_PAE_SET:
        fmt(text, bytes, "CR4.PAE (bit 5) is set: the CPU takes these 4-byte entries for 8-byte");
        break;
    case PREFLIGHT_WP_CLEAR:
        fmt(text, bytes, "CR0.WP (bit 16) is clear: the kernel could write to read-only pages");
        break;
    default:
        page_text(r, text, bytes);
    }
}
