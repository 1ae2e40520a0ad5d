# SPDX-License-Identifier: MIT
"""`make debug` as a person meets it, driven by a script: the same words as the kernel's shell, a
sweep at every stage of bring-up, and code shown in the mode in which it runs."""
import os
import re
import subprocess

import pytest

import harness

GDB = harness.ROOT / "tools" / "gdb"
ADDRESS = {"i386": ("0xd00c0010", "0xc0101000", "0x1000", "0xf0000000"),
           "x86_64": ("0xffffc0005fdc2010", "0xffffffff80101000", "0xffff800000400123", "0x1000",
                      "0x900000000000")}
STAGES = ("kernel_space_build", "kernel_space_switch", "mmio_init", "frames_init", "kmalloc_init",
          "input_init", "shell_init")


def marked(commands):
    """gdb's words for these commands, each answer behind a line of its own."""
    return "".join(f'echo \\n@@ {c}\\n\n{c}\n' for c in commands) + "echo \\n@@ end\\n\n"


def answers(text):
    """Command -> the lines it printed."""
    parts = re.split(r"^@@ (.*)$", text, flags=re.M)
    return {name: lines_of(body) for name, body in zip(parts[1::2], parts[2::2])}


def lines_of(text):
    return [line.rstrip() for line in text.splitlines() if line.strip()]


# ---- beside the shell -------------------------------------------------------------------------
def without_window(lines):
    """While the kernel prints its tables it looks at one through the kmap window; gdb does not.
    The line that counts the stretches goes, too."""
    out, window = [], False
    for line in (x for x in lines if " stretches, " not in x or "W^X" in x):
        if not line.startswith("    "):
            window = line.strip() == "kmap window"
        out += [] if window else [line]
    return out


def without_line(lines):
    """Where two lines of C share their first instruction, either is right."""
    return [re.sub(r"(\.c):\d+\)", r"\1)", line) for line in lines]


CUT = {"ptdump": without_window}


def test_the_same_words_as_the_shell(arch, tmp_path):
    verbs = ["meminfo", "pmm", "heap", "ptdump"]
    verbs += [f"{verb} {a}" for a in ADDRESS[arch] for verb in ("walk", "why")]
    socket = tmp_path / "gdb"
    with harness.Machine(arch, cpu="max", extra=["-gdb", f"unix:{socket},server=on,wait=off"]) as machine:
        machine.wait_prompt()
        machine.run("heap_test 500")
        machine.run("alloc 5000")
        for _ in range(2):  # the second time, nothing is touched for the first time
            shell = {verb: lines_of(machine.run(verb)) for verb in verbs}
        script = tmp_path / "script.gdb"
        script.write_text(marked(verbs + ["sweep"]))
        done = subprocess.run(
            ["gdb", "-nx", "-batch", harness.kernel_path(arch), "-ex", "set pagination off",
             "-ex", f"target remote {socket}", "-x", GDB / "twinpage.py", "-x", script],
            capture_output=True, text=True, timeout=60 * harness.SLOWER)
    ours = answers(done.stdout)
    assert "nothing leaked" in ours["sweep"][-1], done.stdout + done.stderr
    for verb in verbs:
        cut = CUT.get(verb, without_line)
        assert cut(ours[verb]) == cut(shell[verb]), verb


# ---- make debug -------------------------------------------------------------------------------
def debug(arch, tmp_path, script):
    """Runs `make debug`'s script with gdb's input from a file; returns what gdb printed."""
    path = tmp_path / "script.gdb"
    path.write_text(script)
    done = subprocess.run(
        [harness.ROOT / "tools" / "qemu.sh", "debug", f"qemu-system-{arch}", harness.iso_path(arch),
         harness.kernel_path(arch)], capture_output=True, text=True, timeout=90 * harness.SLOWER,
        env=dict(os.environ, GDB_ARGS=f"-batch -x {path}", MEM="64M", DISPLAY="", WAYLAND_DISPLAY=""))
    return done.stdout + done.stderr


def test_nothing_is_lost_at_any_stage(arch, tmp_path):
    script = "continue\ncontinue\n"  # boot_before_paging, kernel_main
    for stage in STAGES:
        script += f"tbreak {stage}\ncontinue\n" + marked([f"echo {stage}", "sweep"])
    text = debug(arch, tmp_path, script)
    sweeps = re.findall(r"@@ sweep\n((?:.+\n)*)", text)
    assert len(sweeps) == len(STAGES), text
    for stage, words in zip(STAGES, sweeps):
        assert "nothing leaked, nothing owned twice" in words, f"{stage}: {words}"
    assert "boot page tables" in sweeps[1] and "frames and heap" in sweeps[-1]


def test_nothing_is_lost_amid_work(arch, tmp_path):
    """With live blocks in the heap: each call of the allocator begins in a sound state."""
    socket = tmp_path / "gdb"
    machine = dict(cpu="max", cmdline='run="heap_test 3000"',
                   extra=["-S", "-gdb", f"unix:{socket},server=on,wait=off"])
    script = tmp_path / "script.gdb"
    script.write_text("hbreak heap_alloc\ncontinue\nignore 1 100\n" +
                      ("continue\nsweep\nheap\nignore 1 60\n" * 3))
    with harness.Machine(arch, **machine):
        done = subprocess.run(
            ["gdb", "-nx", "-batch", harness.kernel_path(arch), "-ex", f"target remote {socket}",
             "-x", GDB / "twinpage.py", "-x", script],
            capture_output=True, text=True, timeout=90 * harness.SLOWER)
    assert done.stdout.count("nothing leaked, nothing owned twice") == 3, done.stdout + done.stderr
    live = [int(n) for n in re.findall(r"(\d+) live blocks", done.stdout)]
    assert len(live) == 3 and max(live) > 20


def test_steps_across_the_switch_and_shows_code_as_the_cpu_reads_it(tmp_path):
    steps = "".join('stepi\nprintf "@@ pc %lx efer %lx\\n", $pc, (long)$efer\n' for _ in range(20))
    text = debug("x86_64", tmp_path, "hbreak boot_tables_built\ncontinue\n" + steps)
    assert "(bad)" not in text and "%rax,%cr" not in text
    for instruction in ("mov    %eax,%cr4", "mov    %eax,%cr3", "wrmsr", "mov    %eax,%cr0",
                        "ljmp   $0x8,", "movabs $0xffffffff80", "jmp    *%rax"):
        assert instruction in text, instruction
    last = re.findall(r"@@ pc ([0-9a-f]+)", text)[-1]
    assert int(last, 16) >= 0xffffffff80000000, "it arrived in the high half"


def test_our_types_are_printed_as_what_they_are(arch, tmp_path):
    wanted = {"print kernel.aspace.root": r"0x[0-9a-f]+ \(physical\)",
              "print kernel.aspace.adopted": r"PFN_NONE|frame 0x",
              "print kernel.mmio.start": r"0x[0-9a-f]+ \(virtual\)",
              "print kernel.map.ranges[0]": r"\[0x0, 0x[0-9a-f]+\) usable, OWNER_LOW",
              "print (enum mem_err)5": r"MEM_NO_FRAME \(5\)",
              "print kernel.mmio.region[0]": r"\[0x[0-9a-f]+, 0x[0-9a-f]+\) vga text",
              "print/x $pa(&kernel)": r"0x[0-9a-f]{6}$",
              "help walk": "The same text as `walk`", "apropos twinpage": "sweep -- "}
    text = debug(arch, tmp_path, "continue\ncontinue\ntbreak shell_init\ncontinue\n" + marked(wanted))
    ours = answers(text)
    for command, pattern in wanted.items():
        assert re.search(pattern, "\n".join(ours[command]), re.M), (command, text)
