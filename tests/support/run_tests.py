"""Runs every suite and ends with one line: N passed, N failed.

usage: run_tests.py [--command NAME=COMMAND ...] [--unit BINARY ...] [--fuzz BINARY ...]
                    [--fuzz-seconds S] [--pytest [ARGUMENT ...]]

A command counts as one test. Unit tests are cmocka programs (TAP), fuzz targets libFuzzer programs
with a corpus in tests/fuzz/corpus/NAME. It fails when anything failed or nothing ran.
"""
import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
passed = failed = skipped = 0


def count(ok, name, output=""):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}\n{output[-8000:]}", flush=True)


def run(words, **options):
    try:
        return subprocess.run(words, capture_output=True, text=True, errors="replace", **options)
    except subprocess.TimeoutExpired as error:
        text = (error.stdout or b"").decode(errors="replace")
        return subprocess.CompletedProcess(words, 124, text, "timed out")


def commands(pairs):
    for pair in pairs:
        name, command = pair.split("=", 1)
        result = run(["sh", "-c", command], timeout=600)
        count(result.returncode == 0, name, result.stdout + result.stderr)


def unit(binaries):
    for binary in binaries:
        result = run([binary], timeout=300, env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
        text = result.stdout + result.stderr
        good = len(re.findall(r"^ok \d+", text, re.M))
        bad = re.findall(r"^not ok \d+ - (.*)", text, re.M)
        for _ in range(good):
            count(True, binary)
        for name in bad:
            count(False, f"{binary} {name}", text)
        if not bad and (result.returncode != 0 or good == 0):
            count(False, f"{binary} (exit status {result.returncode})", text)
    print(f"unit: {passed} passed, {failed} failed", flush=True)


def fuzz(binaries, seconds):
    for binary in binaries:
        name = pathlib.Path(binary).name
        corpus = ROOT / "tests/fuzz/corpus" / name.removeprefix("fuzz_")
        with tempfile.TemporaryDirectory() as directory:
            words = [os.path.abspath(binary), f"-max_total_time={seconds}", "-rss_limit_mb=2048",
                     "-timeout=20", "-print_final_stats=1", directory]
            if corpus.is_dir():
                words.append(str(corpus))
            result = run(words, timeout=seconds + 120, cwd=directory)
            found = "".join(
                f"{path.name}: {path.read_bytes()[:2000]!r}\n"
                for path in pathlib.Path(directory).glob("*-*") if path.name.startswith(
                    ("crash-", "oom-", "timeout-", "leak-")))
        runs = re.search(r"stat::number_of_executed_units: (\d+)", result.stderr)
        print(f"{name}: {runs.group(1) if runs else '?'} runs", flush=True)
        count(result.returncode == 0 and runs is not None, name, result.stderr + found)


def pytest(arguments):
    global passed, failed, skipped
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        status = subprocess.run(
            ["/usr/bin/python3", "-m", "pytest", "-q", f"--junitxml={report.name}",
             "-p", "no:cacheprovider", *arguments], cwd=ROOT).returncode
        try:
            suites = xml.etree.ElementTree.parse(report.name).getroot().iter("testsuite")
        except xml.etree.ElementTree.ParseError:
            suites = []
        total = 0
        for suite in suites:
            bad = int(suite.get("failures")) + int(suite.get("errors"))
            skips = int(suite.get("skipped"))
            passed += int(suite.get("tests")) - bad - skips
            failed += bad
            skipped += skips
            total += int(suite.get("tests"))
        if total == 0 or (status != 0 and failed == 0):
            count(False, f"pytest (exit status {status})")


parser = argparse.ArgumentParser()
parser.add_argument("--command", nargs="*", default=[])
parser.add_argument("--unit", nargs="*", default=[])
parser.add_argument("--fuzz", nargs="*", default=[])
parser.add_argument("--fuzz-seconds", type=int, default=3)
parser.add_argument("--pytest", nargs="?", const="tests/e2e")
options = parser.parse_args()
commands(options.command)
unit(options.unit)
fuzz(options.fuzz, options.fuzz_seconds)
if options.pytest:
    pytest(shlex.split(options.pytest))
if skipped:
    print(f"{skipped} skipped")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
