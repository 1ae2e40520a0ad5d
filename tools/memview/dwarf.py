# SPDX-License-Identifier: MIT
"""dwarf.py - the layout of C types, read from the debug information of one source file.

Nothing here knows a field's offset: a struct that changes in the kernel changes here by itself. A
View is a struct in memory with its fields as attributes:

    view = View(memory, types.struct("kernel"), address)
    view.pmm.total          a number
    view.pmm.spans          a pointer is a number too
    view.points("pmm").total    what a pointer field points at
    view.mmio.region[3]     an element of an array
"""
from dataclasses import dataclass, field


@dataclass
class Base:
    size: int
    signed: bool = False
    name: str = ""


@dataclass
class Enum(Base):
    names: dict = field(default_factory=dict)  # value -> name


@dataclass
class Pointer(Base):
    die: object = None


@dataclass
class Array:
    element: object
    count: int
    name: str = ""

    @property
    def size(self):
        return self.element.size * self.count


@dataclass
class Struct:
    size: int
    fields: dict  # name -> (offset, type)
    name: str = ""


class Types:
    """The types that one source file knows; what it only declares is looked for in the others. (A
    compiler describes what a file uses, and Clang uses less than GCC.)"""

    def __init__(self, elf, source):
        units = list(elf.get_dwarf_info().iter_CUs())
        self.unit = next(cu for cu in units if self._name(cu.get_top_DIE()).endswith(source))
        self.others = [cu for cu in units if cu is not self.unit]
        self.by_tag, self.cache = {}, {}
        self._note(self.unit)

    def _note(self, unit):
        for die in unit.iter_DIEs():
            if die.tag in ("DW_TAG_structure_type", "DW_TAG_enumeration_type") \
                    and "DW_AT_declaration" not in die.attributes:
                self.by_tag.setdefault(self._name(die), die)

    @staticmethod
    def _name(die):
        attribute = die.attributes.get("DW_AT_name")
        return attribute.value.decode() if attribute else ""

    def struct(self, name):
        while name not in self.by_tag and self.others:
            self._note(self.others.pop(0))
        return self._type(self.by_tag[name])

    enum = struct

    def pointed_at(self, pointer):
        return self._type(pointer.die)

    def _below(self, die):
        return die.get_DIE_from_attribute("DW_AT_type") if "DW_AT_type" in die.attributes else None

    def _type(self, die):
        if die is None:
            return Base(1, name="void")
        if die.offset not in self.cache:
            self.cache[die.offset] = self._make(die)
        return self.cache[die.offset]

    def _make(self, die):
        size = die.attributes["DW_AT_byte_size"].value if "DW_AT_byte_size" in die.attributes else 0
        if die.tag == "DW_TAG_base_type":
            signed = die.attributes["DW_AT_encoding"].value in (5, 6)  # DW_ATE_signed, signed_char
            return Base(size, signed, self._name(die))
        if die.tag == "DW_TAG_enumeration_type":
            names = {c.attributes["DW_AT_const_value"].value: self._name(c)
                     for c in die.iter_children() if c.tag == "DW_TAG_enumerator"}
            return Enum(size, False, self._name(die), names)
        if die.tag == "DW_TAG_pointer_type":
            return Pointer(size or self.unit["address_size"], False, "", self._below(die))
        if die.tag == "DW_TAG_array_type":
            return self._array(die)
        if "DW_AT_declaration" in die.attributes:
            return self.struct(self._name(die))
        if die.tag in ("DW_TAG_structure_type", "DW_TAG_union_type"):
            return self._struct(die, size)
        return self._type(self._below(die))  # typedef, const, volatile, _Atomic

    def _array(self, die):
        made = self._type(self._below(die))
        ranges = [c for c in die.iter_children() if c.tag == "DW_TAG_subrange_type"]
        for bound in reversed(ranges):
            a = bound.attributes
            count = a["DW_AT_count"].value if "DW_AT_count" in a else \
                a["DW_AT_upper_bound"].value + 1 if "DW_AT_upper_bound" in a else 0
            made = Array(made, count)
        return made

    def _struct(self, die, size):
        made = Struct(size, {}, self._name(die))
        self.cache[die.offset] = made  # a struct may point at itself
        for child in die.iter_children():
            if child.tag == "DW_TAG_member":
                offset = child.attributes.get("DW_AT_data_member_location")
                made.fields[self._name(child)] = (offset.value if offset else 0,
                                                  self._type(self._below(child)))
        return made


class View:
    """A struct at an address; `memory` has read(address, count)."""

    def __init__(self, types, memory, struct, address):
        self._types, self._memory, self._struct, self._address = types, memory, struct, address

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            offset, kind = self._struct.fields[name]
        except KeyError:
            raise AttributeError(f"struct {self._struct.name} has no field {name}") from None
        return value_at(self._types, self._memory, kind, self._address + offset)

    def has(self, name):
        return name in self._struct.fields

    def address_of(self, name):
        return self._address + self._struct.fields[name][0]

    def points(self, name, index=0):
        """What a pointer field points at, or the element `index` behind it."""
        kind = self._types.pointed_at(self._struct.fields[name][1])
        return value_at(self._types, self._memory, kind, getattr(self, name) + index * kind.size)

    def element_bytes(self, name):
        return self._types.pointed_at(self._struct.fields[name][1]).size


def value_at(types, memory, kind, address):
    if isinstance(kind, Struct):
        if list(kind.fields) == ["v"]:  # the strong types: paddr_t, vaddr_t, pfn_t
            return value_at(types, memory, kind.fields["v"][1], address)
        return View(types, memory, kind, address)
    if isinstance(kind, Array):
        return [value_at(types, memory, kind.element, address + i * kind.element.size)
                for i in range(kind.count)]
    return int.from_bytes(memory.read(address, kind.size), "little", signed=kind.signed)
