# SPDX-License-Identifier: MIT
"""The boot map on the host against an oracle of its own: intervals cut at every border, in Python."""
import json
import subprocess

import harness
import pytest
from hypothesis import example, given, settings, strategies as st

TOOL = harness.BUILD / "host" / "bootmap"
MAPS = harness.ROOT / "tests" / "data" / "maps"
PAGE, TOP = 4096, 1 << 64
ORDER = ["usable", "acpi", "pmem", "nvs", "reserved", "unknown", "bad"]  # least restrictive first
E820 = {1: "usable", 2: "reserved", 3: "acpi", 4: "nvs", 5: "bad", 7: "pmem", 12: "pmem", 20: "reserved"}
EFI = {0: "reserved", 1: "usable", 2: "usable", 3: "usable", 4: "usable", 5: "reserved", 6: "reserved",
       7: "usable", 8: "bad", 9: "acpi", 10: "nvs", 11: "reserved", 12: "reserved", 13: "reserved",
       14: "pmem"}


def run(text, *words):
    text = text if isinstance(text, bytes) else text.encode()
    return subprocess.run([TOOL, *words, "-"], input=text, capture_output=True, timeout=60)


def report(text, *words):
    done = run(text, "-j", *words)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def parse(text):
    """Entries (start, end, kind) of a .map file, clamped at 2^64, empty ones left out."""
    entries = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        start, length = int(words[0], 0), int(words[1], 0)
        if words[2].startswith("efi:"):
            kind = EFI.get(int(words[2][4:], 0), "unknown")
            length = min(-(-length // PAGE) * PAGE, TOP - 1)  # what 64 bits can say
        else:
            kind = E820.get(int(words[2], 0), "unknown")
        if length:
            entries.append((start, min(start + length, TOP), kind))
    return entries


def kinds_of_bytes(entries):
    """Pieces (start, end, kind) between all borders, the most restrictive kind winning."""
    borders = sorted({b for start, end, _ in entries for b in (start, end)})
    starts = sorted(entries)
    active, pieces, i = [], [], 0
    for a, b in zip(borders, borders[1:]):
        while i < len(starts) and starts[i][0] <= a:
            active.append(starts[i])
            i += 1
        active = [e for e in active if e[1] > a]
        if active:
            pieces.append((a, b, max((e[2] for e in active), key=ORDER.index)))
    return pieces


def usable_frames(entries):
    """Half-open runs of frames wholly inside usable bytes."""
    runs = []
    for a, b, kind in kinds_of_bytes(entries):
        if kind != "usable":
            continue
        if runs and runs[-1][1] == a:
            runs[-1][1] = b
        else:
            runs.append([a, b])
    frames = [(-(-a // PAGE), b // PAGE) for a, b in runs]
    return [(a, b) for a, b in frames if a < b]


def check(text, limit):
    entries = parse(text)
    got = report(text, "--limit", limit)
    cut = (4 << 30) // PAGE if limit == "4G" else TOP // PAGE
    expected = usable_frames(entries)
    below = sum(max(0, min(b, cut) - min(a, cut)) for a, b in expected)
    assert got["usable_frames"] == below
    assert got["above_limit_frames"] == sum(b - a for a, b in expected) - below

    ranges = [(int(r["start"], 16), int(r["end"], 16), r["kind"]) for r in got["ranges"]]
    last = 0
    for start, end, kind in ranges:
        assert last <= start < end <= TOP and start % PAGE == 0 and end % PAGE == 0
        assert kind in ORDER
        last = end
    merged = []
    for start, end, kind in ranges:
        if kind != "usable":
            continue
        if merged and merged[-1][1] == start // PAGE:
            merged[-1] = (merged[-1][0], end // PAGE)
        else:
            merged.append((start // PAGE, end // PAGE))
    assert merged == expected
    # every other byte is covered by a range at least as restrictive
    others = [r for r in ranges if r[2] != "usable"]
    for a, b, kind in kinds_of_bytes(entries)[:300]:
        if kind == "usable":
            continue
        for at in (a, b - 1):
            assert any(s <= at < e and ORDER.index(k) >= ORDER.index(kind) for s, e, k in others)
    return got


@pytest.mark.parametrize("limit", ["4G", "none"])
@pytest.mark.parametrize("path", sorted(MAPS.glob("*.map")), ids=lambda p: p.stem)
def test_every_stored_map(path, limit):
    check(path.read_text(), limit)


@pytest.mark.parametrize("path", sorted(MAPS.glob("*.bin")), ids=lambda p: p.stem)
def test_real_boot_information(path):
    got = report(path.read_bytes())
    assert got["usable_frames"] > 10000
    owners = {r["owner"] for r in got["ranges"]}
    assert "low memory" in owners
    for r in got["ranges"]:
        if r["kind"] == "usable" and int(r["end"], 16) <= 1 << 20:
            assert r["owner"] in ("low memory", "modules")


near = st.one_of(st.integers(0, 40 * 1024), st.sampled_from([0, PAGE - 1, PAGE, PAGE + 1]),
                 st.integers((1 << 32) - 9000, (1 << 32) + 9000), st.integers(TOP - 9000, TOP - 1))
length = st.one_of(st.integers(0, 20000), st.integers(0, TOP - 1), st.just(0))
kind = st.sampled_from(["0", "1", "1", "1", "2", "3", "4", "5", "7", "12", "20", "4294967295", "efi:7",
                        "efi:0", "efi:9", "efi:15"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(near, length, kind), max_size=12), st.sampled_from(["4G", "none"]))
@example([(0, TOP - 4095, "efi:7")], "4G")  # 2^52 pages are a byte more than a length can say
def test_any_map(entries, limit):
    check("# any\n" + "".join(f"{a:#x} {n:#x} {k}\n" for a, n, k in entries), limit)


def ranges_of(got):
    return [(r["start"], r["end"], r["kind"]) for r in got["ranges"]]


def test_log_formats_agree():
    new = ("[    0.000000] BIOS-provided physical RAM map:\n"
           "[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000001fffff] usable\n"
           "kernel: BIOS-e820: [mem 0x200000-0x200fff] ACPI data\n"
           "[    0.0] BIOS-e820: [mem 0x201000-0x201fff] ACPI NVS\n"
           "[    0.0] BIOS-e820: [mem 0x202000-0x202fff] persistent (type 12)\n"
           "[    0.0] BIOS-e820: [mem 0x203000-0x203fff] type 20\n"
           "[    0.0] e820: update [mem 0x0-0xfff] usable ==> reserved\n")
    old = (" BIOS-e820: 0000000000100000 - 0000000000200000 (usable)\n"
           " BIOS-e820: 0000000000200000 - 0000000000201000 (ACPI data)\n"
           " BIOS-e820: 0000000000201000 - 0000000000202000 (ACPI NVS)\n"
           " BIOS-e820: 0000000000202000 - 0000000000203000 (persistent (type 12))\n"
           " BIOS-e820: 0000000000203000 - 0000000000204000 (type 20)\n")
    assert ranges_of(report(new)) == ranges_of(report(old)) == [
        ("0x100000", "0x200000", "usable"), ("0x200000", "0x201000", "acpi"),
        ("0x201000", "0x202000", "nvs"), ("0x202000", "0x203000", "pmem"),
        ("0x203000", "0x204000", "reserved")]


@pytest.mark.parametrize("line", [
    "[ 0.0] efi: mem00: [Conventional Memory|   |  |  |  |  |WB|WT|WC|UC] range=[0x00100000-0x00200000) (1MB)",
    "[ 0.0] efi: mem00: [Conventional Memory|   |  |WB|WT|WC|UC] range=[0x00100000-0x001fffff] (1MB)",
    "EFI: mem00: type=7, attr=0xf, range=[0x0000000000100000-0x0000000000200000) (1MB)",
    "[ 0.0] efi: mem03: [Boot Code | | |WB] range=[0x100000-0x1fffff] (1MB)",
])
def test_efi_lines(line):
    assert ranges_of(report("noise\n" + line + "\n")) == [("0x100000", "0x200000", "usable")]


def test_owners_are_named():
    got = report("0x0 0x200000 1\n")
    assert [(r["start"], r["end"], r["owner"]) for r in got["ranges"]] == [
        ("0x0", "0x100000", "low memory"), ("0x100000", "0x200000", "")]
    assert got["usable_frames"] == 512


@pytest.mark.parametrize("text, word", [
    ("", "empty"), ("0x0\n", "missing"), ("0x0 0x1000\n", "missing type"), ("0x0 0x1000 1 x\n", "unexpected"),
    ("zero 0x1000 1\n", "bad number"), ("0x0 -1 1\n", "bad number"), ("0x0 0x10000000000000000 1\n", "bad number"),
    ("0x0 0x1000 0x100000000\n", "32 bits"), ("0x0 0x1000 efi:\n", "missing"), ("0x0 0x1000 efi:x\n", "bad number"),
    ("BIOS-e820: [mem 0x0-0xfff] chocolate\n", "unknown type"), ("BIOS-e820: [mem 0x0+0xfff] usable\n", "range"),
    ("BIOS-e820: [mem 0x2000-0xfff] usable\n", "before"), ("BIOS-e820: [mem zz-0xfff] usable\n", "bad start"),
    ("efi: mem0: [Conventional] range=[0x0-0x1000\n", "range"), ("efi: mem0: [Jam] range=[0x0-0x1000)\n", "type"),
    ("lines of a poem\n", "bad number"),
])
def test_malformed_text_gets_one_named_error(text, word):
    done = run(text)
    error = done.stderr.decode()
    assert done.returncode == 1 and not done.stdout
    assert error.count("\n") == 1 and error.startswith("bootmap: ") and word in error, error


@pytest.mark.parametrize("change, name", [
    (lambda b: b[:-8], "MB2_TOO_LONG"),
    (lambda b: b"\x07" + b[1:], "MB2_"),
    (lambda b: b[:12] + b"\0\0\0\0" + b[16:], "MB2_"),
    (lambda b: b[:12] + b"\xff\xff\xff\xff" + b[16:], "MB2_TAG_PAST_END"),
])
def test_malformed_blob_gets_its_name(change, name):
    blob = (MAPS / "grub206-bios-pc128.bin").read_bytes()
    done = run(change(blob))
    assert done.returncode == 1 and name in done.stderr.decode()


def test_usage():
    for words in ([], ["a", "b"], ["--limit", "4X", "f"], ["--limit"], ["-x", "f"]):
        done = subprocess.run([TOOL, *words], capture_output=True)
        assert done.returncode == 2 and b"usage" in done.stderr
    assert subprocess.run([TOOL, "/nonexistent"], capture_output=True).returncode == 1
