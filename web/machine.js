// SPDX-License-Identifier: MIT
/*
 * machine.js - the emulated PC: v86, our image, and the three ways in and out of it.
 *
 *   console   COM1, what a person types and reads
 *   reports   COM2, where the page asks the kernel for its own JSON reports
 *   memory    the guest's physical memory and control registers, read from outside
 *
 * The last one asks nobody: what it shows is what the emulated CPU walks. Runs in a browser and in
 * Node; only where v86 and its files come from differs, and the caller says that.
 */

export const MEMORY_BYTES = 16 << 20;  // 4096 frames: few enough to draw every one
const ANSWER_MS = 5000;                // a command at the prompt may keep the kernel busy

/* Options that a browser and Node share; `files` gives wasm_path, bios, vga_bios and cdrom. */
export function machineOptions(files, memoryBytes = MEMORY_BYTES) {
    return {
        ...files,
        memory_size: memoryBytes,
        vga_memory_size: 2 << 20,
        boot_order: 0x123,  // the CD first
        uart1: true,
        disable_keyboard: true,  // the terminal on the page is the keyboard
        disable_mouse: true,
        disable_speaker: true,
        net_device: {type: "none"},
        autostart: true,
    };
}

export class Machine {
    constructor(emulator) {
        this.emulator = emulator;
        this.waiting = [];  // questions on COM2, oldest first; the first has been sent
        this.partial = "";
        emulator.add_listener("serial1-output-byte", byte => this.#reportByte(byte));
    }

    onConsole(listener) {
        this.emulator.add_listener("serial0-output-byte", listener);
    }

    type(text) {
        this.emulator.serial0_send(text);
    }

    /*
     * The kernel's answer to `command -j`, or null when it did not come in time. `look` is called while
     * the last byte is on its way, before the kernel can do anything else; `seen` is what it returned.
     */
    ask(command, look = () => null) {
        return new Promise(resolve => {
            this.waiting.push({command, look, resolve});
            if (this.waiting.length === 1)
                this.#sendNext();
        });
    }

    #sendNext() {
        const question = this.waiting[0];
        if (!question)
            return;
        question.timer = setTimeout(() => this.#answer(null), ANSWER_MS);
        const bytes = new TextEncoder().encode(question.command + " -j\r");
        this.emulator.serial_send_bytes(1, bytes);
    }

    #answer(report) {
        const question = this.waiting.shift();
        clearTimeout(question.timer);
        question.resolve(report);
        this.#sendNext();
    }

    #reportByte(byte) {
        if (byte !== 10) {
            this.partial += String.fromCharCode(byte);
            return;
        }
        const line = this.partial.trim();
        this.partial = "";
        const report = parseReport(line);
        // An answer that comes after its question was given up is for nobody.
        if (report && this.waiting.length && this.waiting[0].command.startsWith(report.cmd))
            this.#answer({...report, seen: this.waiting[0].look()});
    }

    /* Control registers as unsigned numbers. */
    registers() {
        const cr = this.emulator.v86.cpu.cr;
        return {cr0: cr[0] >>> 0, cr2: cr[2] >>> 0, cr3: cr[3] >>> 0, cr4: cr[4] >>> 0};
    }

    /* A frame as 1024 entries: a copy, so that a drawing never changes under the pencil. */
    frame(pa) {
        if (pa + 4096 > this.emulator.v86.cpu.memory_size[0])
            return new Uint32Array(1024);  // a table outside of RAM maps nothing that we can see
        const bytes = this.emulator.read_memory(pa, 4096).slice();
        return new Uint32Array(bytes.buffer);
    }
}

function parseReport(line) {
    try {
        return JSON.parse(line);
    } catch {
        return null;  // the tail of something cut off
    }
}
