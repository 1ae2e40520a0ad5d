// SPDX-License-Identifier: MIT
/*
 * follow.js - the way of one address through directory and table to a frame, as a drawing.
 *
 *      address   [ directory 10 | table 10 | offset 12 ]
 *                      |             |          |
 *      CR3  ->  directory entry -> table entry -> frame + offset
 */
import {ACCESSED, DIRTY, GLOBAL, hex, LARGE, PRESENT, USER, WRITE} from "./walker.js";

const BITS = [[PRESENT, "P", "present"], [WRITE, "W", "may be written"],
    [USER, "U", "user may use it"], [ACCESSED, "A", "has been used"],
    [DIRTY, "D", "has been written"], [LARGE, "PS", "4 MiB page"],
    [GLOBAL, "G", "outlives a CR3 load"]];
const FIELDS = [[0, 10, "directory index", "#f3d9a8"], [10, 20, "table index", "#f3d9a8"],
    [20, 32, "offset in the page", "#cfe0cf"]];
const STEP = 174, BOX = 152, TOP = 112, TALL = 88;
const FIELD = 21.3;  // a bit of the address is that wide

const text = (x, y, words, more = "") => `<text x="${x}" y="${y}" ${more}>${words}</text>`;

/* The set bits of an entry as letters; those that are clear are dots. */
export function bitLetters(entry) {
    return BITS.map(([bit, letter]) => entry & bit ? letter : "·").join(" ");
}

export function bitWords(entry) {
    return BITS.filter(([bit]) => entry & bit).map(([, , words]) => words).join(", ");
}

function addressRow(va) {
    const bits = (va >>> 0).toString(2).padStart(32, "0");
    return FIELDS.map(([from, to, name, paper]) => {
        const x = 4 + from * FIELD, wide = (to - from) * FIELD - 4;
        const piece = bits.slice(from, to);
        return `<rect x="${x}" y="22" width="${wide}" height="26" rx="3" fill="${paper}"/>` +
            text(x + wide / 2, 40, piece.replace(/(....)(?=.)/g, "$1 "), `class="mono mid"`) +
            text(x + wide / 2, 64, `${name} = ${parseInt(piece, 2)}`, `class="small mid"`);
    }).join("");
}

/* From a field of the address down to the box where it is used. */
function thread(field, n) {
    const [from, to] = FIELDS[field];
    const x = 4 + (from + to) / 2 * FIELD - 2, end = 4 + n * STEP + BOX / 2;
    return `<path d="M${x} 70 V82 H${end} V${TOP - 8}" fill="none" stroke="#8a8a84"/>` +
        `<path d="M${end} ${TOP - 2} l-4 -7 h8 z" fill="#8a8a84"/>`;
}

function box(n, title, lines, {paper, dead}) {
    const x = 4 + n * STEP;
    return `<rect x="${x}" y="${TOP}" width="${BOX}" height="${TALL}" rx="5" fill="${paper}"
        stroke="${dead ? "#d4002a" : "#5c5c57"}" ${dead ? `stroke-dasharray="4 3"` : ""}/>` +
        text(x + BOX / 2, TOP + 18, title, `class="mid bold"`) +
        lines.map((line, i) =>
            text(x + BOX / 2, TOP + 39 + i * 17, line, `class="mono small mid"`)).join("");
}

function arrow(n) {
    const x = 4 + n * STEP + BOX, y = TOP + TALL / 2;
    return `<path d="M${x + 2} ${y} h${STEP - BOX - 9}" stroke="#d4002a" stroke-width="2"/>` +
        `<path d="M${x + STEP - BOX - 2} ${y} l-8 -5 v10 z" fill="#d4002a"/>`;
}

function entryBox(n, title, at, entry) {
    const dead = !(entry & PRESENT);
    return box(n, title, [`at ${hex(at)}`, hex(entry), bitLetters(entry)],
        {paper: dead ? "#fff" : "#fbeed6", dead});
}

/* One sentence that says what an access to the address would meet. */
export function verdict(w) {
    if (!w.page)
        return `Nothing is mapped at ${hex(w.va)}: the present bit of the ` +
            `${w.pte === undefined ? "directory" : "table"} entry is clear. ` +
            "Whoever touches it gets a page fault.";
    const {write, user, bytes} = w.page;
    return `${hex(w.va)} is byte ${hex(w.offset, 3)} of the frame at ${hex(w.pa & ~4095)}` +
        `${bytes > 4096 ? ", part of one 4 MiB page" : ""}: ` +
        `${write ? "can be read and written" : "can only be read"}, ` +
        `${user ? "by user code too" : "by the kernel alone"}.`;
}

export function drawFollow(svg, view, w) {
    const parts = [addressRow(w.va), text(4, 14, `address ${hex(w.va)} in bits`, `class="small"`)];
    parts.push(box(0, "CR3", [hex(view.root), "where the", "directory lies"], {paper: "#e8ecf3"}));
    parts.push(arrow(0), thread(0, 1), entryBox(1, `directory [${w.i}]`, w.pdeAt, w.pde));
    if (w.pte !== undefined)
        parts.push(arrow(1), thread(1, 2), entryBox(2, `table [${w.k}]`, w.pteAt, w.pte));
    if (w.page)
        parts.push(arrow(2), thread(2, 3), box(3, "frame " + hex(w.pa >>> 12, 3),
            [`+ offset ${hex(w.offset, 3)}`, "=", hex(w.pa)], {paper: "#dcead9"}));
    parts.push(...BITS.map(([, letter, words], i) =>
        text(708, 70 + i * 18, `<tspan class="bold">${letter}</tspan> ${words}`, `class="small"`)));
    svg.innerHTML = parts.join("");
}
