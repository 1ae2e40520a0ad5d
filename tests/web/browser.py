# SPDX-License-Identifier: MIT
"""browser.py - a plain file server for build/web, and a headless Chromium that looks at it.

The server listens on 127.0.0.1 alone. Chromium may resolve no other name, so what the page asks of
the rest of the world fails, and is in its log: `foreign_requests` and `complaints` say so.
"""
import contextlib
import functools
import http.server
import json
import os
import shutil
import threading
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TWINPAGE_BUILD", ROOT / "build"))
SLOWER = float(os.environ.get("TWINPAGE_SLOWER", "1"))
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--disable-background-networking", "--no-first-run", "--hide-scrollbars",
         "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")


def program(names, what):
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"no {what} here ({', '.join(names)}): make deps test installs it"
    return found


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(directory):
    """As `python3 -m http.server` does it; yields the address of the page."""
    assert (directory / "index.html").exists(), f"{directory} is not there: make web"
    handler = functools.partial(QuietHandler, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def start_chromium(size):
    options = Options()
    options.binary_location = program(CHROMIUM, "Chromium")
    for flag in (*FLAGS, f"--window-size={size}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = program(("chromedriver",), "driver for Chromium")
    return webdriver.Chrome(service=Service(driver), options=options)


class Page:
    """The page with a machine in it, from the file server to the prompt."""

    def __init__(self, size="1600,1360"):
        self.stack = contextlib.ExitStack()
        try:
            self.origin = self.stack.enter_context(served(BUILD / "web"))
            self.driver = start_chromium(size)
            self.stack.callback(self.driver.quit)
            self.driver.get(self.origin)
            self.until("twinpage.state.ready && twinpage.state.agree")
        except BaseException:
            self.stack.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def value(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def until(self, expression, timeout=40):
        """Waits until the expression, in JavaScript, is true; returns its value."""
        end = time.monotonic() + timeout * SLOWER
        while time.monotonic() < end:
            found = self.value(f"window.twinpage && ({expression})")
            if found:
                return found
            time.sleep(0.1)
        seen = self.value("window.twinpage ? twinpage.terminal.text() : document.body.innerText")
        raise AssertionError(f"never true: {expression}\n{seen}\n{self.complaints()}")

    def element(self, name):
        return self.driver.find_element("id", name)

    def run(self, command):
        """Types into the terminal, key by key; returns what was said up to the next prompt."""
        before = self.value("twinpage.terminal.text().length")
        self.element("terminal").send_keys(command + "\n")
        told = f"twinpage.terminal.text().slice({before})"
        return self.until(f"/\\ntwinpage> $/.test({told}) && {told}")

    def complaints(self):
        """What the console has had to say since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def foreign_requests(self):
        """Addresses outside of the page's own origin that were asked for since the last time."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                params = message["params"]
                found.append(params.get("url") or params["request"]["url"])
        return [url for url in found
                if not url.startswith((self.origin, "data:", "blob:" + self.origin))]
