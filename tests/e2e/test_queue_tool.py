"""What an operator does with the queue, on a running and on a stopped daemon, and what is paused."""
import json
import re
import smtplib
import threading
import time

import pytest

from harness import a_message, wait_until


@pytest.fixture
def waiting(world):
    """Three messages that wait for a long time: two from anna, one of them to sales, one from bert."""
    world.closed = [True]
    world.dest = world.hop(script=lambda at, line, session:
                           "450 4.2.0 try later" if at == "rcpt" and world.closed[0] else None)
    world.start(delivery="    retry 1h\n")
    world.ids = [world.send(), world.send("sales@fwd.test", data=a_message("second")),
                 world.send(sender="bert@sender.test")]
    for ident in world.ids:
        world.daemon.wait_log("deferred", id=ident)
    return world


def rows(world, *words):
    text = world.daemon.command("queue", "list", "--json", *words).stdout
    return [json.loads(line) for line in text.splitlines()]


def ids(world, *words):
    return {row["id"] for row in rows(world, *words)}


both = pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])


def stop_unless(waiting, is_running):
    if not is_running:
        assert waiting.daemon.stop() == 0


@both
def test_listing_by_filter_and_page(waiting, is_running):
    first, second, third = waiting.ids
    stop_unless(waiting, is_running)
    assert ids(waiting, "--sender", "anna@sender.test") == {first, second}
    assert ids(waiting, "--sender", "<bert@sender.test>") == {third}
    assert ids(waiting, "--recipient", "sales@fwd.test") == {second}
    assert ids(waiting, "--destination", "DEST.test") == set(waiting.ids)
    assert ids(waiting, "--destination", "other.test") == set()
    assert ids(waiting, "--held") == set()
    page = waiting.daemon.command("queue", "list", "--limit", "2").stdout
    assert "2 deliveries; for more: --after " in page
    rest = ids(waiting, "--after", page.split("--after ")[1].strip())
    assert len(rest) == 1 and rest == {max(waiting.ids)}
    table = waiting.daemon.command("queue", "list", "--by-domain").stdout.splitlines()
    assert table[1].split()[:3] == ["TOTAL", "3", "3"] and table[2].split()[:3] == ["dest.test", "3", "3"]
    age, = [json.loads(line) for line in
            waiting.daemon.command("queue", "list", "--by-domain", "--json").stdout.splitlines()]
    assert age == {"destination": "dest.test", "total": 3, "held": 0, "due": [3] + 9 * [0]}


@both
def test_show_tells_every_attempt(waiting, is_running):
    first = waiting.ids[0]
    waiting.daemon.command("queue", "retry", first)
    waiting.daemon.wait_log("deferred", id=first, count=2)
    stop_unless(waiting, is_running)
    text = waiting.daemon.command("queue", "show", first).stdout
    assert text.count(": 450 4.2.0 try later") == 2 and "mx.dest.test" in text, text
    hint = re.search(r"(?m)^ +to see what its next hop says now: postilion (probe \S+)$", text).group(1)
    probed = waiting.daemon.command(*hint.split(), check=False)
    assert probed.returncode == 75 and "450 4.2.0 try later" in probed.stdout, probed
    assert "postilion queue list --destination dest.test" in probed.stdout
    shown = json.loads(waiting.daemon.command("queue", "show", first, "--json").stdout)
    delivery, = shown["deliveries"]
    assert [attempt["reply"] for attempt in delivery["history"]] == 2 * ["450 4.2.0 try later"]
    assert delivery["attempts"] == 2 and shown["sender"] == "anna@sender.test"


@both
def test_what_matches_nothing_is_said_and_fails(waiting, is_running):
    stop_unless(waiting, is_running)
    for words in (["retry", "typo.test"], ["hold", "--sender", "nobody@sender.test"],
                  ["release", "--all"], ["bounce", "--destination", "typo.test"],
                  ["delete", "--recipient", "nobody@fwd.test"], ["release", waiting.ids[0]]):
        done = waiting.daemon.command("queue", *words, check=False)
        assert done.returncode == 65 and "nothing was changed" in done.stderr, (words, done)
    assert ids(waiting) == set(waiting.ids)


@both
def test_what_is_held_waits_until_it_is_released(waiting, is_running):
    first, second, third = waiting.ids
    waiting.closed[0] = False
    stop_unless(waiting, is_running)
    done = waiting.daemon.command("queue", "hold", "--sender", "anna@sender.test")
    assert done.stdout == "2 deliveries held\n"
    assert ids(waiting, "--held") == {first, second}
    waiting.daemon.command("queue", "release", second)
    if is_running:
        waiting.daemon.wait_log("delivered", id=second)
    tried = waiting.daemon.command("queue", "retry", "--all").stdout
    assert tried == ("1 delivery to be tried now\n" if is_running else "2 deliveries to be tried now\n")
    if not is_running:
        waiting.daemon.start()
    waiting.daemon.wait_log("delivered", id=second)
    waiting.daemon.wait_log("delivered", id=third)
    assert ids(waiting) == {first} and len(waiting.dest.messages) == 2
    waiting.daemon.command("queue", "release", "--all")
    waiting.daemon.wait_log("delivered", id=first)


@both
def test_bounce_gives_up_at_once(waiting, is_running):
    first, second, third = waiting.ids
    back = waiting.hop(waiting.SENDER)
    stop_unless(waiting, is_running)
    waiting.daemon.command("queue", "hold", first)
    done = waiting.daemon.command("queue", "bounce", "--sender", "anna@sender.test")
    assert done.stdout == "2 deliveries given up\n"
    if not is_running:
        waiting.daemon.start()
    bounces = back.wait(2)
    assert [m.sender for m in bounces] == ["", ""]
    for bounce in bounces:
        text = bounce.data.decode()
        assert "given up by the operator" in text and "dest.test" not in text, text
    wait_until(lambda: ids(waiting) == {third}, "the rest")
    assert waiting.dest.messages == []


@both
def test_delete_by_filter(waiting, is_running):
    stop_unless(waiting, is_running)
    assert waiting.daemon.command("queue", "delete", "--recipient", "sales@fwd.test").stdout == \
        "1 delivery deleted\n"
    assert ids(waiting) == {waiting.ids[0], waiting.ids[2]}
    waiting.daemon.command("queue", "delete", "--all")
    assert "empty" in waiting.daemon.command("queue", "list").stdout


# --- pauses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["250 2.0.0 taken", "550 5.7.1 no"], ids=["taken", "refused"])
def test_one_of_two_is_deleted_while_they_are_being_sent(world, reply):
    """The other one's outcome counts: it is neither sent again nor forgotten."""
    at_dot, go_on = threading.Event(), threading.Event()

    def script(stage, line, session):
        if stage == "dot":
            at_dot.set()
            go_on.wait(20)
            return reply
        return None
    dest, origin = world.hop(script=script), world.hop(world.SENDER)
    world.start(delivery="    retry 1s\n")
    ident = world.send(["many@fwd.test"])
    assert at_dot.wait(20)
    assert world.daemon.command("queue", "delete", "--recipient", "bert@dest.test").returncode == 0
    go_on.set()
    wait_until(lambda: not rows(world), "the queue is empty")
    time.sleep(3)
    assert len(dest.attempts) == 1
    if reply.startswith("5"):
        assert len(origin.wait()) == 1
    assert ident not in ids(world)


@pytest.mark.parametrize("words", ["id", "filter"])
def test_what_is_given_up_while_it_is_being_sent_is_bounced_when_that_fails(world, words):
    at_dot, go_on = threading.Event(), threading.Event()

    def script(stage, line, session):
        if stage == "dot":
            at_dot.set()
            go_on.wait(20)
            return "450 4.3.0 later"
        return None
    dest, origin = world.hop(script=script), world.hop(world.SENDER)
    world.start(delivery="    retry 1h\n")
    ident = world.send()
    assert at_dot.wait(20)
    what = [ident] if words == "id" else ["--sender", "anna@sender.test"]
    assert world.daemon.command("queue", "bounce", *what).returncode == 0
    go_on.set()
    assert len(origin.wait()) == 1 and len(dest.attempts) == 1
    wait_until(lambda: not rows(world), "the queue is empty")


def status(world):
    return json.loads(world.daemon.command("status", "--json").stdout)


def refused(world):
    with pytest.raises((smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException)) as what:
        smtplib.SMTP("127.0.0.1", world.daemon.port, timeout=20).helo("x")
    return "421" in str(what.value) or "4.3.2" in str(what.value)


def test_inbound_pause_survives_a_restart(world):
    hop = world.hop()
    world.start()
    session = smtplib.SMTP("127.0.0.1", world.daemon.port, timeout=20)
    session.ehlo("client.example")
    assert session.mail("anna@sender.test")[0] == 250
    assert world.daemon.command("pause", "inbound").stdout == "paused\n"
    reply = session.getreply()
    assert reply[0] == 421 and b"4.3.2" in reply[1], reply
    assert refused(world)
    assert status(world)["paused"][0]["what"] == "inbound"
    assert world.daemon.stop() == 0
    world.daemon.start()
    assert refused(world)
    assert world.daemon.log("paused", what="inbound")
    assert "paused     inbound since 20" in world.daemon.command("status").stdout
    world.daemon.command("resume", "inbound")
    world.send()
    assert len(hop.wait()) == 1
    assert status(world)["paused"] == []


@pytest.mark.parametrize("what", ["outbound", "dest.test"])
def test_outbound_pause_keeps_mail_in_the_spool(world, what):
    hop = world.hop()
    world.start(mode="handoff")
    world.daemon.command("pause", what)
    ident = world.send()
    assert status(world)["messages"] == 1
    assert world.daemon.stop() == 0
    world.daemon.start()
    world.daemon.wait_log("paused")
    second = world.send()
    world.daemon.command("queue", "retry", "--all")
    assert hop.connections == 0 and ids(world) == {ident, second}
    world.daemon.command("resume", what)
    assert len(hop.wait(2)) == 2
    wait_until(lambda: status(world)["messages"] == 0, "an empty queue")
    world.send()
    assert len(hop.wait(3)) == 3


def test_a_pause_of_one_destination_is_not_one_of_others(world):
    hop = world.hop()
    world.start()
    world.daemon.command("pause", "other.test")
    world.send()
    assert len(hop.wait()) == 1
    assert world.daemon.command("resume", "nothing.test").stdout == "it was not paused\n"


def test_what_is_paused_can_be_bounced(world):
    hop, back = world.hop(), world.hop(world.SENDER)
    world.start()
    world.daemon.command("pause", "dest.test")
    ident = world.send()
    world.daemon.command("queue", "bounce", ident)
    assert "given up by the operator" in back.wait()[0].data.decode()
    assert hop.connections == 0


def test_status_needs_a_running_daemon(world):
    world.start(is_started=False)
    for words in (["status"], ["pause", "inbound"], ["resume", "x.test"]):
        done = world.daemon.command(*words, check=False)
        assert done.returncode == 69 and "not running" in done.stderr
    for words in (["status", "x"], ["pause"], ["pause", "a b"]):
        assert world.daemon.command(*words, check=False).returncode == 64
