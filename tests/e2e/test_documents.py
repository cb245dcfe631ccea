"""What docs/OPERATING.md tells an operator to type works, in its order and as it stands."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import harness

DOCUMENT = harness.ROOT / "docs/OPERATING.md"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    if os.getuid() != 0 or shutil.which("unshare") is None or shutil.which("swaks") is None:
        pytest.skip("it needs root, unshare and swaks")
    if pathlib.Path("/etc/postilion").exists():
        pytest.skip("postilion is installed on this machine")
    host = [str(harness.ROOT / "tests/support/private_host"), str(tmp_path_factory.mktemp("host"))]
    if subprocess.run([*host, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine gives no namespace or overlay")
    relative = os.path.relpath(harness.BUILD, harness.ROOT)
    result = subprocess.run(
        [*host, "/usr/bin/python3", str(harness.ROOT / "tests/support/run_document.py"), str(DOCUMENT)],
        capture_output=True, text=True, timeout=4 * harness.PATIENCE, env={**os.environ, "MAKEFLAGS": f"-- BUILD={relative}"})
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def output_of(told, words):
    return next(block["output"] for block in told["blocks"] if words in block["block"])


def test_every_command_of_the_operating_manual_works(told):
    failed = [block for block in told["blocks"] if block["status"] != 0]
    assert failed == [], failed[0]["block"] + failed[0]["output"] + told["log"]
    assert len(told["blocks"]) == len(re.findall(r"(?m)^```sh$", DOCUMENT.read_text())) > 10


def test_the_first_message_is_forwarded(told):
    assert len(told["senders"]) == 1 and re.fullmatch(r"SRS0=.*=sender\.example=bob@srs\.example\.org", told["senders"][0])
    assert "bob@sender.example" in output_of(told, "srs reverse").splitlines()


def test_spf_of_the_example_passes(told):
    assert "pass" in output_of(told, "auth spf")


def test_what_waits_survives_the_salvage(told):
    assert "admin@mail.example" in told["queue"], told["log"]
