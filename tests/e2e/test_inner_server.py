"""docs/INNER-SERVER.md: Postfix, Exim, and Dovecot behind Postfix, configured as it says, take mail from postilion."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import harness

sys.path.insert(0, str(harness.ROOT / "tests/support"))
import document_text  # noqa: E402

DOCUMENT = harness.ROOT / "docs/INNER-SERVER.md"
SERVERS = ["postfix", "exim", "dovecot"]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("it needs root and unshare")
    if pathlib.Path("/etc/postilion").exists():
        pytest.skip("postilion is installed on this machine")
    if not (harness.PEERS / "inner").is_dir():
        pytest.skip("the servers are not unpacked (make peers)")
    host = [str(harness.ROOT / "tests/support/private_host"), str(tmp_path_factory.mktemp("host"))]
    if subprocess.run([*host, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine gives no namespace or overlay")
    result = subprocess.run(
        [*host, sys.executable, str(harness.ROOT / "tests/support/run_inner_servers.py"), str(DOCUMENT), str(harness.PEERS)],
        capture_output=True, text=True, timeout=10 * harness.PATIENCE,
        env={**os.environ, "MAKEFLAGS": f"-- BUILD={os.path.relpath(harness.BUILD, harness.ROOT)}"})
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(params=SERVERS)
def server(told, request):
    assert told["begin"] == [] and told["check"]["status"] == 0, told["check"]
    story = told[request.param]
    assert "failed" not in story, story["failed"] + story["log"]
    return {**story, "name": request.param}


def test_every_piece_of_the_document_is_loaded():
    assert document_text.unknown_blocks(DOCUMENT) == []
    used = (harness.ROOT / "tests/support/run_inner_servers.py").read_text()
    for name, _ in document_text.FENCE.findall(document_text.read(DOCUMENT)):
        assert name == "conf" or f'block_of(DOCUMENT, "{name}")' in used, name


def of_subject(server, subject):
    found = [message for message in server["stored"] if message["subject"] == subject]
    assert len(found) == 1, (found, server["log"])
    return found[0]


def test_a_message_arrives_and_its_sender_was_not_tested(server):
    """The SRS domain's SPF record does not have 10.0.0.1."""
    assert server["hello"][-1].startswith("250 "), server["log"]
    text = of_subject(server, "hello")["text"]
    assert re.search(r"(?m)^Return-Path: <SRS0=\S+=sender\.example=bob@srs\.example\.org>", text, re.I), text
    assert "Received-SPF: fail" not in text.lower()


def test_others_are_tested(server):
    """The same sender from another address inside: the recipe has not switched SPF off."""
    assert re.match(r"5\d\d .*SPF", server["strange"][-1], re.I), server["strange"]


def test_an_unknown_recipient_is_refused_in_the_session(server):
    assert server["unknown"][-1].startswith("550 5.1.1 "), (server["unknown"], server["log"])
    assert "internal.example.org" not in server["unknown"][-1]


def test_a_bounce_for_a_mailbox_arrives(server):
    assert server["bounce"][-1].startswith("250 "), server["bounce"]
    assert of_subject(server, "bounce")


def test_we_may_not_relay(server):
    assert re.match(r"[45]\d\d .*relay", server["relay"][-1], re.I), server["relay"]


def test_sizes_are_equal(server):
    assert server["sizes"] == ["SIZE 52428800"] * 2


def test_only_our_results_count(server):
    """A client's own field in our name does not arrive; ours does."""
    forged = of_subject(server, "forged")["text"]
    assert "dmarc=fail" not in forged and re.search(r"(?m)^Authentication-Results: mx\.example\.org;", forged)
    assert "dmarc=fail" in of_subject(server, "spoofed")["text"]


def test_what_failed_is_sorted_by_sieve(told):
    stored = {message["subject"]: message["folder"] for message in told["dovecot"]["stored"]}
    assert stored == {"hello": "dovecot", "bounce": "dovecot", "forged": "dovecot", "spoofed": ".Junk"}, told["dovecot"]["log"]
