// SPDX-License-Identifier: MIT
/*
 * changes.js - what is different between two looks, as cells to flash and as sentences.
 *
 * Accessed and dirty bits are left out: they change with every instruction. So are the three bits
 * that the hardware ignores and the kernel counts in, and the kmap window.
 */
import {KINDS} from "./frames.js";
import {ACCESSED, DIRTY, ENTRIES, frameOf, hex, KMAP_START, pages, PRESENT, WRITE} from "./walker.js";

const FADE_MS = 2500;
const IGNORED = 0xe00;  // SDM 3A 4.3, table 4-6
const plain = entry => (entry & ~(ACCESSED | DIRTY | IGNORED)) >>> 0;

/* Remembers when cells changed; `of` says how bright a cell is now, 1 fading to 0. */
export class Flashes {
    constructor() {
        this.since = new Map();
    }

    add(cell) {
        this.since.set(cell, performance.now());
    }

    of(cell) {
        const at = this.since.get(cell);
        if (at === undefined)
            return 0;
        const left = 1 - (performance.now() - at) / FADE_MS;
        if (left <= 0)
            this.since.delete(cell);
        return Math.max(0, left);
    }

    get any() {
        return this.since.size > 0;
    }
}

/* Virtual page number -> entry, of every page. */
function snapshot(view) {
    const all = new Map();
    for (const page of pages(view, KMAP_START))
        all.set(page.va, plain(page.entry));
    return all;
}

/* Neighbours with the same story become one: [{va, count, from, to}]. */
function runsOf(before, now) {
    const runs = [];
    const all = [...new Set([...before.keys(), ...now.keys()])].sort((a, b) => a - b);
    for (const va of all) {
        const from = before.get(va) ?? 0, to = now.get(va) ?? 0;
        if (from === to)
            continue;
        const last = runs[runs.length - 1];
        const story = (from & PRESENT) << 1 | to & PRESENT;
        if (last && last.story === story && last.va + last.count * 4096 === va)
            last.count++;
        else
            runs.push({va, count: 1, from, to, story});
    }
    return runs;
}

const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const may = entry => entry & WRITE ? "read and write" : "read only";

function sentence({va, count, from, to, story}) {
    const where = `${plural(count, "page")} at ${hex(va)}`;
    if (story === 1)
        return `mapped ${where}, first frame ${hex(frameOf(to) >>> 12, 3)}, ${may(to)}`;
    if (story === 2)
        return `unmapped ${where}`;
    if (frameOf(from) !== frameOf(to))
        return `${where}: another frame, ${hex(frameOf(to) >>> 12, 3)}`;
    return may(from) !== may(to) ? `${where}: ${may(from)} became ${may(to)}`
        : `${where}: entry ${hex(from)} became ${hex(to)}`;
}

function tableSentences(before, now) {
    const found = [];
    for (let i = 0; i < ENTRIES; i++) {
        const from = before.directory[i] & PRESENT, to = now.directory[i] & PRESENT;
        if (from !== to)
            found.push(to ? `directory entry ${i}: a new table, in frame ` +
                hex(frameOf(now.directory[i]) >>> 12, 3) : `directory entry ${i}: its table is gone`);
    }
    return found;
}

/* Flashes what changed in the tables; returns the sentences. */
export function tableChanges(before, now, flashes) {
    if (!before || before.root !== now.root)
        return [`CR3 is ${hex(now.root)}: these tables count now`];
    for (let i = 0; i < ENTRIES; i++) {
        if (plain(before.directory[i]) !== plain(now.directory[i]))
            flashes.directory.add(i);
    }
    const runs = runsOf(snapshot(before), snapshot(now));
    for (const run of runs) {
        for (let at = 0; at < run.count; at++) {
            flashes.pages.add(run.va / 4096 + at);
            flashes.directory.add((run.va + at * 4096) >>> 22);
        }
    }
    return [...tableSentences(before, now), ...runs.map(sentence)];
}

/* The same for frames: who has how many more or fewer. */
export function frameChanges(before, now, flashes) {
    const gain = new Array(KINDS.length).fill(0);
    if (!before)
        return [];
    for (let f = 0; f < now.length; f++) {
        if (before[f] === now[f])
            continue;
        gain[before[f]]--;
        gain[now[f]]++;
        flashes.frames.add(f);
    }
    const words = gain.map((n, k) => n && `${KINDS[k].name} ${n > 0 ? "+" : "−"}${Math.abs(n)}`);
    return words.some(Boolean) ? ["frames: " + words.filter(Boolean).join(", ")] : [];
}
