// SPDX-License-Identifier: MIT
/*
 * frames.js - whose each physical frame is, joined from three witnesses.
 *
 *   mmap -j     what is RAM at all, and what was reserved at boot, by name
 *   frames -j   which frames the allocator would give now
 *   the tables  which frames are page tables, and what the others are mapped as
 *
 * The allocator's word on "free" is taken as it is; a frame that it calls free and a table or a
 * mapping uses anyway is a bug, and gets a kind of its own.
 */
import {frameOf, pages, PRESENT} from "./walker.js";

/* Drawn in this order in the legend. `paper` is the colour of a cell. */
export const KINDS = [
    {name: "free", paper: "#e9efe6", text: "nobody's: the allocator may give it"},
    {name: "page tables", paper: "#e8a33d", text: "the directory and the tables themselves"},
    {name: "kernel image", paper: "#3f6fb5", text: "the kernel's code, data and stacks"},
    {name: "heap", paper: "#4a9e5c", text: "what kmalloc gives pieces of"},
    {name: "user", paper: "#c2568f", text: "mapped below 3 GiB: try map"},
    {name: "pmm metadata", paper: "#7d5fb2", text: "the allocator's own book-keeping"},
    {name: "low memory", paper: "#9a9a94", text: "below 1 MiB, kept back"},
    {name: "used", paper: "#6d4c35", text: "taken, and mapped by nobody right now"},
    {name: "free, yet in use", paper: "#e00000", text: "must never be seen"},
    {name: "no RAM", paper: "#c9cdd3", text: "devices, firmware, holes"},
];
export const kindIndex = Object.fromEntries(KINDS.map((kind, i) => [kind.name, i]));

const HEAP_START = 0xd0000000, HEAP_END = 0xf0000000, USER_END = 0xc0000000;  // i386/layout.h

/* What a mapping at `va` makes of a frame that the boot map has no name for. */
export function kindByAddress(va) {
    if (va < USER_END)
        return "user";
    return va >= HEAP_START && va < HEAP_END ? "heap" : "used";
}

function fill(kinds, start, end, name) {
    const from = Math.ceil(Number(start) / 4096), to = Math.min(Number(end) / 4096, kinds.length);
    if (from < to)
        kinds.fill(kindIndex[name] ?? kindIndex.used, from, to);
}

function fromMap(kinds, mmap) {
    for (const range of mmap.ranges) {
        if (range.kind === "usable")
            fill(kinds, range.start, range.end, range.owner || "free");
    }
}

/* The boot map's "free" is of boot; here it becomes what it is now. */
function fromAllocator(kinds, report) {
    const before = kinds.slice();
    for (const {start, end, free} of report.stretches) {
        for (let f = Number(start) / 4096; f < Math.min(Number(end) / 4096, kinds.length); f++) {
            if (before[f] === kindIndex["no RAM"])
                continue;
            if (free)
                kinds[f] = kindIndex.free;
            else if (before[f] === kindIndex.free)
                kinds[f] = kindIndex.used;
        }
    }
}

function mark(kinds, frame, name) {
    if (frame >= kinds.length)
        return;
    if (kinds[frame] === kindIndex.free)
        kinds[frame] = kindIndex["free, yet in use"];
    else if (kinds[frame] === kindIndex.used)
        kinds[frame] = kindIndex[name];
}

/* One kind index for each frame below `count`. */
export function classify(count, view, mmap, report) {
    const kinds = new Uint8Array(count).fill(kindIndex["no RAM"]);
    fromMap(kinds, mmap);
    fromAllocator(kinds, report);
    if (!view)
        return kinds;
    mark(kinds, view.root >>> 12, "page tables");
    for (const i of view.tables.keys())
        mark(kinds, frameOf(view.directory[i]) >>> 12, "page tables");
    for (const page of pages(view)) {
        for (let f = 0; f < page.bytes / 4096; f++)
            mark(kinds, (page.pa >>> 12) + f, kindByAddress(page.va));
    }
    return kinds;
}

export function census(kinds) {
    const counts = new Array(KINDS.length).fill(0);
    for (const kind of kinds)
        counts[kind]++;
    return counts;
}

/* Which addresses lead to a frame: the tables read backwards. */
export function mappersOf(view, frame) {
    const found = [];
    for (const page of pages(view)) {
        if (page.pa >>> 12 <= frame && frame < (page.pa + page.bytes) / 4096)
            found.push(page.va + frame * 4096 - page.pa);
    }
    return found;
}

/* The directory index whose table lies in `frame`; -1 for the directory itself, null for none. */
export function tableIn(view, frame) {
    if (view.root >>> 12 === frame)
        return -1;
    for (const [i] of view.tables) {
        if (view.directory[i] & PRESENT && frameOf(view.directory[i]) >>> 12 === frame)
            return i;
    }
    return null;
}
