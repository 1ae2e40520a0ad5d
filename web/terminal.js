// SPDX-License-Identifier: MIT
/*
 * terminal.js - the little of an ANSI terminal that the kernel's shell uses.
 *
 *   text, CR, LF, BS;  ESC [ n D, C  left, right;  ESC [ K  clear to the end of the line
 *   ESC [ H ESC [ J  clear the screen;  ESC [ n m  a colour
 *
 *   T1  `column` may be past the end of its row; the gap is filled with blanks when it is written.
 *
 * A row is an array of cells {c, colour}; the picture of it, a <div>, is made anew when it changed.
 */

const KEYS = {
    Enter: "\r", Backspace: "\x7f", Tab: "\t", Delete: "\x1b[3~", Escape: "\x1b",
    ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D",
    Home: "\x1b[H", End: "\x1b[F",
};
const ROWS_KEPT = 1000;

export class Terminal {
    constructor(element, send) {
        this.element = element;
        this.decoder = new TextDecoder();
        this.rows = [];
        this.colour = 0;
        this.escape = null;
        this.column = 0;
        this.#newRow();
        element.addEventListener("keydown", event => this.#key(event, send));
        element.addEventListener("paste", event => {
            send(event.clipboardData.getData("text").replace(/\r?\n/g, "\r"));
            event.preventDefault();
        });
    }

    /* Bytes from the serial line. Drawing waits for the browser: bytes come one by one. */
    byte(value) {
        for (const c of this.decoder.decode(new Uint8Array([value]), {stream: true}))
            this.#character(c);
        if (!this.pending) {
            this.pending = true;
            requestAnimationFrame(() => this.#draw());
        }
    }

    text() {
        return this.rows.map(row => row.cells.map(cell => cell.c).join("")).join("\n");
    }

    #newRow() {
        const row = {cells: [], element: document.createElement("div"), changed: true};
        this.element.append(row.element);
        this.rows.push(row);
        if (this.rows.length > ROWS_KEPT)
            this.rows.shift().element.remove();
    }

    get #row() {
        return this.rows[this.rows.length - 1];
    }

    #character(c) {
        if (this.escape !== null)
            this.#sequence(c);
        else if (c === "\x1b")
            this.escape = "";
        else if (c === "\n")
            this.#newRow();
        else if (c === "\r")
            this.column = 0;
        else if (c === "\b")
            this.column = Math.max(0, this.column - 1);
        else if (c >= " ")
            this.#put(c);
        this.#row.changed = true;
    }

    #put(c) {
        const {cells} = this.#row;
        while (cells.length < this.column)
            cells.push({c: " ", colour: 0});
        cells[this.column++] = {c, colour: this.colour};
    }

    #sequence(c) {
        this.escape += c;
        if (c === "[" || !/[A-Za-z]/.test(c))
            return;
        const count = parseInt(this.escape.slice(1), 10) || 0;
        this.escape = null;
        if (c === "m")
            this.colour = count;
        else if (c === "D")
            this.column = Math.max(0, this.column - (count || 1));
        else if (c === "C")
            this.column += count || 1;
        else if (c === "K")
            this.#row.cells.length = Math.min(this.#row.cells.length, this.column);
        else if (c === "J")
            this.#clear();
    }

    #clear() {
        this.rows = [];
        this.element.replaceChildren();
        this.column = 0;
        this.#newRow();
    }

    #draw() {
        this.pending = false;
        for (const row of this.rows) {
            if (row.changed)
                row.element.replaceChildren(...this.#spans(row));
            row.changed = row === this.#row;  // the cursor may leave it
        }
        this.element.scrollTop = this.element.scrollHeight;
    }

    /* Neighbours of one colour are one <span>; the cursor is one by itself. */
    #spans(row) {
        const cursor = row === this.#row ? this.column : -1;
        const cells = row.cells.slice();
        while (cells.length <= cursor)
            cells.push({c: " ", colour: 0});
        const spans = [];
        let last = null;
        cells.forEach((cell, i) => {
            const style = i === cursor ? "cursor" : "c" + cell.colour;
            if (!last || last.className !== style) {
                last = document.createElement("span");
                last.className = style;
                spans.push(last);
            }
            last.textContent += cell.c;
        });
        return spans.length ? spans : [document.createElement("br")];
    }

    #key(event, send) {
        if (event.metaKey || event.altKey || (event.ctrlKey && "vV".includes(event.key)))
            return;
        if (event.ctrlKey && /^[a-zA-Z]$/.test(event.key))
            send(String.fromCharCode(event.key.toUpperCase().charCodeAt(0) & 31));
        else if (KEYS[event.key])
            send(KEYS[event.key]);
        else if (event.key.length === 1)
            send(event.key);
        else
            return;
        event.preventDefault();
    }
}
