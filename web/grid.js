// SPDX-License-Identifier: MIT
/*
 * grid.js - a canvas of small cells: 1024 entries or 4096 frames, one cell each.
 *
 * The three pictures of the page share one shape, 64 cells a row, and one language:
 *
 *   paper   what it is (the legend)              level   how much of the cell is filled, from below
 *   rim     there is something, but it is empty  flash   it has just changed, 1 fading to 0
 *   chosen  it lies on the way of the address that is being followed
 */

export const COLUMNS = 64;
const GUTTER = 88;  // room for the row labels
const EMPTY = "#ffffff", LINE = "#e3e3dd", INK = "#5c5c57", CHOSEN = "#d4002a", FLASH = "#ff2fd0";

export class Grid {
    /* `describe(i)` gives {paper, level, rim, flash, chosen}; `label(row)` the text at its left. */
    constructor(canvas, {rows, width, height, label, names = {}}) {
        Object.assign(this, {canvas, rows, width, height, label, names});
        const ratio = window.devicePixelRatio || 1;
        const across = GUTTER + COLUMNS * width + 108, down = rows * height + 4;
        canvas.width = across * ratio;
        canvas.height = down * ratio;
        canvas.style.width = across + "px";
        canvas.style.height = down + "px";
        this.pencil = canvas.getContext("2d");
        this.pencil.scale(ratio, ratio);
    }

    /* Calls `use` with the index of the cell under the pointer, null when there is none. */
    on(event, use) {
        this.canvas.addEventListener(event, e => use(this.#cellAt(e)));
    }

    #cellAt(event) {
        const box = this.canvas.getBoundingClientRect();
        const column = Math.floor((event.clientX - box.left - GUTTER) / this.width);
        const row = Math.floor((event.clientY - box.top - 2) / this.height);
        const inside = column >= 0 && column < COLUMNS && row >= 0 && row < this.rows;
        return inside ? row * COLUMNS + column : null;
    }

    draw(describe) {
        this.pencil.clearRect(0, 0, this.canvas.width, this.canvas.height);
        this.#drawLabels();
        const late = [];  // rings go over their neighbours
        for (let i = 0; i < this.rows * COLUMNS; i++) {
            const cell = describe(i);
            this.#drawCell(i, cell);
            if (cell.chosen || cell.flash > 0)
                late.push([i, cell]);
        }
        for (const [i, cell] of late)
            this.#drawRing(i, cell);
    }

    #place(i) {
        return [GUTTER + (i % COLUMNS) * this.width, 2 + Math.floor(i / COLUMNS) * this.height];
    }

    #drawLabels() {
        const every = Math.ceil(12 / this.height);
        this.pencil.fillStyle = INK;
        this.pencil.textBaseline = "middle";
        for (let row = 0; row < this.rows; row++) {
            const y = 2 + (row + 0.5) * this.height;
            this.pencil.font = "11px ui-monospace, monospace";
            this.pencil.textAlign = "right";
            if (row % every === 0)
                this.pencil.fillText(this.label(row), GUTTER - 6, y + 1);
            this.pencil.textAlign = "left";
            this.pencil.font = "11px system-ui, sans-serif";
            if (this.names[row])
                this.pencil.fillText(this.names[row], GUTTER + COLUMNS * this.width + 8, y + 1);
        }
    }

    #drawCell(i, {paper, level = 1, rim}) {
        const [x, y] = this.#place(i);
        const w = this.width - 1, h = this.height - 1;
        this.pencil.fillStyle = rim || paper ? EMPTY : LINE;
        this.pencil.fillRect(x, y, w, h);
        if (paper && level > 0) {
            const filled = Math.max(4, Math.round(level * h));
            this.pencil.fillStyle = paper;
            this.pencil.fillRect(x, y + h - filled, w, filled);
        }
        if (rim) {
            this.pencil.strokeStyle = rim;
            this.pencil.lineWidth = 1;
            this.pencil.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
        }
    }

    #drawRing(i, {chosen, flash}) {
        const [x, y] = this.#place(i);
        this.pencil.globalAlpha = chosen ? 1 : flash;
        this.pencil.strokeStyle = chosen ? CHOSEN : FLASH;
        this.pencil.lineWidth = chosen ? 2.5 : 2;
        this.pencil.strokeRect(x - 1, y - 1, this.width + 1, this.height + 1);
        this.pencil.globalAlpha = 1;
    }
}
