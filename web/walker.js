// SPDX-License-Identifier: MIT
/*
 * walker.js - reads two-level page tables as the hardware does (SDM 3A 4.3), out of guest memory.
 *
 * Its own code on purpose: it shares nothing with the kernel's walk, so that the two can be
 * compared (`differences`). Pure functions over a `source` with registers() and frame(pa).
 *
 *   address   31 ....... 22 21 ....... 12 11 ........ 0
 *             directory      table         offset
 */

export const PRESENT = 1, WRITE = 2, USER = 4, ACCESSED = 32, DIRTY = 64, LARGE = 128, GLOBAL = 256;
export const ENTRIES = 1024;
const CR0_PAGING = 0x80000000, CR4_LARGE_PAGES = 0x10;
const MIB4 = 0x400000;

/* i386/layout.h: by this window the kernel looks at frames, to write a report as well. It is drawn, but
 * neither compared nor told of: looking would change it. */
export const KMAP_START = 0xffc00000;

export const frameOf = entry => (entry & 0xfffff000) >>> 0;
export const hex = (value, digits = 8) => "0x" + (value >>> 0).toString(16).padStart(digits, "0");

/* Everything that the tables say at one moment; null while paging is off. */
export function readTables(source) {
    const {cr0, cr3, cr4} = source.registers();
    if (!(cr0 & CR0_PAGING))
        return null;
    const large = (cr4 & CR4_LARGE_PAGES) !== 0;
    const root = frameOf(cr3);
    const directory = source.frame(root);
    const tables = new Map();  // directory index -> the 1024 entries of its table
    directory.forEach((entry, i) => {
        if (entry & PRESENT && !(large && entry & LARGE))
            tables.set(i, source.frame(frameOf(entry)));
    });
    return {root, large, directory, tables};
}

/* Both levels must allow it: write and user are ANDed. */
function leaf(va, pa, bytes, entry, above) {
    return {
        va, pa, bytes, entry,
        write: (entry & above & WRITE) !== 0,
        user: (entry & above & USER) !== 0,
        global: (entry & GLOBAL) !== 0,
        accessed: (entry & ACCESSED) !== 0,
        dirty: (entry & DIRTY) !== 0,
    };
}

/* Every page that is mapped below `end`, a multiple of 4 MiB, lowest address first. */
export function* pages(view, end = ENTRIES * MIB4) {
    for (let i = 0; i < end / MIB4; i++) {
        const above = view.directory[i];
        const table = view.tables.get(i);
        const base = i * MIB4;
        if (table) {
            for (let k = 0; k < ENTRIES; k++) {
                if (table[k] & PRESENT)
                    yield leaf(base + k * 4096, frameOf(table[k]), 4096, table[k], above);
            }
        } else if (above & PRESENT) {
            yield leaf(base, (above & 0xffc00000) >>> 0, MIB4, above, above);
        }
    }
}

/* The way to one address: each entry that the hardware reads, and where it ends. */
export function walk(view, va) {
    const i = va >>> 22, k = va >>> 12 & 1023;
    const pde = view.directory[i];
    const result = {va, i, k, offset: va & 4095, pde, pdeAt: view.root + i * 4, page: null};
    const table = view.tables.get(i);
    if (table) {
        result.pte = table[k];
        result.pteAt = frameOf(pde) + k * 4;
        if (table[k] & PRESENT)
            result.page = leaf(va & ~4095, frameOf(table[k]), 4096, table[k], pde);
    } else if (pde & PRESENT) {
        result.page = leaf(i * MIB4, (pde & 0xffc00000) >>> 0, MIB4, pde, pde);
    }
    if (result.page)
        result.pa = result.page.pa + (va >>> 0) % result.page.bytes;
    return result;
}

/* How many present entries each table holds: what a directory cell is filled with. */
export function population(view, i) {
    const table = view.tables.get(i);
    if (!table)
        return view.directory[i] & PRESENT ? ENTRIES : 0;
    let count = 0;
    for (const entry of table)
        count += entry & PRESENT;
    return count;
}

/* Letters as in the kernel's report. Accessed and dirty are left out: they change by being looked
 * at; so is x, which without NX is a wish of the kernel's and in no entry. */
const letters = page => (page.write ? "w" : "") + (page.user ? "u" : "") + (page.global ? "g" : "");

/* Where the kernel's `ptdump -j` and our own walk do not say the same, one sentence each. */
export function differences(view, ptdump) {
    const said = new Map();
    for (const map of ptdump.maps.filter(each => Number(each.va) < KMAP_START)) {
        for (let at = 0; at < map.length; at += 4096)
            said.set(Number(map.va) + at, [Number(map.pa) + at, map.perm.replace(/[^wug]/g, "")]);
    }
    const found = [];
    let count = 0;
    for (const page of pages(view, KMAP_START)) {
        for (let at = 0; at < page.bytes; at += 4096, count++) {
            const [pa, perm] = said.get(page.va + at) ?? [];
            said.delete(page.va + at);
            if (pa !== page.pa + at || perm !== letters(page))
                found.push(`${hex(page.va + at)}: the tables say ${hex(page.pa + at)} ` +
                    `${letters(page)}, the kernel ${pa === undefined ? "nothing" : hex(pa)} ${perm}`);
        }
    }
    for (const va of said.keys())
        found.push(`${hex(va)}: the kernel says it is mapped, the tables do not`);
    return {pages: count, found};
}
