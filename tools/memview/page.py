# SPDX-License-Identifier: MIT
"""page.py - the JSON, the styles and the script in one HTML file that needs nothing else."""
import json
from pathlib import Path

HERE = Path(__file__).resolve().parent


def html(whole):
    data = json.dumps(whole, separators=(",", ":")).replace("<", "\\u003c")
    text = (HERE / "page.html").read_text(encoding="utf-8")
    for name, content in (("page.css", None), ("page.js", None), ("DATA", data)):
        if content is None:
            content = (HERE / name).read_text(encoding="utf-8")
        text = text.replace(f"@@{name}@@", content)
    return text
