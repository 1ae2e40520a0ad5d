// SPDX-License-Identifier: MIT
/*
 * headless.js - the same machine without a browser: node headless.js FILES ISO [MEGABYTES]
 *
 * FILES is where `make web` puts libv86.mjs, v86.wasm, bios.bin and vgabios.bin. The console goes to
 * standard output; the run ends after the kernel's verdict, with exit code 0 for a pass. Whoever
 * started it sets the time limit.
 */
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

import {machineOptions} from "./machine.js";

const VERDICT = /twinpage: verdict (pass|fail: .*)[\r\n]/;

function image(file) {
    const {buffer, byteOffset, length} = fs.readFileSync(file);
    return {buffer: buffer.slice(byteOffset, byteOffset + length)};
}

function watch(emulator) {
    let line = "";
    emulator.add_listener("serial0-output-byte", byte => {
        fs.writeSync(1, Uint8Array.of(byte));
        line = byte === 13 ? line : line + String.fromCharCode(byte);
        const verdict = VERDICT.exec(line);
        if (verdict)
            process.exit(verdict[1] === "pass" ? 0 : 1);
        if (byte === 10)
            line = "";
    });
}

const [files, iso, megabytes = "64"] = process.argv.slice(2);
const {V86} = await import(pathToFileURL(path.resolve(files, "libv86.mjs")));
watch(new V86(machineOptions({
    wasm_path: path.resolve(files, "v86.wasm"),
    bios: image(path.join(files, "bios.bin")),
    vga_bios: image(path.join(files, "vgabios.bin")),
    cdrom: image(iso),
}, Number(megabytes) << 20)));
