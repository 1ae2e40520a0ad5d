// SPDX-License-Identifier: MIT
/*
 * view.js - the right half of the page: draws the state, and turns clicks into an address.
 *
 * The state is {view, kinds, address, flashes}: what walker.js has read, what frames.js made of it,
 * the address that is being followed, and what changed lately. Drawing only reads it.
 */
import {bitWords, drawFollow, verdict} from "./follow.js";
import {census, kindIndex, KINDS, mappersOf, tableIn} from "./frames.js";
import {COLUMNS, Grid} from "./grid.js";
import {ENTRIES, frameOf, hex, population, PRESENT, walk} from "./walker.js";

const element = id => document.getElementById(id);
const TABLE_PAPER = KINDS[kindIndex["page tables"]].paper;
const REGIONS = {0: "user space", 12: "kernel image", 13: "heap", 15: "devices, kmap"};

export class View {
    constructor(state, follow) {
        this.state = state;
        const entries = {rows: ENTRIES / COLUMNS, width: 10, height: 10};
        this.directory = new Grid(element("directory"),
            {...entries, label: row => hex(row * COLUMNS * 0x400000), names: REGIONS});
        this.table = new Grid(element("table"),
            {...entries, label: row => hex((state.address >>> 22) * 0x400000 + row * COLUMNS * 4096)});
        this.frames = new Grid(element("frames"), {
            rows: state.frameCount / COLUMNS, width: 10, height: 5,
            label: row => hex(row * COLUMNS * 4096),
        });
        this.#makeLegend();
        this.#listen(follow);
    }

    #listen(follow) {
        const on = (grid, use, say) => {
            grid.on("click", i => this.state.view && i !== null && use(i));
            grid.on("mousemove", i => this.state.view && i !== null && this.#point(say(i)));
        };
        on(this.directory, i => follow(i * 0x400000), i => this.#sayEntry(i));
        on(this.table, k => follow(this.#base() + k * 4096), k => this.#sayPage(k));
        on(this.frames, f => this.#followFrame(f, follow), f => this.#sayFrame(f));
    }

    #point(words) {
        element("pointer").textContent = words;
    }

    #base() {
        return (this.state.address >>> 22) * 0x400000;
    }

    /* ---- words for what is under the pointer ---- */

    #sayEntry(i) {
        const {view} = this.state;
        const entry = view.directory[i];
        const range = `${hex(i * 0x400000)} to ${hex(i * 0x400000 + 0x3fffff)}`;
        if (!(entry & PRESENT))
            return `directory entry ${i}, addresses ${range}: not present, nothing is mapped there`;
        const used = view.tables.has(i) ? `its table, in frame ${hex(frameOf(entry) >>> 12, 3)}, has ` +
            `${population(view, i)} of 1024 entries in use` : "one page of 4 MiB, no table";
        return `directory entry ${i}, addresses ${range}: ${used} (${hex(entry)}: ${bitWords(entry)})`;
    }

    #sayPage(k) {
        const {view, kinds} = this.state;
        const w = walk(view, this.#base() + k * 4096);
        if (!w.page)
            return `${hex(w.va)}: not mapped`;
        const whose = KINDS[this.#kindAt(kinds, w.pa)].name;
        return `${hex(w.va)} leads to frame ${hex(w.pa >>> 12, 3)} (${whose}); ` +
            `entry ${hex(w.page.entry)}: ${bitWords(w.page.entry)}`;
    }

    #sayFrame(f) {
        const {view, kinds} = this.state;
        const inside = tableIn(view, f);
        const table = inside === null ? "" : inside < 0 ? "; this is the page directory"
            : `; this is the table of directory entry ${inside}`;
        const mappers = mappersOf(view, f).map(va => hex(va));
        const mapped = mappers.length ? `mapped at ${mappers.slice(0, 4).join(", ")}` :
            "mapped nowhere";
        const whose = kinds ? KINDS[kinds[f]].name : "not yet known";
        return `frame ${hex(f, 3)}, physical ${hex(f * 4096)}: ${whose}, ${mapped}${table}`;
    }

    /* A frame is followed backwards: by an address that leads there, or by the table it is. */
    #followFrame(f, follow) {
        const inside = tableIn(this.state.view, f);
        const [mapper] = mappersOf(this.state.view, f);
        if (inside !== null && inside >= 0)
            follow(inside * 0x400000);
        else if (mapper !== undefined)
            follow(mapper);
    }

    /* ---- drawing ---- */

    #kindAt(kinds, pa) {
        const frame = pa >>> 12;
        return kinds && frame < kinds.length ? kinds[frame] : kindIndex["no RAM"];
    }

    draw() {
        const {view, address} = this.state;
        if (!view)
            return this.#drawNothing();
        const w = walk(view, address);
        drawFollow(element("follow"), view, w);
        element("verdict").textContent = verdict(w);
        element("which").textContent = w.i;
        this.directory.draw(i => this.#entryCell(i, w));
        this.table.draw(k => this.#pageCell(k, w));
        this.#drawFrames(w);
    }

    #drawNothing() {
        element("follow").innerHTML = "";
        element("verdict").textContent =
            "Paging is still off: every address is a physical address. The boot loader is at work.";
        for (const grid of [this.directory, this.table, this.frames])
            grid.draw(() => ({}));
    }

    #entryCell(i, w) {
        const {view, kinds, flashes} = this.state;
        const used = population(view, i);
        const first = view.tables.get(i)?.find(entry => entry & PRESENT) ?? view.directory[i];
        return {
            paper: used ? KINDS[this.#kindAt(kinds, frameOf(first))].paper : undefined,
            level: used / ENTRIES,
            rim: view.tables.has(i) ? TABLE_PAPER : undefined,
            flash: flashes.directory.of(i),
            chosen: i === w.i,
        };
    }

    #pageCell(k, w) {
        const {view, kinds, flashes} = this.state;
        const table = view.tables.get(w.i);
        const entry = table ? table[k] : 0;
        return {
            paper: entry & PRESENT ? KINDS[this.#kindAt(kinds, frameOf(entry))].paper : undefined,
            rim: undefined,
            flash: flashes.pages.of(w.i * ENTRIES + k),
            chosen: k === w.k && table !== undefined,
        };
    }

    #drawFrames(w) {
        const {view, kinds, flashes} = this.state;
        const way = new Set([view.root >>> 12]);
        if (view.tables.has(w.i))
            way.add(frameOf(w.pde) >>> 12);
        if (w.page)
            way.add(w.pa >>> 12);
        this.frames.draw(f => ({
            paper: kinds ? KINDS[kinds[f]].paper : undefined,
            flash: flashes.frames.of(f),
            chosen: way.has(f),
        }));
    }

    #makeLegend() {
        element("legend").replaceChildren(...KINDS.map(kind => {
            const item = document.createElement("li");
            item.innerHTML = `<i style="background:${kind.paper}"></i><b></b>` +
                `${kind.name} <span>${kind.text}</span>`;
            item.dataset.kind = kind.name;
            return item;
        }));
    }

    drawLegend() {
        census(this.state.kinds).forEach((count, i) => {
            const item = element("legend").children[i];
            item.querySelector("b").textContent = count;
            item.hidden = KINDS[i].name === "free, yet in use" && count === 0;
        });
    }
}
