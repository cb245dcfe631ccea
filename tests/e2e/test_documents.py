"""What README.md, docs/OPERATING.md and docs/MIGRATING.md tell a reader to type or to configure works, in its order and as it stands."""
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

OPERATING = harness.ROOT / "docs/OPERATING.md"
README = harness.ROOT / "README.md"
MIGRATING = harness.ROOT / "docs/MIGRATING.md"
DOCUMENTS = [README, OPERATING, MIGRATING]
# `make test` is of two tests here: it is what runs all of this.
FEW_TESTS = "UNIT_TESTS={build}/unit/base/test_bytes SIM_TESTS= FUZZERS= EXTRA_TEST_PROGRAMS= PYTEST_ARGUMENTS=tests/e2e/test_headers_command.py"


def tell(document, directory):
    if os.getuid() != 0 or shutil.which("unshare") is None or shutil.which("swaks") is None:
        pytest.skip("it needs root, unshare and swaks")
    if pathlib.Path("/etc/postilion").exists():
        pytest.skip("postilion is installed on this machine")
    host = [str(harness.ROOT / "tests/support/private_host"), str(directory)]
    if subprocess.run([*host, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine gives no namespace or overlay")
    build = os.path.relpath(harness.BUILD, harness.ROOT)
    flags = f"-- BUILD={build} PEERS={harness.PEERS} {FEW_TESTS.format(build=build)}"
    result = subprocess.run(
        [*host, "/usr/bin/python3", str(harness.ROOT / "tests/support/run_document.py"), str(document)],
        capture_output=True, text=True, timeout=20 * harness.PATIENCE, env={**os.environ, "MAKEFLAGS": flags})
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    told = {}

    def story(document):
        if document not in told:
            told[document] = tell(document, tmp_path_factory.mktemp("host"))
        return told[document]
    return story


def output_of(told, words):
    return next(one["output"] for one in [*told["blocks"], *told["spans"]] if words in one["command"])


def all_good(told, kind):
    text = "".join(f"{one['command']}\n--> {one['status']}\n{one['output']}\n" for one in told[kind] if one["status"] != 0)
    if text:
        pytest.fail(text + told["log"], pytrace=False)
    return len(told[kind])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_of_commands_works(stories, document):
    assert all_good(stories(document), "blocks") == len(re.findall(r"(?m)^```sh$", document.read_text())) >= 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_sentence_or_table_works(stories, document):
    assert all_good(stories(document), "spans") > (-1 if document == MIGRATING else 3)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_piece_of_configuration_loads(stories, document):
    assert all_good(stories(document), "configs") > (0 if document == MIGRATING else 3)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_block_hides_a_command(document):
    """Each says whether it is commands, configuration, or neither."""
    assert document_text.unknown_blocks(document) == []


def test_a_synopsis_is_all_of_its_commands():
    assert document_text.commands_of("postilion x a|b [--c|--d E] F") == [
        "postilion x a F", "postilion x b F", "postilion x a --c F", "postilion x b --c F", "postilion x a --d E F",
        "postilion x b --d E F"]
    assert document_text.placeholders_of("postilion x --d E F") == ["E", "F"]


# ---- README.md ----

def test_make_test_is_what_ci_runs(stories):
    assert re.search(r"(?m)^[1-9]\d* passed, 0 failed$", output_of(stories(README), "make test"))
    assert (harness.ROOT / ".ci/run").read_text().splitlines()[-1] == "exec make test"


def test_the_demo_shows_what_it_promises(stories):
    output = output_of(stories(README), "make demo")
    assert "SRS0=" in output and "ARC-Seal" in output


# ---- docs/OPERATING.md ----

def test_the_first_message_is_forwarded(stories):
    senders = stories(OPERATING)["senders"]
    assert len(senders) == 1 and re.fullmatch(r"SRS0=.*=sender\.example=bob@srs\.example\.org", senders[0])
    assert "bob@sender.example" in output_of(stories(OPERATING), "srs reverse").splitlines()


def test_spf_of_the_example_passes(stories):
    assert "pass" in output_of(stories(OPERATING), "auth spf")


def test_what_waits_survives_the_salvage(stories):
    assert "admin@mail.example" in stories(OPERATING)["queue"], stories(OPERATING)["log"]


# ---- docs/MIGRATING.md ----

def test_both_messages_of_the_migration_are_forwarded(stories):
    senders = [sender for sender in stories(MIGRATING)["senders"] if sender.startswith("SRS0=")]
    assert len(senders) == 4 and all(sender.endswith("=sender.example=bob@srs.example.org") for sender in senders)


def test_a_bounce_to_the_old_server_finds_its_way(stories):
    assert output_of(stories(MIGRATING), "/var/log/mail.log") == "alice@example.net\n"


def test_no_alias_is_lost_on_the_way(stories):
    assert output_of(stories(MIGRATING), "while read -r name rest") == ""
    assert "info: anna@mail.example, bob@inner.example.org\n" in output_of(stories(MIGRATING), "import postfix-virtual")
