"use strict";
// page.js - draws the JSON and answers questions about addresses. Everything is in `D`; addresses
// are BigInt because those of x86_64 do not fit a number.
const D = JSON.parse(document.getElementById("data").textContent);
const PAGE = 4096n;
const $ = id => document.getElementById(id);
const COLOURS = {
  "free": "#d6efdc", "low memory": "#9aa3b2", "kernel image": "#d4574e", "boot information": "#38a3a5",
  "modules": "#b565c9", "framebuffer": "#8e5bd0", "early tables": "#4f7fd6", "pmm metadata": "#3f6fb5",
  "page tables": "#f0a021", "heap": "#2f8f5b", "stacks": "#c9c12c", "dma": "#b07a4b", "user": "#e377c2",
  "page cache": "#7fc8d8", "self-test": "#666", "nobody": "#ff00aa", "no RAM": "#ffffff",
};
const MEANING = {
  "free": "given to whoever asks next", "low memory": "below 1 MiB: BIOS data, kept back",
  "kernel image": "code, data, boot stack and boot tables", "page tables": "what CR3 leads to",
  "heap": "pages behind kmalloc", "pmm metadata": "the allocator's own bitmaps",
  "boot information": "what the loader told us", "nobody": "held, yet used by nobody: leaked",
};
const colour = owner => COLOURS[owner] || "#888";
const hex = n => "0x" + n.toString(16);

// el("td", {class: "n"}, children...): an element
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) e[key] = value; else e.setAttribute(key, value);
  }
  for (const child of children.flat())
    e.append(child);
  return e;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let n = Number(bytes), unit = 0;
  while (n >= 1024 && unit < 5) { n /= 1024; unit++; }
  return (n % 1 ? n.toFixed(1) : n) + " " + units[unit];
}

const many = (n, one, more) => `${n} ${n === 1 ? one : more}`;
const box = c => el("i", {class: "box", style: "background:" + c});
const heading = text => el("th", ["frames", "size", "length", "bytes", "asked for"].includes(text)
  ? {class: "n"} : {}, text);
const link = (text, query) => el("a", {class: "mono", onclick: () => ask(query || text)}, text);
const perm = p => el("span", {class: "perm" + (p.includes("w") ? " w" : "") + (p.includes("x") ? " x" : ""),
                             title: "read write execute user global accessed dirty"}, p);

// ---- who owns which frame ---------------------------------------------------------------------
const RUNS = D.runs.map(r => ({start: BigInt(r.start), end: BigInt(r.end), owner: r.owner, state: r.state}));
const TOP = RUNS.length ? RUNS[RUNS.length - 1].end : PAGE;

function runAt(pa) {
  let low = 0, high = RUNS.length;
  while (low < high) {
    const middle = low + high >> 1;
    if (RUNS[middle].end <= pa) low = middle + 1; else high = middle;
  }
  const run = RUNS[low];
  return run && run.start <= pa ? run : null;
}
const ownerAt = pa => { const run = runAt(pa); return run ? run.owner : "no RAM"; };

// ---- page tables ------------------------------------------------------------------------------
const TABLES = new Map();
for (const t of D.tables) if (!TABLES.has(t.pa + "/" + t.level)) TABLES.set(t.pa + "/" + t.level, t);
const ROOT = D.tables[0];
const NAMES = D.geometry.levels === 2 ? ["", "PTE", "PDE"] : ["", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"];
const shift = level => BigInt(12 + D.geometry.index_bits * (level - 1));
const below = (row, level) => TABLES.get(row[3] + "/" + (level - 1));

// The steps from CR3 to an address: [{table, index, row}], the last may have no row.
function walk(va) {
  const steps = [];
  for (let table = ROOT; table;) {
    const index = Number(va >> shift(table.level) & (1n << BigInt(D.geometry.index_bits)) - 1n);
    const row = table.rows.find(r => r[0] <= index && index < r[0] + r[1]);
    steps.push({table, index, row});
    table = row && row.length === 4 ? below(row, table.level) : null;
  }
  return steps;
}

function pageOf(va) {
  const steps = walk(va), last = steps[steps.length - 1];
  if (!last || !last.row || last.row.length !== 7) return {steps};
  const bytes = 1n << shift(last.table.level);
  const pa = BigInt(last.row[3]) + BigInt(last.index - last.row[0]) * bytes + (va & bytes - 1n);
  return {steps, pa, bytes, perm: last.row[5], cache: last.row[6]};
}

const regionAt = va => D.regions.find(r => BigInt(r.start) <= va && va < BigInt(r.end));
const blockAt = va => D.heap.blocks.find(b => BigInt(b[0]) <= va && va < BigInt(b[0]) + BigInt(b[1]));
const MAPS = D.maps.map(m => ({va: BigInt(m.va), pa: BigInt(m.pa), length: BigInt(m.length), m}));

// ---- search -----------------------------------------------------------------------------------
function ask(query) {
  $("query").value = query;
  const answer = $("answer"), text = query.trim();
  answer.hidden = !text;
  answer.replaceChildren(...(/^(0x)?[0-9a-f]+$/i.test(text) && /^0x|[0-9]/.test(text)
    ? askAddress(BigInt(text.startsWith("0x") ? text : "0x" + text)) : askWords(text.toLowerCase())));
  window.scrollTo({top: 0, behavior: "smooth"});
}

function askAddress(address) {
  const out = [...tellVirtual(address)];
  if (address < TOP) out.push(...tellPhysical(address));
  return out;
}

function tellVirtual(va) {
  const region = regionAt(va), page = pageOf(va), out = [];
  out.push(el("h3", {}, "as a virtual address: " + (region ? region.name : "in no region")));
  page.steps.forEach(s => out.push(el("div", {class: "mono"},
    NAMES[s.table.level] + " " + s.index + " of the table at ", link(s.table.pa), ": ",
    s.row ? (s.row.length === 4 ? "leads to the table at " + s.row[3] : "the page itself") : "not present")));
  if (page.pa === undefined) {
    out.push(el("div", {}, "Nothing is mapped there: touching it is a page fault."));
    return out;
  }
  out.push(el("div", {}, "→ physical ", link(hex(page.pa)), ", a page of " + size(page.bytes) + ", ",
              perm(page.perm), " cache " + page.cache + ", frame of ", owned(ownerAt(page.pa))));
  const block = blockAt(va);
  if (block)
    out.push(el("div", {}, `Heap block at ${block[0]}: ${block[1]} bytes, ` + (block[3]
      ? `live, ${block[2]} asked for` + (block[4] ? " by " + block[4] : "") : stateOf(block))));
  return out;
}

const owned = owner => el("a", {onclick: () => ask(owner)}, box(colour(owner)), owner);

function tellPhysical(pa) {
  const run = runAt(pa), out = [el("h3", {}, "as a physical address")];
  if (!run) return [...out, el("div", {}, "No RAM there.")];
  out.push(el("div", {}, "Frame " + hex(pa / PAGE) + " belongs to ", owned(run.owner),
              ` [${hex(run.start)}, ${hex(run.end)}), ${(run.end - run.start) / PAGE} frames`));
  const table = D.tables.find(t => BigInt(t.pa) === (pa & -PAGE));
  if (table) out.push(el("div", {}, `A page table of level ${table.level} for addresses from ${table.va}`));
  for (const x of MAPS)
    if (x.pa <= pa && pa < x.pa + x.length)
      out.push(el("div", {}, "mapped at ", link(hex(x.va + pa - x.pa)), " (" + x.m.name + ") ", perm(x.m.perm)));
  show(run.start);
  return out;
}

function askWords(words) {
  const runs = RUNS.filter(r => r.owner.toLowerCase().includes(words));
  const maps = D.maps.filter(m => m.name.toLowerCase().includes(words));
  const out = [];
  if (runs.length) {
    const frames = runs.reduce((sum, r) => sum + (r.end - r.start) / PAGE, 0n);
    out.push(el("h3", {}, `physical: ${frames} frames in ${many(runs.length, "run", "runs")}`));
    runs.slice(0, 60).forEach(r => out.push(el("div", {class: "mono"}, box(colour(r.owner)), "[",
      link(hex(r.start)), ", " + hex(r.end) + ")  " + size(r.end - r.start) + "  " + r.owner)));
    show(runs[0].start);
  }
  if (maps.length) {
    out.push(el("h3", {}, `virtual: ${many(maps.length, "stretch", "stretches")}`));
    maps.slice(0, 60).forEach(m => out.push(el("div", {class: "mono"}, link(m.va), "  " + size(m.length) +
      " → ", link(m.pa), " ", perm(m.perm), " " + m.name)));
  }
  return out.length ? out : [el("div", {}, "Nothing is called that. Owners: " +
    [...new Set(RUNS.map(r => r.owner))].join(", "))];
}
$("search").onsubmit = event => { event.preventDefault(); ask($("query").value); };

// ---- physical memory --------------------------------------------------------------------------
const COLUMNS = 128, CELL = 9, ZOOM_ROWS = 16, ZOOM = BigInt(COLUMNS * ZOOM_ROWS) * PAGE;
let zoomed = 0n;

function context(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.height = height + "px";
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  return c;
}

function drawStrip() {
  const canvas = $("strip"), width = canvas.clientWidth, c = context(canvas, width, 34);
  const x = pa => Number(pa * 100000n / TOP) / 100000 * width;
  c.fillStyle = "#fff";
  c.fillRect(0, 0, width, 34);
  const byRarity = [...RUNS].sort((a, b) => (a.owner === "free" ? 0 : 1) - (b.owner === "free" ? 0 : 1));
  for (const r of byRarity) {
    c.fillStyle = colour(r.owner);
    c.fillRect(x(r.start), 0, Math.max(x(r.end) - x(r.start), r.owner === "free" ? 0 : 1.5), 34);
  }
  c.strokeStyle = "#111";
  c.lineWidth = 2;
  c.strokeRect(x(zoomed) + 1, 1, Math.max(x(zoomed + ZOOM) - x(zoomed) - 2, 3), 32);
}

function drawZoom() {
  const canvas = $("zoom"), width = canvas.clientWidth, cell = width / COLUMNS;
  const c = context(canvas, width, Math.ceil(cell * ZOOM_ROWS));
  for (let i = 0; i < COLUMNS * ZOOM_ROWS; i++) {
    const owner = ownerAt(zoomed + BigInt(i) * PAGE);
    c.fillStyle = colour(owner);
    if (owner !== "no RAM")
      c.fillRect(i % COLUMNS * cell, Math.floor(i / COLUMNS) * cell, cell - 1, cell - 1);
  }
  $("zoomtitle").replaceChildren("Magnified: ", el("span", {class: "mono"},
    `[${hex(zoomed)}, ${hex(zoomed + ZOOM)})`), `, one row is ${size(BigInt(COLUMNS) * PAGE)}. `,
    el("span", {id: "under", class: "hint"}, "Point at a square."));
}

function show(pa) {
  zoomed = pa / ZOOM * ZOOM;
  drawStrip();
  drawZoom();
}

function frameUnder(event) {
  const canvas = $("zoom"), cell = canvas.clientWidth / COLUMNS;
  const i = Math.floor(event.offsetY / cell) * COLUMNS + Math.floor(event.offsetX / cell);
  return zoomed + BigInt(i) * PAGE;
}
$("strip").onclick = event => show(BigInt(Math.floor(event.offsetX / $("strip").clientWidth * 1e6)) * TOP / 1000000n);
$("zoom").onmousemove = event => {
  const pa = frameUnder(event);
  $("under").textContent = `${hex(pa)}: ${ownerAt(pa)}`;
};
$("zoom").onclick = event => ask(hex(frameUnder(event)));

function drawLegend() {
  const owners = [...new Set(RUNS.map(r => r.owner))];
  $("legend").replaceChildren(...owners.map(o => el("span", {}, owned(o))),
    el("span", {}, box("#fff"), "no RAM"));
  $("scale").replaceChildren(...[0n, 1n, 2n, 3n, 4n].map(i => el("span", {}, size(TOP * i / 4n & -PAGE))));
}

// ---- tables of facts --------------------------------------------------------------------------
function drawOwners() {
  const total = D.meminfo.frames.total, rows = {free: D.meminfo.frames.free, ...D.meminfo.frames.owners};
  const head = el("tr", {}, ["owner", "frames", "size", "", "share of RAM"].map(heading));
  const sorted = Object.entries(rows).sort((a, b) => b[1] - a[1]);
  $("ownertable").replaceChildren(head, ...sorted.map(([owner, frames]) => el("tr",
    {class: "pick", onclick: () => ask(owner)}, el("td", {}, box(colour(owner)), owner),
    el("td", {class: "n"}, String(frames)), el("td", {class: "n"}, size(frames * 4096)),
    el("td", {class: "hint"}, MEANING[owner] || ""),
    el("td", {style: "width:34%"}, el("div", {class: "bar", style:
      `width:${frames / total * 100}%;background:${colour(owner)}`})))));
}

function drawSweep() {
  const {counts, meaning, findings} = D.sweep;
  $("sweeptable").replaceChildren(...Object.entries(counts).map(([kind, n]) => el("div", {},
    el("span", {class: n ? "bad" : "good"}, String(n)), el("span", {}, kind.replaceAll("_", " ")),
    el("span", {class: "hint"}, meaning[kind]))));
  $("findings").replaceChildren(...findings.slice(0, 200).map(f => el("div", {class: "bad"},
    f.kind.replaceAll("_", " ") + ": ", f.pa ? link(f.pa) : "", " ", f.va ? link(f.va) : "", " " + f.words)));
  const sum = findings.length;
  $("verdict").replaceChildren(el("span", {class: sum ? "bad" : "good"},
    sum ? `${many(sum, "thing is", "things are")} wrong. `
        : "Every frame has one owner, and every owner uses its frames. "),
    el("a", {onclick: () => $("sweep").scrollIntoView({behavior: "smooth"})}, "How that was found"));
}

function drawMaps() {
  const head = el("tr", {}, ["region", "virtual", "length", "physical", "page", "allows", "cache"]
    .map(heading));
  const rows = [head];
  D.maps.slice(0, 400).forEach((m, i) => {
    const last = i ? D.maps[i - 1] : null, same = last && last.name === m.name;
    if (same && m.name === "kernel data" && BigInt(last.va) + BigInt(last.length) + PAGE === BigInt(m.va))
      rows.push(el("tr", {}, el("td", {}), el("td", {class: "hint", colspan: "6"},
        "one page left out: the guard below a stack, so that an overflow faults")));
    rows.push(el("tr", {}, el("td", {}, same ? "" : m.name), el("td", {class: "a"}, link(m.va)),
      el("td", {class: "n"}, size(m.length)), el("td", {class: "a"}, link(m.pa)), el("td", {}, m.page),
      el("td", {}, perm(m.perm)), el("td", {}, m.cache)));
  });
  $("maptable").replaceChildren(...rows);
  $("wx").textContent = D.nx ? "Code is never writable, data never executable."
    : "This paging mode has no execute-disable bit: whatever can be read can be executed.";
}

// ---- the tree of tables -----------------------------------------------------------------------
function drawRow(table, row) {
  const count = row[1] > 1 ? `${row[0]} - ${row[0] + row[1] - 1}` : String(row[0]);
  const va = hexWide(BigInt(table.va) + (BigInt(row[0]) << shift(table.level)));
  if (row.length === 4) {
    const child = below(row, table.level);
    return child ? drawTable(child, count) : el("div", {class: "row bad"}, `${count}: a broken entry ${row[2]}`);
  }
  return el("div", {class: "row"}, el("span", {class: "idx"}, count), link(va), " → ", link(row[3]),
    ` ${many(row[1], "page", "pages")} of ${size(1n << shift(table.level))} `, perm(row[5]), " ",
    box(colour(ownerAt(BigInt(row[3])))), ownerAt(BigInt(row[3])));
}

function hexWide(va) {
  const bits = BigInt(D.geometry.va_bits), wide = BigInt(D.geometry.word);
  return hex(va >> bits - 1n & 1n ? va | (1n << wide) - (1n << bits) : va);
}

function drawTable(table, index) {
  const used = table.rows.reduce((sum, r) => sum + r[1], 0), region = regionAt(BigInt(table.va));
  const line = el("summary", {}, index === "" ? "CR3 → " : el("span", {class: "idx"}, index),
    "table at ", link(table.pa), ` (level ${table.level}) `, `for ${size(1n << shift(table.level + 1))} from `,
    link(table.va), ` : ${many(used, "entry", "entries")}`, region && table.level < D.geometry.levels ? `, ${region.name}` : "");
  const open = index === "" || (used && region && region.name === "heap"); // one branch to the leaves
  const details = el("details", open ? {open: ""} : {}, line);
  let filled = false;
  const fill = () => {
    if (filled || !details.open) return;
    filled = true;
    if (table.rows.length)
      details.append(...groupEmpty(table));
    else
      details.append(el("div", {class: "row hint"}, "empty: waiting for the first page"));
  };
  details.ontoggle = fill;
  fill();
  return details;
}

// Empty tables side by side are one line: a kernel half that is pinned in advance has many.
function groupEmpty(table) {
  const out = [];
  let group = null;
  const close = () => {
    if (!group) return;
    const {rows} = group;
    if (rows.length < 3) rows.forEach(r => out.push(drawRow(table, r)));
    else {
      const last = rows[rows.length - 1], inside = el("details", {}, el("summary", {class: "hint"},
        `${rows[0][0]} - ${last[0]}: ${rows.length} tables with nothing in them yet`));
      inside.ontoggle = () => inside.children.length > 1 || inside.append(...rows.map(r => drawRow(table, r)));
      out.push(inside);
    }
    group = null;
  };
  for (const row of table.rows) {
    const child = row.length === 4 && below(row, table.level);
    if (child && !child.rows.length) (group = group || {rows: []}).rows.push(row);
    else { close(); out.push(drawRow(table, row)); }
  }
  close();
  return out;
}

// ---- heap -------------------------------------------------------------------------------------
const LIVE = "#2f8f5b", DEAD = "#d6efdc", WAITS = "#a9d0e8", HEAD = "#9aa3b2";
const stateOf = block => block[3] ? "live" : block[5] ? "free, in its bin" : "free";
function drawHeap() {
  const {blocks} = D.heap, start = BigInt(D.heap.start), bytes = Number(BigInt(D.heap.top) - start);
  const h = D.meminfo.heap;
  if (!bytes) { $("heapwords").textContent = "There is no heap yet."; return; }
  $("heapwords").textContent = `${size(bytes)} are mapped from ${D.heap.start}. ${h.blocks} live blocks hold ` +
    `${size(h.used)}; ${size(h.free)} are free, the largest free block is ${size(h.largest)}. ` +
    "Addresses go from left to right and then down, like text.";
  const canvas = $("heapcanvas"), width = canvas.clientWidth, rows = Math.min(32, Math.max(4, Math.ceil(bytes / 16384)));
  const c = context(canvas, width, rows * 15), perRow = Math.ceil(bytes / rows);
  c.fillStyle = HEAD;
  for (let r = 0; r < rows; r++) c.fillRect(0, r * 15, width, 13);
  for (const [payload, length, , live, , waits] of blocks) {
    c.fillStyle = live ? LIVE : waits ? WAITS : DEAD;
    let at = Number(BigInt(payload) - start);
    for (const end = at + length; at < end;) {
      const row = Math.floor(at / perRow), stop = Math.min(end, (row + 1) * perRow);
      c.fillRect((at - row * perRow) / perRow * width, row * 15, Math.max((stop - at) / perRow * width, 0.5), 13);
      at = stop;
    }
  }
  canvas.onclick = event => ask(hex(start + BigInt(Math.floor(
    (Math.floor(event.offsetY / 15) + event.offsetX / width) * perRow))));
  $("heaplegend").replaceChildren(el("span", {}, box(LIVE), "live"), el("span", {}, box(DEAD), "free"),
    el("span", {}, box(WAITS), "free, in a bin"),
    el("span", {}, box(HEAD), "headers"), el("span", {class: "hint"}, "click to ask about an address"));
  const head = el("tr", {}, ["payload", "bytes", "asked for", "", "by"].map(heading));
  $("heaptable").replaceChildren(head, ...blocks.slice(0, 300).map(b => el("tr", {},
    el("td", {class: "a"}, link(b[0])), el("td", {class: "n"}, String(b[1])),
    el("td", {class: "n"}, b[3] ? String(b[2]) : ""), el("td", {}, stateOf(b)), el("td", {class: "a"}, b[4]))),
    ...(blocks.length > 300 ? [el("tr", {}, el("td", {colspan: "5"}, `and ${blocks.length - 300} more: search by address`))] : []));
}

// ---- all of it --------------------------------------------------------------------------------
function draw() {
  drawStrip();
  drawZoom();
  drawHeap();
}
$("title").textContent = `${D.arch}, ${D.mode}, CR3 ${D.registers.cr3}, ${D.stage}`;
document.title = `memview: ${D.arch}`;
drawLegend();
drawOwners();
drawSweep();
drawMaps();
if (ROOT) $("tables").replaceChildren(drawTable(ROOT, ""));
draw();
window.onresize = draw;
if (location.hash.length > 1) ask(decodeURIComponent(location.hash.slice(1)));
