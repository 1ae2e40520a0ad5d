# SPDX-License-Identifier: MIT
"""The guided tour in Bochs: it reaches every stage, and docs/bringup-*.md is what it sees.

The document is made anew and compared with the kept one: to the byte when kernel, image and Bochs are
those of the kept run, else but for the numbers (tools/tour/document.py says why). After a change that
shows: make ARCH=i386 bochs-tour; make ARCH=x86_64 bochs-tour.
"""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

import harness

sys.path.insert(0, str(harness.ROOT / "tools" / "tour"))
import document  # noqa: E402
from image import Image  # noqa: E402
from stages import stages_of  # noqa: E402

DOCS = harness.ROOT / "docs"
ORDER = {
    "i386": "entry tables mode before after high kernel-tables cr3 low-gone window map heap",
    "x86_64": "entry tables mode before after long high kernel-tables cr3 low-gone window map heap",
}


@pytest.fixture
def machine(arch, tmp_path):
    """Words for tour.py: an image in a directory of its own, as Bochs writes its files beside it."""
    iso = tmp_path / harness.iso_path(arch).name
    iso.write_bytes(harness.iso_path(arch).read_bytes())
    return [str(iso), str(harness.kernel_path(arch)), harness.BOCHS_CPU[arch]]


def command(*words):
    return [sys.executable, "-B", str(harness.ROOT / "tools/tour/tour.py"), *map(str, words)]


def test_the_document_is_what_the_tour_sees(arch, machine, tmp_path, record_property):
    done = subprocess.run(command("--document", tmp_path / "docs", *machine), timeout=60 * harness.SLOWER,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0, done.stdout
    kept = document.read_document(DOCS, arch)
    new = document.read_document(tmp_path / "docs", arch)
    how, found = document.differences(kept, new, arch)
    record_property("compared", how)
    print("compared " + how)
    assert not found, f"compared {how}; make ARCH={arch} bochs-tour writes it anew\n" + "\n".join(found)


def test_stages_come_in_order_and_none_is_missing(arch):
    assert " ".join(stage.key for stage in stages_of(arch)) == ORDER[arch]
    text = "\n".join(document.read_document(DOCS, arch)[f"bringup-{arch}.md"])
    image = Image(harness.kernel_path(arch))
    titles = re.findall(r"^## (\d+)\. (.*)$", text, re.M)
    assert titles == [(str(number), stage.text(image, "title"))
                      for number, stage in enumerate(stages_of(arch), 1)]
    assert text.count("![") == len(titles), "each stage has its drawing"
    assert text.count("**Without it:**") == len(titles)


@pytest.mark.parametrize("old, new", [
    ("| P G NX |", "| P G |"), ("| P G |", "| P W G |"), ("## 9.", "## "), ("`boot_high`", "`boot_low`"),
    ("not mapped", "0x1000"),
])
def test_drift_is_noticed(old, new):
    """Even against a run of another build, where numbers may differ."""
    kept = document.read_document(DOCS, "x86_64")
    name = "bringup-x86_64.md"
    text = "\n".join(kept[name])
    changed = dict(kept, **{name: text.replace(old, new, 1).splitlines()})
    changed[name][-1] = "<!-- another build, Bochs 3.0 -->"
    assert document.differences(kept, changed, "x86_64")[1]


def test_a_number_counts_only_within_one_build():
    kept = document.read_document(DOCS, "i386")
    name = "bringup-i386.md"
    moved = dict(kept, **{name: [line.replace("0x00100003", "0x00200003") for line in kept[name]]})
    assert document.differences(kept, moved, "i386")[1]
    moved[name][-1] = "<!-- another build, Bochs 2.7 -->"
    assert document.differences(kept, moved, "i386") == ("but for the numbers (another build)", [])


def test_a_missing_drawing_is_noticed():
    kept = document.read_document(DOCS, "i386")
    fewer = dict(list(kept.items())[:-1])
    assert document.differences(kept, fewer, "i386")[1]


def hear_interrupts():
    """Ctrl-C works at a terminal, also when the tests are run in the background, where it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def lead(words, **environment):
    """Somebody at a terminal."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "STEP")}
    return pexpect.spawn(words[0], words[1:], env=dict(env, TERM="xterm", **environment), timeout=30 * harness.SLOWER,
                         encoding="utf-8", dimensions=(50, 120), preexec_fn=hear_interrupts)


def child_of(line):
    """The tour's Bochs."""
    [bochs] = Path(f"/proc/{line.pid}/task/{line.pid}/children").read_text().split()
    return bochs


def processor_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wait_until_it_computes(pid, since):
    """A prompt takes no processor time: Ctrl-C would come too early, and be forgotten."""
    for _ in range(int(200 * harness.SLOWER)):
        if processor_ticks(pid) >= since + 20:
            return
        time.sleep(0.05)
    pytest.fail("Bochs stands still")


def test_somebody_goes_on_looks_around_and_quits(machine):
    line = lead(command(*machine))
    line.expect("1 of .*Entry")
    line.expect("tour> ")
    bochs = child_of(line)
    line.send("\r")
    line.expect("2 of .*boot tables")
    line.expect("tour> ")
    line.send("p\r")
    line.expect("<bochs> $")
    line.send("creg\r")
    line.expect("CR0=0x60000011")
    line.expect("<bochs> $")
    since = processor_ticks(bochs)
    line.send("c\r")  # and nothing stops it but Ctrl-C
    wait_until_it_computes(bochs, since)
    line.sendintr()
    line.expect("<bochs> $")
    line.send("tour\r")
    line.expect("tour> ")
    line.send("q\r")
    line.expect(pexpect.EOF)
    line.wait()
    assert line.exitstatus == 0


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_bochs_ends_when_the_tour_is_killed_while_it_runs(machine):
    line = lead(command(*machine))
    line.expect("tour> ")
    bochs = child_of(line)
    line.send("p\r")
    line.expect("<bochs> $")
    line.send("c\r")
    line.expect("c\r\n")
    assert runs(bochs)
    line.kill(signal.SIGKILL)
    line.wait()
    for _ in range(int(100 * harness.SLOWER)):
        if not runs(bochs):
            return
        time.sleep(0.1)
    os.kill(int(bochs), signal.SIGKILL)
    pytest.fail("Bochs went on alone")


def test_without_a_terminal_it_does_not_wait(machine):
    done = subprocess.run(command(*machine), timeout=60 * harness.SLOWER, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and "That was the last stop" in done.stdout


def test_step_1_is_the_bare_debugger_at_the_entry(machine):
    line = lead([str(harness.ROOT / "tools/bochs.sh"), *machine], STEP="1", DISPLAY_LIBRARY="term")
    line.expect(r"_start.*cli")
    line.expect(r"<bochs:\d+> ")
    line.send("q\r")
    line.expect(pexpect.EOF)


def test_bochs_3_is_asked_for_its_debugger(machine, tmp_path):
    """A bochs that says it is 3.0, wants -dbg, and is the real one behind that."""
    fake = tmp_path / "bochs3"
    fake.write_text("""#!/bin/sh
[ "$1" != --help ] || { bochs --help 2>&1 | sed 's/Emulator 2.[0-9]*/Emulator 3.0/'; exit; }
for word; do
    shift
    [ "$word" = -dbg ] && asked=1 || set -- "$@" "$word"
done
[ -n "$asked" ] && exec bochs "$@"
""")
    fake.chmod(0o755)
    done = subprocess.run(command("--document", tmp_path / "docs", *machine), timeout=60 * harness.SLOWER,
                          env=dict(os.environ, BOCHS=str(fake)), stdin=subprocess.DEVNULL)
    assert done.returncode == 0
