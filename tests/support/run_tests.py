"""Runs every suite and ends with one line: N passed, N failed.

usage: run_tests.py [--command NAME=COMMAND ...] [--unit BINARY ...] [--fuzz BINARY ...]
                    [--fuzz-seconds S] [--pytest [ARGUMENT ...]]

A command counts as one test. Unit tests are cmocka programs (TAP), fuzz targets libFuzzer programs
with a corpus in tests/fuzz/corpus/NAME. It fails when anything failed or nothing ran.

As many run side by side as there are cores (TEST_LANES=1: one after the other). Of end-to-end tests it is one
file in each lane, on a network of its own where root may make one, so that no port is anybody else's; tests marked
`alone` (what they measure is this machine's time or memory) come when all others are through.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
LANES = int(os.environ.get("TEST_LANES", "0")) or len(os.sched_getaffinity(0))
NOTHING_SELECTED = 5  # pytest's exit status
passed = failed = skipped = 0
counting = threading.Lock()


def count(ok, name, output=""):
    global passed, failed
    with counting:
        if ok:
            passed += 1
        else:
            failed += 1
            print(f"FAILED {name}\n{output[-8000:]}", flush=True)


def in_lanes(do, things):
    with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
        for _ in lanes.map(do, things):  # an exception in a lane ends all of it
            pass


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


def one_unit(binary):
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


def unit(binaries):
    # simulations take longest, and begin first
    in_lanes(one_unit, sorted(binaries, key=lambda name: "/sim/" not in name))
    print(f"unit: {passed} passed, {failed} failed", flush=True)


def one_fuzz(binary, seconds):
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


def fuzz(binaries, seconds):
    in_lanes(lambda binary: one_fuzz(binary, seconds), binaries)


def private_network():
    """Words before a command that give it a loopback of its own, or none."""
    words = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "private-network"]
    try:
        return words if run([*words, "true"]).returncode == 0 else []
    except FileNotFoundError:
        return []


def files_of(arguments):
    """The arguments with each directory of tests as its files, the biggest first: (files, other arguments)."""
    files, others = [], []
    for argument in arguments:
        path = ROOT / argument
        if path.is_dir():
            files += sorted(path.glob("test_*.py"), key=lambda file: -file.stat().st_size)
        elif path.is_file():
            files.append(path)
        else:
            others.append(argument)
    return [str(file.relative_to(ROOT)) for file in files], others


def count_report(path):
    """Adds up what a report says; None when it says nothing."""
    global passed, failed, skipped
    try:
        suites = list(xml.etree.ElementTree.parse(path).getroot().iter("testsuite"))
    except xml.etree.ElementTree.ParseError:
        return None
    total = bad = 0
    with counting:
        for suite in suites:
            wrong = int(suite.get("failures")) + int(suite.get("errors"))
            skips = int(suite.get("skipped"))
            passed += int(suite.get("tests")) - wrong - skips
            failed += wrong
            skipped += skips
            total += int(suite.get("tests"))
            bad += wrong
    return total, bad


def one_pytest(name, arguments, before=()):
    begun = time.monotonic()
    # Each run has a directory of its own: pytest closes the one that all share to other users whenever a run begins,
    # also to those as whom servers of a test in the next lane are running. Names are short for the sake of sockets.
    with tempfile.NamedTemporaryFile(suffix=".xml") as report, \
            tempfile.TemporaryDirectory(prefix="pt-", ignore_cleanup_errors=True) as directory:
        result = subprocess.run(
            [*before, "/usr/bin/python3", "-m", "pytest", "-q", f"--junitxml={report.name}", "-p", "no:cacheprovider",
             f"--basetemp={directory}/t", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if result.returncode == NOTHING_SELECTED:
            return 0
        total, bad = count_report(report.name) or (0, 0)
    if result.returncode != 0:
        print(result.stdout, flush=True)
    last = (result.stdout.strip().splitlines() or [""])[-1]
    print(f"{name}: {last} (whole: {time.monotonic() - begun:.0f} s)", flush=True)
    if total == 0 or (result.returncode != 0 and bad == 0):
        count(False, f"{name} (exit status {result.returncode})", result.stdout)
    return total


def pytest(arguments):
    files, others = files_of(arguments)
    network = private_network()
    totals = [0]

    def lane(file):
        total = one_pytest(file, ["-m", "not alone", file, *others], network)
        with counting:
            totals[0] += total
    if not files:
        totals[0] = one_pytest("pytest", others, network)
    else:
        in_lanes(lane, files)
        totals[0] += one_pytest("alone", ["-m", "alone", *files, *others], network)
    if totals[0] == 0:
        count(False, "pytest ran no test")


parser = argparse.ArgumentParser()
parser.add_argument("--command", nargs="*", default=[])
parser.add_argument("--unit", nargs="*", default=[])
parser.add_argument("--fuzz", nargs="*", default=[])
parser.add_argument("--fuzz-seconds", type=int, default=3)
parser.add_argument("--pytest", nargs="?", const="tests/e2e")
options = parser.parse_args()
commands(options.command)
if options.unit:
    unit(options.unit)
fuzz(options.fuzz, options.fuzz_seconds)
if options.pytest:
    pytest(shlex.split(options.pytest))
if skipped:
    print(f"{skipped} skipped")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
