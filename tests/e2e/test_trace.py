"""The story of a message, told from the log: `postilion trace`."""
import json
import re
import shutil
import subprocess

import pytest

from harness import ROOT, Client, a_message, program, wait_until


@pytest.mark.parametrize("field, want", [
    ("Message-ID: <one@sender.test>", "<one@sender.test>"),
    ("message-id:\r\n <folded@sender.test>", "<folded@sender.test>"),
    ("Message-ID: (a comment) <two@sender.test> (more)", "<two@sender.test>"),
    ("Message-ID: bare@sender.test", "<bare@sender.test>"),
    ("Message-ID: <one blank@sender.test>", "<one blank@sender.test>"),
    ("Message-ID: <" + 600 * "x" + "@sender.test>", None),
    ("Message-ID:", None),
    ("X-Other: <x@y>", None),
])
def test_the_log_says_what_the_sender_calls_the_message(world, field, want):
    world.hop()
    world.start()
    data = f"From: <anna@sender.test>\r\n{field}\r\n\r\nhi\r\n".encode()
    ident = world.send(data=data)
    line = world.daemon.wait_log("accepted", id=ident)
    assert line.get("message-id") == want


def test_the_log_says_what_a_client_was_told(world):
    world.start(limits="    hops 10\n", domain=DOMAIN)
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        said = client.expect("RCPT TO:<nobody@fwd.test>", 550)[0]
        line = world.daemon.wait_log("recipient-refused")
        assert f"{line['code']} {line['dsn']} {line['reply']}" == said
        said = client.expect("RCPT TO:<old@fwd.test>", 550)[0]
        line = world.daemon.wait_log("recipient-refused", why="alias-refuse")
        assert said == f"{line['code']} {line['dsn']} {line['reply']}" == "550 5.1.6 he has moved to \"there\""
        client.expect("RSET", 250)
        received = "Received: from a by b; Sat, 21 Nov 2026 12:00:00 +0000\r\n"
        code, said = client.message("anna@sender.test", ["info@fwd.test", "sales@fwd.test"],
                                    a_message("hello", extra=11 * received))
        assert code == 554
        line = world.daemon.wait_log("message-refused")
        assert f"{line['code']} {line['dsn']} {line['reply']}" == said[0]
        assert line["message-id"] == "<hello@sender.test>"
        assert "orig_to=<info@fwd.test> orig_to=<sales@fwd.test> rcpts=2" in line.text


DOMAIN = """
    forward info  to anna@dest.test
    forward sales to sepp@dest.test
    refuse old "550 5.1.6 he has moved to \\"there\\""
"""


# ---- postilion trace ----

STAGE = """
    forward info  to anna@dest.test
    forward sales to sepp@dest.test
    forward gone  to bad.one@dest.test
    forward many  to anna@dest.test bert@dest.test
    discard bin
"""


def script(closed):
    def act(stage, line, session):
        if stage == "rcpt" and b"bad.one@" in line:
            return "550 5.1.1 <BAD.one@dest.test>: bad.one%40dest.test is unknown (bad.one=dest.test)"
        if stage == "rcpt" and closed and b"anna@" in line:
            return "450 4.2.0 <anna@dest.test>: greylisted"
        return None
    return act


@pytest.fixture
def stage(world):
    """Anna's mailbox is greylisted while `closed` is not empty."""
    world.closed = []
    world.dest = world.hop(script=script(world.closed))
    world.back = world.hop(world.SENDER)
    world.DOMAIN = STAGE
    return world


def trace(world, *words, status=0):
    done = world.daemon.command("trace", *words, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def story(world, *words, until="delivered"):
    """As JSON, when the history has its last line: it keeps them a second's worth at a time."""
    def told():
        done = world.daemon.command("trace", *words, "--json", check=False)
        answer = json.loads(done.stdout.splitlines()[0]) if done.returncode == 0 else {}
        return answer if answer.get("state") == until else None
    return wait_until(told, f"the story of {words}, {until}")


def steps(told):
    return [(step["step"], step["outcome"]) for step in told["steps"]]


def test_a_delivered_message_by_each_of_its_names(stage):
    stage.start(authenticate="on")
    ident = stage.send("sales@fwd.test")
    line = stage.daemon.wait_log("delivered", id=ident)
    told = story(stage, ident)
    assert steps(told) == [("session", None), ("checks", None), ("answer", "accepted"), ("rewrite", None),
                           ("attempt", "delivered")]
    assert told["failed_side"] == "none" and "mx.dest.test[127.0.0.2]" in told["read_next"]
    assert told["deliveries"] == [{"to": "sepp@dest.test", "orig_to": "sales@fwd.test",
                                   "sender": line["sender"].strip("<>"), "state": "delivered", "attempts": 1}]
    for name in (told["session"], "sales@fwd.test", "SEPP@dest.test", "<anna@sender.test>", line["sender"],
                 "<hello@sender.test>", "hello@sender.test", f"id={ident}", ident.upper()):
        assert story(stage, name)["id"] == ident, name
    text = trace(stage, ident)
    assert "In the end: delivered\n" in text and '"250 2.0.0 taken"' in text and "SPF " in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_a_message_that_waits_and_then_arrives(stage):
    stage.closed.append(True)
    stage.start(delivery="    retry 1h\n")
    ident = stage.send("info@fwd.test")
    stage.daemon.wait_log("deferred", id=ident)
    told = story(stage, ident, until="waiting")
    assert steps(told)[-2:] == [("attempt", "deferred"), ("queue", None)]
    assert told["failed_side"] == "next-hop" and "greylisted" in told["read_next"]
    assert "is in the queue, next attempt at 20" in trace(stage, ident)
    assert stage.daemon.stop() == 0
    assert "is in the queue" in trace(stage, ident)
    stage.closed.clear()
    stage.daemon.start()
    stage.daemon.command("queue", "retry", ident)
    told = story(stage, ident)
    assert [step for step in steps(told) if step[0] != "operator"][-2:] == [("attempt", "deferred"), ("attempt", "delivered")]
    assert ("operator", None) in steps(told)


def test_a_bounce_and_what_it_is_about(stage):
    stage.start()
    ident = stage.send("gone@fwd.test")
    bounce = stage.daemon.wait_log("bounce-queued", bounce_of=ident)["id"]
    stage.daemon.wait_log("delivered", id=bounce)
    story(stage, bounce)
    told = story(stage, ident, until="bounced")
    assert told["bounces"] == [bounce] and told["failed_side"] == "next-hop"
    assert steps(told)[-3:] == [("attempt", "bounced"), ("bounce", None), ("bounce", "delivered")]
    assert "does not exist" in told["verdict"]
    assert story(stage, bounce)["bounce_of"] == ident


def test_refused_at_rcpt_and_at_the_dot(stage):
    stage.start(limits="    hops 10\n")
    received = "Received: from a by b; Sat, 21 Nov 2026 12:00:00 +0000\r\n"
    with Client(stage.daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        client.expect("RCPT TO:<nobody@fwd.test>", 550)
        client.expect("RCPT TO:<other@fwd.test>", 550)
        client.expect("QUIT", 221)
    with Client(stage.daemon.port) as client:
        assert client.hello().message("bert@sender.test", "info@fwd.test",
                                      a_message("loop", extra=11 * received))[0] == 554
    told = story(stage, "nobody@fwd.test", until="refused")
    assert told["id"] is None and told["to"] == ["nobody@fwd.test"] and told["failed_side"] == "sender"
    assert story(stage, told["session"], until="refused")["to"] == ["nobody@fwd.test", "other@fwd.test"]
    told = story(stage, "<loop@sender.test>", until="refused")
    assert told["from"] == "bert@sender.test" and "too many hops" in told["read_next"]
    assert [step for step in steps(told) if step[0] == "answer"] == [("answer", "refused")]


def test_handoff_told_while_the_client_waited(stage):
    stage.start(mode="handoff")
    ident = stage.send("sales@fwd.test")
    assert "nothing was stored" in " ".join(sum((step["text"] for step in story(stage, ident)["steps"]), []))
    with Client(stage.daemon.port) as client:
        assert client.hello().message("bert@sender.test", "gone@fwd.test", a_message("no"))[0] == 550
    told = story(stage, "gone@fwd.test", until="refused")
    assert told["failed_side"] == "next-hop" and "does not exist" in told["verdict"]
    assert steps(told)[0] == ("session", None)
    assert sorted(steps(told)[1:4]) == [("answer", "refused"), ("attempt", "refused"), ("rewrite", None)]


def test_discarded(stage):
    stage.start()
    ident = stage.send("bin@fwd.test")
    told = story(stage, ident, until="discarded")
    assert "thrown away" in told["verdict"] and told["deliveries"] == []


def come_back(world, address):
    with Client(world.daemon.port) as client:
        code, lines = client.hello().message("", address, a_message("Undelivered", sender="daemon@dest.test"))
        assert code == 250, lines
    return lines[0].rsplit("id=", 1)[1]


def test_a_bounce_that_comes_back_finds_its_message(stage):
    stage.start()
    ident = stage.send("sales@fwd.test")
    sender = stage.daemon.wait_log("delivered", id=ident)["sender"].strip("<>")
    back = come_back(stage, sender)
    stage.daemon.wait_log("delivered", id=back)
    assert story(stage, back)["origins"] == [ident]
    told = story(stage, ident)
    assert told["returns"] == [back] and not told["is_return_shared"] and told["failed_side"] == "next-hop"
    other = stage.send("sales@fwd.test", data=a_message("two"))
    stage.daemon.wait_log("delivered", id=other)
    story(stage, other)
    told = story(stage, ident)
    assert told["is_return_shared"] and told["failed_side"] == "none"


def test_several_are_listed_newest_first(stage):
    stage.start()
    ids = [stage.send("sales@fwd.test", data=a_message(f"m{i}")) for i in range(4)]
    for ident in ids:
        story(stage, ident)
    text = trace(stage, "anna@sender.test")
    listed = re.findall(r"^(\S+ \S+) (\S{13}) ", text, re.M)
    assert sorted(ident for _, ident in listed) == ids and "4 messages, newest first" in text
    assert [time for time, _ in listed] == sorted((time for time, _ in listed), reverse=True)
    rows = [json.loads(line) for line in trace(stage, "sales@fwd.test", "--json", "--limit", "2").splitlines()]
    assert [row["id"] for row in rows] == [ident for _, ident in listed[:2]] and rows[0]["event"] == "delivered"
    assert "more: --limit" in trace(stage, "sales@fwd.test", "--limit", "2")
    assert trace(stage, "sales@fwd.test", "--since", "1h") == trace(stage, "sales@fwd.test", "--since", "2020-01-01T00:00:00Z")
    assert "since 2999-01-01T00:00:00Z" in trace(stage, ids[0], "--since", "2999-01-01T00:00:00Z", status=1)


def test_what_is_not_known_is_said_with_what_to_try(stage):
    stage.start()
    assert 'nothing is known of "x@y.test"' in trace(stage, "x@y.test", status=1)
    assert stage.daemon.stop() == 0
    shutil.rmtree(stage.daemon.directory / "state" / "history", ignore_errors=True)
    assert "there is no history in " in trace(stage, "x@y.test", status=1)
    assert "/dev/null was searched" in trace(stage, "x@y.test", "--log", "/dev/null", status=1)
    assert trace(stage, "x", "--log", "/nonexistent", status=66).startswith("postilion trace: /nonexistent: No such file")
    for words in ([], ["a", "b"], ["a", "--since"], ["a", "--since", "3 days"], ["a", "--limit", "0"], ["a", "--what"]):
        assert "usage: postilion trace" in trace(stage, *words, status=64)


def test_a_history_that_is_off(stage):
    stage.start(extra="history off\n")
    ident = stage.send("sales@fwd.test")
    stage.daemon.wait_log("delivered", id=ident)
    assert "journalctl -u postilion -o cat | postilion trace" in trace(stage, ident, status=1)
    assert json.loads(trace(stage, ident, "--json", "--log", str(stage.daemon.log_path)))["state"] == "delivered"


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
@pytest.mark.parametrize("prefix", ["", "Nov 22 07:54:37 mx postilion[42]: ", "2026-11-22T07:54:37+0000 mx postilion[42]: "])
def test_lines_from_elsewhere(stage, tmp_path, log_format, prefix):
    stage.start(extra=f"history off\nlog {{\n    format {log_format}\n}}\n", is_started=False)
    stage.daemon.start(wait=False)

    def log():
        return stage.daemon.log_path.read_text()
    wait_until(lambda: "ready" in log(), "the start")
    stage.daemon.port = int(re.search(r"address\W+127.0.0.1:(\d+)", log()).group(1))
    ident = stage.send("gone@fwd.test")
    wait_until(lambda: log().count("delivered") == 1, "the bounce")
    lines = tmp_path / "lines"
    lines.write_text("".join(prefix + line + "\n" for line in log().splitlines()) +
                     "Nov 22 07:54:37 mx sshd[1]: Invalid user ts=2026-11-22T08:00:00.000Z level=info event=delivered "
                     f"id={ident} to=<evil@x.test> from 192.0.2.1\n")
    done = subprocess.run([program(), "trace", ident, "--json", "--log", str(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["state"] == "bounced" and [at["to"] for at in told["deliveries"]] == ["bad.one@dest.test"]
    done = subprocess.run([program(), "trace", "gone@fwd.test", "--log", "-"], input=lines.read_text(),
                          capture_output=True, text=True)
    assert "In the end: bounced" in done.stdout


# ---- evidence ----

SECRETS = ["bad.one", "anna@dest.test", "dest.test", "127.0.0.2", "sales@", "bad.one%40", "bad.one=dest"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_evidence_has_nothing_private_in_it(stage, form):
    stage.closed.append(True)
    stage.start(delivery="    retry 1h\n")
    with Client(stage.daemon.port, source="127.0.0.9") as client:
        code, lines = client.hello().message("bert@sender.test", ["gone@fwd.test", "info@fwd.test", "sales@fwd.test"],
                                             a_message("evidence"))
    ident = lines[0].rsplit("id=", 1)[1]
    bounce = stage.daemon.wait_log("bounce-queued", bounce_of=ident)["id"]
    sender = stage.daemon.wait_log("bounced", id=ident)["sender"].strip("<>")
    stage.daemon.wait_log("deferred", id=ident)
    stage.daemon.wait_log("delivered", id=bounce)
    back = come_back(stage, sender)
    stage.daemon.wait_log("delivered", id=back)
    story(stage, back)
    whole = story(stage, ident, until="mixed")
    assert whole["returns"] == [back]
    evidence = trace(stage, ident, "--bundle", *form)
    lower = evidence.lower()
    for secret in [*SECRETS, "info@", "gone@", sender.split("=")[1].lower()]:
        assert secret not in lower, secret
    for kept in ("127.0.0.9", "bert@sender.test", "client.example", "evidence@sender.test", "mx.fwd.test", ident,
                 "target-1@hidden-1.invalid", "target-2@hidden-1.invalid", "relay-1.invalid", "recipient-3@fwd.test",
                 "SRS0=hash-1="):
        assert kept in evidence, kept
    assert "gone@fwd.test" in trace(stage, "gone@fwd.test", "--bundle", *form)
    assert "info@" not in trace(stage, "gone@fwd.test", "--bundle", *form)
    if form:
        told = json.loads(evidence)
        assert told["host"] == "mx.fwd.test" and told["masked"]["targets"] == 3 and told["story"]["state"] == "mixed"
        assert len(told["lines"]) >= 6 and all(line.startswith("ts=") for line in told["lines"])
    else:
        assert evidence.startswith("Evidence about one message, from the log of mx.fwd.test (postilion ")
        assert "All times are UTC." in evidence.splitlines()[1]


def test_every_word_of_the_log_has_a_cause():
    """`why` of refusals, and the classes of failures, as LOGGING.md lists them."""
    causes = set(re.findall(r'^    \{"([a-z0-9-]+)",', (ROOT / "src/mail/event_cause.c").read_text(), re.M))
    text = (ROOT / "docs/LOGGING.md").read_text()
    words = set()
    for table in ("`why` of a refused or deferred message:", "`why` of a refused or deferred recipient:"):
        rows = text.split(table, 1)[1].split("\n\n", 2)[1].splitlines()[2:]
        words |= {word for row in rows for word in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}
    classes = re.search(r"^\| `class` \|.*", text, re.M).group(0)
    words |= set(re.findall(r"`([a-z-]+)`", classes.split("is, told from", 1)[1]))
    assert len(words) > 80 and words - causes == set(), words - causes
