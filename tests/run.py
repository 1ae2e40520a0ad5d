#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""run.py - runs the unit tests and pytest, and adds them up in one last line.

    run.py [--summary FILE] [--unit BINARY...] [--pytest ARGUMENT...]

A unit test binary speaks TAP. One that dies, hangs or stops before its plan is fulfilled counts as
a failure, so a crash can never look like fewer tests. The exit code is 0 only when nothing failed
and something passed.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

UNIT_TIMEOUT = 600  # seconds; each takes a few, the longest 30 on an idle machine


def run_unit(binary, more_env=()):
    """Returns (passed, failed, text of what went wrong, seconds)."""
    begin = time.monotonic()
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", UBSAN_OPTIONS="print_stacktrace=1", **dict(more_env))
    try:
        done = subprocess.run([binary], env=env, stdin=subprocess.DEVNULL, timeout=UNIT_TIMEOUT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text, code = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        text, code = (late.stdout or b"").decode(errors="replace") + "\ntimed out\n", -1
    results = re.findall(r"^(ok|not ok) \d+(.*)", text, re.M)
    skipped = sum("# SKIP" in rest for _, rest in results)
    passed = sum(word == "ok" and "# SKIP" not in rest for word, rest in results)
    failed = len(results) - passed - skipped
    planned = sum(int(n) for n in re.findall(r"^1\.\.(\d+)", text, re.M))
    if code != 0 and not failed:
        failed = 1
    if planned == 0 or passed + failed + skipped < planned:
        failed += 1
        text += f"\n{planned} tests planned, {passed + failed + skipped} told of; exit code {code}\n"
    return passed, failed, text, time.monotonic() - begin


def run_units(binaries):
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for binary, (good, bad, text, seconds) in zip(binaries, pool.map(run_unit, binaries)):
            passed, failed = passed + good, failed + bad
            print(f"  UNIT    {os.path.basename(binary)}: {good} passed, {bad} failed, "
                  f"{seconds:.1f} s", flush=True)
            if bad:
                print(text, flush=True)
    return passed, failed


def run_pytest(arguments):
    with tempfile.TemporaryDirectory() as directory:
        report = os.path.join(directory, "report.xml")
        code = subprocess.call([sys.executable, "-m", "pytest", f"--junit-xml={report}", *arguments])
        try:
            suites = xml.parse(report).getroot().iter("testsuite")
            totals = [{k: int(s.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
                      for s in suites]
        except (OSError, xml.ParseError):
            return 0, 1
    bad = sum(t["failures"] + t["errors"] for t in totals)
    good = sum(t["tests"] - t["skipped"] for t in totals) - bad
    if code != 0 and not bad:
        bad = 1
    return good, bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unit", nargs="*", default=[])
    parser.add_argument("--summary", help="also write the last line to this file")
    parser.add_argument("--pytest", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    passed, failed = run_units(options.unit)
    if options.pytest is not None:
        good, bad = run_pytest(options.pytest)
        passed, failed = passed + good, failed + bad
    line = f"{passed} passed, {failed} failed"
    if options.summary:
        with open(options.summary, "w", encoding="ascii") as file:
            print(line, file=file)
    print(line, flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
