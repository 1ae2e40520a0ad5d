/* SPDX-License-Identifier: MIT */
/*
 * report_cpu.c - three columns that must fit together: what CPUID offers, what this build uses of
 * it, and which bits really are set in the control registers.
 */
#include "diag/report.h"

#include "arch/control.h"
#include "diag/console.h"
#include "diag/json.h"
#include "kernel.h"

struct row {
    const char *name;
    bool offered, used;
};

enum { ROWS = 10 };

static void gather(struct row out[ROWS])
{
    const struct cpuid_facts *c = &kernel.cpu;
    const struct paging_features *f = &kernel.features;
    const struct row rows[ROWS] = {
        {"wp", true, f->wp}, /* CPUID does not tell: every CPU since the 486 */
        {"pse", c->pse, f->pse},    {"pge", c->pge, f->pge},
        {"pat", c->pat, f->pat},    {"nx", c->nx, f->nx},
        {"smep", c->smep, f->smep}, {"smap", c->smap, f->smap},
        {"umip", c->umip, f->umip}, {"gib", c->gib_pages, f->gib_pages},
        {"pcid", c->pcid, f->pcid},
    };
    for (unsigned i = 0; i < ROWS; i++)
        out[i] = rows[i];
}

/* An MSR is read only where CPUID says that it is there. */
static uint64_t pat_value(void)
{
    return kernel.cpu.pat ? read_msr(MSR_PAT) : 0;
}

static uint64_t efer_value(void)
{
    return kernel.cpu.nx || kernel.cpu.long_mode ? read_msr(MSR_EFER) : 0;
}

static uint64_t cr4_value(void)
{
    return kernel.cpu.present ? read_cr4() : 0;
}

static void names_json(struct json *j, const char *key, const struct row rows[ROWS], bool used)
{
    json_array(j, key);
    for (unsigned i = 0; i < ROWS; i++) {
        if (used ? rows[i].used : rows[i].offered)
            json_string(j, NULL, rows[i].name);
    }
    json_end(j);
}

static void cpu_json(const struct row rows[ROWS])
{
    struct json j;
    json_begin(&j, "cpu");
    json_string(&j, "vendor", kernel.cpu.vendor);
    json_string(&j, "brand", kernel.cpu.brand);
    json_bool(&j, "cpuid", kernel.cpu.present);
    json_number(&j, "family", kernel.cpu.family);
    json_number(&j, "model", kernel.cpu.model);
    names_json(&j, "offered", rows, false);
    names_json(&j, "used", rows, true);
    json_number(&j, "phys_bits", kernel.features.phys_bits);
    json_number(&j, "virt_bits", kernel.features.virt_bits);
    json_address(&j, "cr0", read_cr0());
    json_address(&j, "cr4", cr4_value());
    json_address(&j, "efer", efer_value());
    json_address(&j, "pat", pat_value());
    json_finish(&j);
}

static void cpu_text(const struct row rows[ROWS])
{
    kprintf("  %s family %u model %u\n", kernel.cpu.vendor, kernel.cpu.family, kernel.cpu.model);
    kprintf("  %s\n", *kernel.cpu.brand ? kernel.cpu.brand : "no brand string");
    for (unsigned i = 0; i < ROWS; i++)
        kprintf("    %-5s %-12s %s\n", rows[i].name, rows[i].offered ? "offered" : "not offered",
                rows[i].used ? "used" : "not used");
    kprintf("  addresses: %u bits physical, %u virtual\n", kernel.features.phys_bits,
            kernel.features.virt_bits);
    kprintf("  CR0 0x%llx  CR4 0x%llx  EFER 0x%llx  PAT 0x%016llx\n",
            (unsigned long long)read_cr0(), (unsigned long long)cr4_value(),
            (unsigned long long)efer_value(), (unsigned long long)pat_value());
}

bool report_cpu(const struct shell_args *args)
{
    struct row rows[ROWS];
    gather(rows);
    if (args->json)
        cpu_json(rows);
    else
        cpu_text(rows);
    return true;
}
