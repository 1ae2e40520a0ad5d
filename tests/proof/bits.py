#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bits.py - proves every axiom of this directory, as a bit vector, with Z3.

WP reasons about whole numbers and knows little of & | << >> and nothing of wrapping. The facts that
it needs of them are axioms. Here each one, read from that very text, is turned into a question
about signed words of 96 bits, wide enough that nothing in it can wrap, and Z3 must find no
counterexample. Every variable has to be bounded, to 65 bits at most; a byte in memory is a variable
of 8. A shift `n` is tried at each value below 64, since division by an unknown power of two is
beyond Z3.
"""
import ast
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH = 96
BINARY = {ast.BitAnd: "bvand", ast.BitOr: "bvor", ast.LShift: "bvshl", ast.RShift: "bvashr",
          ast.Add: "bvadd", ast.Sub: "bvsub", ast.Mult: "bvmul", ast.Mod: "bvsrem",
          ast.FloorDiv: "bvsdiv"}  # C's division, which rounds to 0
COMPARE = {ast.Lt: "bvslt", ast.LtE: "bvsle", ast.Gt: "bvsgt", ast.GtE: "bvsge", ast.Eq: "="}


def number(value):
    return f"(_ bv{value} {WIDTH})"


def smt(node):
    """A Python expression as an SMT-LIB term."""
    if isinstance(node, ast.Constant):
        return number(node.value)
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp):
        return f"({BINARY[type(node.op)]} {smt(node.left)} {smt(node.right)})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return f"(bvneg {smt(node.operand)})"
    if isinstance(node, ast.Call) and node.func.id == "pow2":
        return f"(bvshl {number(1)} {smt(node.args[0])})"
    if isinstance(node, ast.Call) and node.func.id == "rem":
        x, n = map(smt, node.args)
        return f"(bvsrem {x} (bvshl {number(1)} {n}))"
    if isinstance(node, ast.Call):  # u8, u32, u64: a cast
        return f"(bvand {smt(node.args[0])} {number((1 << int(node.func.id[1:])) - 1)})"
    if isinstance(node, ast.Compare):
        terms = [node.left, *node.comparators]
        parts = [f"({COMPARE[type(op)]} {smt(a)} {smt(b)})"
                 for op, a, b in zip(node.ops, terms, terms[1:])]
        return f"(and true {' '.join(parts)})"
    raise ValueError(ast.dump(node))


def python(text):
    """ACSL's words for it in Python's, where all shifts and masks stand in brackets."""
    text = re.sub(r"\*([pq])\b", r"\1", text)
    text = re.sub(r"\(uint(\d+)_t\)\(", r"u\1(", text)
    return text.replace(" / ", " // ").strip()


def conjuncts(text):
    return " ".join(smt(ast.parse(python(part), mode="eval").body) for part in text.split("&&"))


def bounded(variable, body):
    """Does the axiom say how large it is? Its bounds are in what it asks for: numbers, or it is given."""
    number_of = r"-?\d+"
    given = body.rsplit("==>", 1)[0]
    between = re.search(rf"({number_of}) <= {variable} < ({number_of})", given)
    if between:
        return all(abs(int(bound)) <= 1 << 65 for bound in between.groups())
    return bool(re.search(rf"[^=<>]\b{variable} == ", given))


def question(name, body, n):
    """SMT-LIB: can the axiom be false, for this n? Can all that it asks for be true?"""
    kind, names, body = re.match(
        r"(?:\\forall (integer|uint8_t|uint64_t) ([\w*, ]+);)?(.*)", body, re.S).groups()
    lines = []
    for variable in re.findall(r"\w+", names or ""):
        lines += [f"(declare-const {variable} (_ BitVec {WIDTH}))"]
        if kind != "integer":
            lines += [f"(assert (bvult {variable} {number(1 << int(kind[4:-2]))}))"]
        elif not bounded(variable, body):
            raise ValueError(f"axiom {name} does not say how large {variable} is")
        if variable == "n":
            lines += [f"(assert (= n {number(n)}))"]
    *given, conclusion = body.split("==>")
    lines += [f"(assert (and true {conjuncts(h)}))" for h in given]
    lines += [f'(echo "{name}")', "(check-sat)", f"(assert (not (and true {conjuncts(conclusion)})))",
              "(check-sat)"]
    return "(push)\n" + "\n".join(lines) + "\n(pop)\n"


def axioms():
    """(name, what it says) of every axiom here."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "*.[ch]"))):
        with open(path, encoding="ascii") as file:
            found += re.findall(r"\baxiom (\w+)(?:\{L\})?: ((?:\\forall [^;]*;)?[^;]*);", file.read())
    return found


def prove():
    """Returns the names of the axioms, and of those that Z3 does not confirm."""
    found = axioms()
    script = "(set-option :timeout 60000)\n"
    for name, body in found:
        shifts = range(64) if re.search(r"\\forall integer [^;]*\bn\b", body) else [0]
        script += "".join(question(name, body, n) for n in shifts)
    done = subprocess.run(["z3", "-in"], input=script, capture_output=True, text=True, check=False)
    words = done.stdout.split()
    asked, given, false = words[::3], words[1::3], words[2::3]
    names = [name for name, _ in found]
    return names, [name for name in names
                   if "sat" not in [g for a, g in zip(asked, given) if a == name] or
                   {"unsat"} != {f for a, f in zip(asked, false) if a == name}]


if __name__ == "__main__":
    every, bad = prove()
    print(f"{len(every) - len(bad)} of {len(every)} axioms about bits proved", *bad)
    sys.exit(bool(bad) or not every)
