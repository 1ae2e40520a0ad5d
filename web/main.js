// SPDX-License-Identifier: MIT
/*
 * main.js - starts the machine and keeps the pictures up to date.
 *
 * Ten times a second the tables are read out of the machine's memory: that costs the kernel nothing
 * and works from its first instruction on. Once its shell is up, the kernel itself is asked over its
 * second serial line which frames are free and what it thinks is mapped, and the two are compared.
 */
import {frameChanges, Flashes, tableChanges} from "./changes.js";
import {classify} from "./frames.js";
import {V86} from "./libv86.mjs";
import {Machine, machineOptions, MEMORY_BYTES} from "./machine.js";
import {Terminal} from "./terminal.js";
import {View} from "./view.js";
import {differences, hex, readTables} from "./walker.js";

const LOOK_MS = 100, ASK_MS = 300, LOG_KEPT = 100;
const element = id => document.getElementById(id);

const state = {
    view: null, kinds: null, address: 0xc0101000, frameCount: MEMORY_BYTES / 4096, mmap: null,
    flashes: {directory: new Flashes(), pages: new Flashes(), frames: new Flashes()},
    ready: false,  // the prompt has been seen
    agree: null,   // what the last comparison found
};

function log(sentences) {
    for (const words of sentences) {
        const item = document.createElement("li");
        const time = document.createElement("time");
        time.textContent = (performance.now() / 1000).toFixed(1).padStart(6) + " s";
        item.append(time, words);
        item.className = "new";
        requestAnimationFrame(() => requestAnimationFrame(() => item.classList.remove("new")));
        element("log").prepend(item);
        element("log").children[LOG_KEPT]?.remove();
    }
}

function badge(id, words, kind) {
    element(id).textContent = words;
    element(id).className = "badge " + kind;
}

/* ---- looking: the tables, from outside ---- */

function look(machine, view) {
    const now = readTables(machine);
    const before = state.view;
    state.view = now;
    if (now)
        log(tableChanges(before, now, state.flashes));
    view.draw();
}

/* ---- asking: the kernel's own words ---- */

async function askFrames(machine, view) {
    state.mmap ??= await machine.ask("mmap");
    const report = state.mmap && await machine.ask("frames", () => readTables(machine));
    if (!report)
        return false;
    const kinds = classify(state.frameCount, report.seen, state.mmap, report);
    log(frameChanges(state.kinds, kinds, state.flashes));
    state.kinds = kinds;
    view.drawLegend();
    return true;
}

async function compare(machine) {
    const report = await machine.ask("ptdump", () => readTables(machine));
    if (!report)
        return;
    state.agree = differences(report.seen, report);
    const {pages, found} = state.agree;
    if (found.length)
        badge("agree", `kernel and page disagree: ${found[0]}`, "bad");
    else
        badge("agree", `kernel and page agree on ${pages} pages`, "good");
}

async function keepAsking(machine, view) {
    for (;;) {
        await new Promise(resolve => setTimeout(resolve, ASK_MS));
        if (!state.ready || !machine.emulator.is_running())
            continue;
        const answered = await askFrames(machine, view);
        badge("state", answered ? "at its prompt" : "busy or halted", answered ? "good" : "");
        if (answered)
            await compare(machine);
    }
}

/* ---- the person ---- */

function listen(machine, view, terminal) {
    const follow = address => {
        state.address = address >>> 0;
        element("address").value = hex(address);
        view.draw();
    };
    element("address").addEventListener("input", event => {
        const address = Number(event.target.value);
        if (Number.isInteger(address) && address >= 0 && address <= 0xffffffff) {
            state.address = address;
            view.draw();
        }
    });
    for (const button of document.querySelectorAll("[data-type]")) {
        button.addEventListener("click", () => {
            machine.type(button.dataset.type + "\r");
            if (button.dataset.follow)
                follow(Number(button.dataset.follow));
            terminal.element.focus();
        });
    }
    element("screen").addEventListener("click", () => terminal.element.focus());
    element("restart").addEventListener("click", () => restart(machine));
    element("pause").addEventListener("click", () => pause(machine));
    return follow;
}

function restart(machine) {
    state.ready = false;
    state.mmap = state.kinds = null;
    machine.emulator.restart();
    badge("state", "starting", "");
}

async function pause(machine) {
    const running = machine.emulator.is_running();
    await (running ? machine.emulator.stop() : machine.emulator.run());
    element("pause").textContent = running ? "Go on" : "Pause";
    badge("state", running ? "paused" : "running", "");
}

/* The prompt says that the shell is up; the kernel's first line, that it is not any more. */
function watchConsole(machine, terminal) {
    let tail = "";
    machine.onConsole(byte => {
        terminal.byte(byte);
        tail = (tail + String.fromCharCode(byte)).slice(-32);
        if (tail.includes("twinpage>"))
            state.ready = true;
        else if (tail.includes("kmap window\r"))
            state.ready = false, state.mmap = null;
    });
}

function start() {
    const emulator = new V86({
        ...machineOptions({
            wasm_path: "v86.wasm", bios: {url: "bios.bin"}, vga_bios: {url: "vgabios.bin"},
            cdrom: {url: "twinpage-i386.iso"},
        }),
        screen: {container: element("screen")},
    });
    const machine = new Machine(emulator);
    const terminal = new Terminal(element("terminal"), text => machine.type(text));
    const view = new View(state, address => follow(address));
    const follow = listen(machine, view, terminal);
    watchConsole(machine, terminal);
    emulator.add_listener("emulator-started", () => {
        badge("state", "starting", "");
        setInterval(() => look(machine, view), LOOK_MS);
        keepAsking(machine, view);
    });
    terminal.element.focus();
    window.twinpage = {state, machine, terminal, follow};  // for the console, and for tests
}

start();
