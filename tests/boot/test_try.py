# SPDX-License-Identifier: MIT
"""map, unmap, protect, grab, drop: what they change is what the reports then say."""
import pytest

import harness

HERE = 0x40000000


@pytest.fixture
def machine(arch):
    with harness.Machine(arch) as machine:
        machine.wait_prompt()
        yield machine


def user_maps(machine):
    return [(int(m["va"], 16), m["length"], m["perm"]) for m in machine.json("ptdump")["maps"]
            if int(m["va"], 16) < 0xc0000000]


def frames(machine):
    return machine.json("meminfo")["frames"]


def test_map_protect_unmap(machine):
    before = frames(machine)
    machine.run(f"map {HERE:#x} 3")
    assert user_maps(machine) == [(HERE, 0x3000, user_maps(machine)[0][2])]
    assert {"r", "w"} <= set(user_maps(machine)[0][2])
    assert frames(machine)["free"] <= before["free"] - 3

    machine.run(f"protect {HERE + 0x1000:#x} r")
    assert ["w" in perm for _, _, perm in user_maps(machine)] == [True, False, True]

    machine.run(f"unmap {HERE:#x} 3")
    assert user_maps(machine) == []
    assert frames(machine) == before, "frames and tables are all back"


def test_grab_and_drop(machine):
    before = machine.json("meminfo")
    at = int(machine.json("grab 300K")["va"], 16)
    assert machine.json("meminfo")["heap"]["used"] >= before["heap"]["used"] + (300 << 10)
    assert machine.json(f"walk {at:#x}")["perm"].startswith("rw")
    assert int(machine.json("drop")["va"], 16) == at
    assert machine.json("meminfo")["heap"]["used"] == before["heap"]["used"]


@pytest.mark.parametrize("command, words", [
    ("map 0", "usage"), ("map 0x1001", "usage"), ("map 0xfffffffffffff000", "usage"),
    (f"map {HERE:#x} 0", "usage"), (f"map {HERE:#x} 60000", "MEM_NO_FRAME"),
    (f"unmap {HERE:#x}", "MEM_NOT_MAPPED"), (f"protect {HERE:#x} r", "MEM_NOT_MAPPED"),
    (f"protect {HERE:#x} x", "usage"), ("protect r", "usage"), ("protect", "usage"),
    ("grab", "usage"), ("grab 0", "usage"), ("grab 1G", "has no"), ("drop", "nothing is held"),
])
def test_what_cannot_be_is_refused_and_changes_nothing(shell, command, words):
    before = frames(shell)
    assert words in shell.run(command)
    assert words in shell.json(command)["error"]
    assert frames(shell) == before


def test_mapping_twice_is_refused(machine):
    machine.run(f"map {HERE:#x}")
    before = frames(machine)
    assert "MEM_MAPPED" in machine.run(f"map {HERE - 0x1000:#x} 3")
    assert frames(machine) == before
    assert machine.run("selftest").strip().endswith("0 failed")


def test_nothing_is_mapped_under_a_storm(machine):
    """A storm has the CPU walk tables of its own: what the kernel maps below is not there."""
    machine.run("storm 1 20")
    for command in (f"map {HERE:#x}", f"unmap {HERE:#x}", f"protect {HERE:#x} r"):
        assert "storm clear takes it away" in machine.run(command)
    assert "in the way; storm clear" in machine.run("storm edges")
    assert "nothing of the storm is left" in machine.run("storm clear")
    assert "0 left something" in machine.run("storm edges")
    machine.run("alloc 100000 10")  # of the heap's memory the storm knows nothing
    assert "nothing of the storm is left" in machine.run("storm clear")
