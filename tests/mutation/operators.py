# SPDX-License-Identifier: MIT
"""operators.py - all small mistakes that could be made in a C file: one each, never two.

Works on tokens, inside function bodies; clang-format's spaces tell a binary operator from a unary
one and from a pointer's star. What comes out and is no C, the compiler throws out.
"""
import re
from collections import Counter
from dataclasses import dataclass

TOKEN = re.compile(r"""
    (?P<comment> /\*.*?\*/ | //[^\n]*) | (?P<hash> ^[ \t]*\#(?:\\\n|[^\n])*) |
    (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*') |
    (?P<number> \b(?:0x[0-9a-fA-F]+|\d+)[uUlL]*\b) | (?P<word> [A-Za-z_]\w*) |
    (?P<sign> <<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^!~<>=?:;,.(){}\[\]])
""", re.X | re.M | re.S)

BINARY = {  # with a space on both sides
    "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
    "==": ["!="], "!=": ["=="], "&&": ["||"], "||": ["&&"],
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
    "&": ["|"], "|": ["&"], "^": ["|"], "<<": [">>"], ">>": ["<<"],
    "+=": ["-="], "-=": ["+="], "|=": ["&="], "&=": ["|="], "^=": ["|="], "*=": ["/="],
    "<<=": [">>="], ">>=": ["<<="],
}
WORDS = {"true": "false", "false": "true", "continue": "break", "break": "continue"}


@dataclass(frozen=True)
class Mutant:
    file: str
    start: int   # of the text that is replaced
    end: int
    new: str
    name: str    # the operator
    line: int
    text: str    # the line's text
    nth: int     # of those with the same name and text in this file

    @property
    def key(self):
        return self.file, self.name, self.text

    @property
    def id(self):
        return *self.key, self.nth

    def apply(self, source):
        return source[:self.start] + self.new + source[self.end:]

    def __str__(self):
        return f"{self.file}:{self.line}: {self.name}: {self.text}"


def tokens(source):
    return [(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKEN.finditer(source)
            if m.lastgroup not in ("comment", "hash")]


def bodies(toks):
    """Ranges of token indices that are function bodies: `) {` at the outermost level."""
    depth, begin = 0, None
    for i, (_, text, _, _) in enumerate(toks):
        if text == "{":
            if depth == 0 and i and toks[i - 1][1] == ")":
                begin = i
            depth += 1
        elif text == "}":
            depth -= 1
            if depth == 0 and begin is not None:
                yield begin, i
                begin = None


def matching(toks, i):
    depth = 0
    for j in range(i, len(toks)):
        depth += (toks[j][1] in "([{") - (toks[j][1] in ")]}")
        if depth == 0:
            return j
    return i


def number(text):
    body = text.rstrip("uUlL")
    suffix = text[len(body):]
    value = int(body, 0) if body.startswith("0x") else int(body)
    return [f"{n}{suffix}" for n in (value + 1, value - 1) if n >= 0]


def mutants(file, source):
    """Every mutant of the file, in the order of the text."""
    lines = source.split("\n")
    toks, seen = tokens(source), Counter()
    for begin, end in bodies(toks):
        for i in range(begin + 1, end):
            for start, stop, new, name in at_token(source, toks, i):
                line = source.count("\n", 0, start)
                text = lines[line].strip()
                yield Mutant(file, start, stop, new, name, line + 1, text, seen[name, text])
                seen[name, text] += 1


def at_token(source, toks, i):
    kind, text, start, end = toks[i]
    spaced = source[start - 1] in " \n" and source[end:end + 1] in (" ", "\n")
    if kind == "sign" and text in BINARY and spaced:
        for new in BINARY[text]:
            yield start, end, new, f"{text} -> {new}"
    elif kind == "sign" and text in ("!", "~"):
        yield start, end, "", f"{text} dropped"
    elif kind == "sign" and text in ("++", "--"):
        new = "--" if text == "++" else "++"
        yield start, end, new, f"{text} -> {new}"
    elif kind == "number":
        for new in number(text):
            yield start, end, new, f"{text} -> {new}"
    elif text in WORDS:
        yield start, end, WORDS[text], f"{text} -> {WORDS[text]}"
    elif text in ("if", "while") and toks[i + 1][1] == "(":
        close = matching(toks, i + 1)
        inner = toks[i + 1][3], toks[close][2]
        condition = source[inner[0]:inner[1]]
        yield *inner, f"!({condition})", f"{text} negated"
        if text == "if":
            yield *inner, "0", "if never"
            yield *inner, "1", "if always"
    elif text == "return":
        yield from at_return(source, toks, i)
    if toks[i - 1][1] in (";", "{", "}"):
        yield from at_statement(source, toks, i)


def semicolon(toks, i):
    """Where the statement at i ends; None: it is none, but an item of an initializer."""
    while toks[i][1] != ";":
        if toks[i][1] in ")]}":
            return None
        i = matching(toks, i) + 1 if toks[i][1] in "([{" else i + 1
    return i


def at_return(source, toks, i):
    stop = toks[semicolon(toks, i)][2]
    value = source[toks[i][3] + 1:stop]
    if value == "MEM_OK":
        yield toks[i][3] + 1, stop, "MEM_CORRUPT", "MEM_OK -> MEM_CORRUPT"
    elif value.startswith("MEM_"):
        yield toks[i][3] + 1, stop, "MEM_OK", f"{value} -> MEM_OK"
    elif value and value not in ("true", "false", "0", "1", "NULL"):
        yield toks[i][3] + 1, stop, "0", "return 0"
        if " ? " in value or "&&" in value or "||" in value:
            yield toks[i][3] + 1, stop, f"!({value})", "return negated"


def at_statement(source, toks, i):
    """A call or an assignment is forgotten."""
    kind, text, start, _ = toks[i]
    if kind == "word" and toks[i + 1][0] == "word":
        return  # a declaration, or else, return, goto
    if text in ("if", "while", "for", "do", "switch", "case", "default", "return", "else") or \
            (kind != "word" and text not in ("*", "++", "--", "(")):
        return
    last = semicolon(toks, i)
    if last is None:
        return
    stop = toks[last][3]
    statement = source[start:stop]
    if re.search(r"=|\(|\+\+|--", statement) and not statement.startswith("(void)") and \
            "{" not in statement:
        yield start, stop, ";", "dropped"
    elif text in ("break", "continue"):
        yield start, stop, ";", "dropped"
