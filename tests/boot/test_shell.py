# SPDX-License-Identifier: MIT
"""The shell as a person and as a script meet it: on the serial line, with -j, and by run=."""
import json

import pytest

import bench
import harness

COMMANDS = ("cpu", "storm", "meminfo", "mmap", "pmm", "frames", "walk", "ptdump", "heap", "heap_test", "map",
            "unmap", "protect", "grab", "drop", "blocks", "leaks", "alloc", "free", "why", "selftest", "oom",
            "dmesg", "fault", "reboot", "help")
REPORTS = ("cpu", "storm check", "meminfo", "mmap", "pmm", "frames", "walk 0x1000", "ptdump", "heap",
           "heap_test 100", "blocks", "leaks",
           "dmesg")
KINDS = {"usable", "reserved", "acpi", "nvs", "bad", "pmem", "unknown"}


def number(text):
    assert text.startswith("0x"), text
    return int(text, 16)


def test_boot_tells_its_stages_in_order(shell):
    words = ("cpu", "boot", "map", "paging", "frames", "heap")
    at = [shell.greeting.find(f"\n{word:>8}  ") for word in words]
    assert -1 not in at and at == sorted(at), shell.greeting


def test_help_names_every_command(shell):
    text = shell.run("help")
    for command in COMMANDS:
        assert any(line.strip().startswith(command) for line in text.splitlines()), command


def test_a_wrong_command_is_named_and_nothing_happens(shell):
    assert "frobnicate" in shell.run("frobnicate 1 2")
    assert shell.run("").strip() == ""


def test_meminfo_adds_up(shell):
    info = shell.json("meminfo")
    frames = info["frames"]
    assert info["cmd"] == "meminfo"
    assert frames["free"] + frames["used"] + frames["reserved"] == frames["total"]
    assert sum(frames["owners"].values()) == frames["used"] + frames["reserved"]
    assert 0 < frames["free"] < frames["total"] <= (64 << 20) // 4096
    heap = info["heap"]
    assert {"mapped", "used", "free", "blocks", "largest"} <= heap.keys()
    assert heap["used"] + heap["free"] <= heap["mapped"] and heap["largest"] <= heap["free"]
    assert info["tables"] > 0


def test_nothing_is_lost_between_two_looks(shell):
    before = shell.json("meminfo")["frames"]
    shell.run("heap_test 2000")
    shell.run("ptdump")
    after = shell.json("meminfo")["frames"]
    assert after["total"] == before["total"] and after["reserved"] == before["reserved"]
    assert after["owners"].get("self-test", 0) == before["owners"].get("self-test", 0)


def test_mmap_is_canonical(shell):
    report = shell.json("mmap")
    assert report["raw"] and {"start", "length", "type"} <= report["raw"][0].keys()
    last, usable = 0, 0
    for r in report["ranges"]:
        start, end = number(r["start"]), number(r["end"])
        assert last <= start < end, "sorted, disjoint, none empty"
        assert start % 4096 == 0 and end % 4096 in (0, 4095), r
        assert r["kind"] in KINDS and "owner" in r
        if r["kind"] == "usable":
            usable += (end - start) // 4096
        last = end
    assert report["usable_frames"] == usable
    assert report["above_limit_frames"] == 0


def maps_of(shell):
    """The rows of ptdump as numbers, without the window's own passing use."""
    report = shell.json("ptdump")
    number(report["cr3"])
    rows = []
    for m in report["maps"]:
        assert {"va", "length", "pa", "page", "perm", "cache", "name"} <= m.keys()
        assert set(m["perm"]) <= set("rwxugad")
        length = m["length"]
        length = number(length) if isinstance(length, str) else length
        if "kmap" not in m["name"]:
            rows.append((number(m["va"]), length, number(m["pa"]), m["perm"], m["name"]))
    assert rows and rows == sorted(rows)
    return rows


def test_ptdump_has_no_low_map(shell):
    assert maps_of(shell)[0][0] >= 0xC0000000, "no low identity map, no page 0"


def test_no_page_is_writable_and_executable(shell):
    """On i386, where nothing can forbid execution, no page of code has a writable mapping."""
    rows = maps_of(shell)
    code = [(pa, pa + length) for _, length, pa, perm, name in rows if name == "kernel text"]
    assert code
    for va, length, pa, perm, name in rows:
        if "w" not in perm:
            continue
        assert shell.arch == "i386" or "x" not in perm, (hex(va), perm, name)
        assert not any(pa < end and start < pa + length for start, end in code), (hex(va), name)


def test_ptdump_agrees_with_the_cpus_own_walker(shell):
    for va, length, pa, _, name in maps_of(shell):
        for offset in {0, length // 2 & ~4095, length - 4096}:
            answer = shell.monitor(f"gva2gpa {va + offset:#x}").strip()
            assert answer.startswith("gpa: "), (name, hex(va + offset), answer)
            assert int(answer[5:], 16) == pa + offset, (name, hex(va + offset), answer)


def test_walk_names_every_level(shell):
    kernel = 0xC0101000 if shell.arch == "i386" else 0xFFFFFFFF80101000
    report = shell.json(f"walk {kernel:#x}")
    assert number(report["va"]) == kernel and number(report["pa"]) == 0x101000
    assert "x" in report["perm"] and "w" not in report["perm"]
    for level in report["levels"]:
        entry = number(level["entry"])
        raw = shell.memory_bytes(number(level["entry_pa"]), 4 if shell.arch == "i386" else 8)
        seen = int.from_bytes(raw, "little")
        assert seen | 0x60 == entry | 0x60, "but for accessed and dirty, which the CPU sets"
    nothing = shell.json("walk 0")
    assert nothing["why"]


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_has_a_machine_readable_form(shell, report):
    assert shell.json(report)["cmd"] == report.split()[0]


def test_every_report_prints_for_people(shell):
    for report in REPORTS:
        text = shell.run(report)
        assert len(text.strip().splitlines()) >= 1, report
        assert max(len(line) for line in text.splitlines()) <= 80, f"wider than a text screen: {text}"


def test_history_and_editing(shell):
    """Up-arrow brings a line back; backspace and Ctrl-U take letters away; Tab completes."""
    shell.run("pmm")
    shell.line.send("\x1b[A\r")
    assert "longest free run" in shell.wait_prompt()
    shell.line.send("pmmx\x7f\r")
    assert "longest free run" in shell.wait_prompt()
    shell.line.send("rubbish\x15pmm\r")
    assert "longest free run" in shell.wait_prompt()
    shell.line.send("memi\t\r")
    assert "physical memory" in shell.wait_prompt()


def test_a_line_too_long_harms_nobody(shell):
    shell.line.send("x" * 2000 + "\r")
    shell.wait_prompt()
    assert shell.json("pmm")["cmd"] == "pmm"


def test_every_report_holds_its_invariants(shell):
    assert shell.json("pmm")["holds"] is True


@pytest.mark.parametrize("line, verdict", [
    ('run="meminfo; mmap; pmm"', "pass"),
    ('"run=meminfo -j; ptdump -j"', "pass"),
    ('run="meminfo; frobnicate"', "fail"),
    ('run="walk"', "fail"),
])
def test_run_on_the_command_line_ends_with_a_verdict(arch, line, verdict):
    run = harness.boot(arch, cmdline=line, timeout=30)
    assert run.verdict == verdict, run.explain()


def test_the_command_line_in_the_image_is_heard(arch, tmp_path):
    """The way a person gives it: make CMDLINE='...' iso; GRUB adds quotes of its own."""
    iso = harness.make_iso(harness.kernel_path(arch), tmp_path / "k.iso",
                           'quiet run="pmm -j; meminfo -j"')
    run = harness.boot(arch, iso=iso, cmdline="", timeout=30)
    assert run.passed, run.explain()
    assert '{"cmd":"pmm"' in run.text and '{"cmd":"meminfo"' in run.text


@pytest.mark.parametrize("kind, words", [
    ("null", ("page fault", "null page")),
    ("text", ("page fault", "read-only")),
    ("rodata", ("page fault", "read-only")),
    ("unmapped", ("page fault", "nothing is mapped")),
    ("divide", ("divide error",)),
    ("opcode", ("invalid opcode",)),
    ("stack", ("guard page", "overflow")),
    ("panic", ("PANIC", "asked for")),
])
def test_every_mistake_is_explained(arch, kind, words):
    run = harness.boot(arch, cpu="max", cmdline=f'run="fault {kind}"', timeout=30)
    assert run.verdict == "fail", run.explain()
    for word in words:
        assert word in run.text, run.explain()
    assert "called from" in run.text and "+0x" in run.text, run.explain()
    assert "shell_execute+" in run.text or kind == "stack", run.explain()


def test_jumping_to_data_is_explained_where_the_cpu_can_tell():
    run = harness.boot("x86_64", cpu="max", cmdline='run="fault exec"', timeout=30)
    assert run.verdict == "fail", run.explain()
    assert "no-execute" in run.text


def test_reboot_resets_the_machine(arch):
    assert harness.boot(arch, cmdline='run="reboot"', timeout=30).verdict == "reset"


def test_uefi_gets_a_framebuffer_console(arch, tmp_path):
    with harness.Machine(arch, firmware="ovmf64", memory="256M", timeout=60) as machine:
        machine.wait_prompt()
        picture = machine.screenshot(tmp_path / "screen.png").read_bytes()
    width, height = (int.from_bytes(picture[i:i + 4], "big") for i in (16, 20))
    assert width >= 640 and height >= 480 and len(picture) > 5000, "something is drawn"


def test_the_keyboard_is_heard(shell):
    """Keys of the PC's own keyboard, shift and arrows among them, next to the serial line."""
    for key in ("h", "x", "backspace", "e", "l", "p", "spc", "p", "m", "m", "left", "right", "ret"):
        shell.qmp("send-key", keys=[{"type": "qcode", "data": key}])
    assert "frame allocator" in shell.wait_prompt()
    shell.qmp("send-key", keys=[{"type": "qcode", "data": "shift"}, {"type": "qcode", "data": "q"}])
    shell.qmp("send-key", keys=[{"type": "qcode", "data": "ret"}])
    assert "unknown command Q" in shell.wait_prompt()


def test_bench_counts_every_call(arch):
    run = harness.boot(arch, cmdline="bench", cpu="max", timeout=120, extra=bench.EXACT)
    assert run.passed, run.explain()
    rows = [json.loads(line) for line in run.text.splitlines() if line.startswith('{"cmd":"bench"')]
    assert {"pmm_alloc", "map_page", "kmalloc"} <= {row["name"] for row in rows}
    assert all(row["ops"] > 0 and row["instructions"] > 0 for row in rows)
