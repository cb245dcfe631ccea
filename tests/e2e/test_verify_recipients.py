"""Recipient truth: the server behind an alias is asked before its recipient is taken."""
import re

import pytest

from harness import Client, NextHop, a_message, wait_until
from test_real_peers import exim  # noqa: F401

DOMAIN = """
    forward info  to anna@in.test
    forward both  to anna@in.test gone@in.test
    forward none  to gone@in.test lost@in.test
    forward mixed to gone@in.test sepp@dest.test
    forward saved to gone@in.test fallback sepp@dest.test
    forward away  to sepp@dest.test
    forward *     to *@in.test
"""
VERIFY = "verify-recipients in.test\n"
UNKNOWN = (b"gone@", b"lost@", b"nobody@")


class Truth:
    """What the internal server says to RCPT."""

    def __init__(self):
        self.asked = []
        self.replies = {}
        self.reply = None
        self.mail = None

    def __call__(self, stage, line, session):
        if stage == "mail":
            return self.mail
        if stage != "rcpt":
            return None
        address = re.match(rb"RCPT TO:<(.*)>", line, re.I).group(1)
        self.asked.append(address.decode())
        if self.reply is not None:
            return self.reply
        if address.startswith(UNKNOWN):
            return b"550 5.1.1 <%s>: Recipient address rejected: User unknown\r\n" % address
        return None


def route(world, address="127.0.0.4"):
    return f"route in.test to [{address}]:{world.port}\n"


@pytest.fixture
def truth(world):
    """The server of in.test at 127.0.0.4."""
    script = Truth()
    script.hop = world.hop("127.0.0.4", script=script)
    return script


def start(world, lines=VERIFY, **settings):
    world.start(domain=DOMAIN, extra=route(world) + lines, **settings)


def rcpt(world, recipient, code, client=None):
    if client is None:
        with Client(world.daemon.port) as client:
            client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
            return client.expect(f"RCPT TO:<{recipient}>", code)[-1]
    return client.expect(f"RCPT TO:<{recipient}>", code)[-1]


def test_who_is_unknown_there_is_refused_here(world, truth):
    start(world)
    line = rcpt(world, "nobody@fwd.test", 550)
    assert line == "550 5.1.1 <nobody@fwd.test>: Recipient address rejected: User unknown"
    refused = world.daemon.wait_log("recipient-refused", why="recipient-unknown-there")
    assert refused["to"] == "<nobody@fwd.test>" and refused["code"] == "550"
    rcpt(world, "info@fwd.test", 250)
    assert truth.asked == ["nobody@in.test", "anna@in.test"]
    assert truth.hop.attempts == []
    assert "1 by recipient-refused-there" in world.daemon.command("status").stdout


def test_answers_are_remembered(world, truth):
    start(world, VERIFY + "verify {\n    positive 1h\n    negative 1h\n}\n", delivery="    helo mx.fwd.test\n")
    for _ in range(3):
        rcpt(world, "nobody@fwd.test", 550)
        rcpt(world, "info@fwd.test", 250)
    # a loop remembers for itself
    assert 1 <= truth.asked.count("nobody@in.test") <= 2 and 1 <= truth.asked.count("anna@in.test") <= 2
    before = len(truth.asked)
    world.daemon.write_config()
    world.daemon.signal(1)
    world.daemon.wait_log("reloaded")
    rcpt(world, "nobody@fwd.test", 550)
    wait_until(lambda: len(truth.asked) > before, "a question after the reload")


def test_a_message_goes_where_it_was_asked(world, truth):
    start(world, mode="handoff")
    world.send("info@fwd.test")
    message = truth.hop.wait()[0]
    assert message.recipients == ["anna@in.test"]
    assert truth.hop.connections <= 2  # a destination may belong to another loop
    said = [line.split(b" SIZE")[0] for line in truth.hop.commands]
    assert said.index(b"MAIL FROM:<>") < said.index(b"RSET")
    assert all(not line.startswith(b"DATA") for line in said[:said.index(b"RSET")])


@pytest.mark.parametrize("recipient,code,asked", [
    ("both", 250, ["anna@in.test"]),
    ("none", 550, ["gone@in.test", "lost@in.test"]),
    ("mixed", 250, []),
    ("saved", 250, []),
    ("away", 250, []),
])
def test_several_targets(world, truth, recipient, code, asked):
    start(world)
    line = rcpt(world, f"{recipient}@fwd.test", code)
    assert truth.asked == asked
    assert "in.test" not in line


@pytest.mark.parametrize("lines,code", [(VERIFY, 451), ("verify-recipients in.test accept\n", 250),
                                        (VERIFY + "verify {\n    on-failure accept\n}\n", 250),
                                        ("verify-recipients in.test defer\nverify {\n    on-failure accept\n}\n", 451)])
def test_a_server_that_is_down(world, truth, lines, code):
    truth.hop.stop()
    start(world, lines)
    line = rcpt(world, "info@fwd.test", code)
    down = world.daemon.wait_log("verify-down")
    assert down["destination"].startswith("route:") and "refused" in down["why"]
    if code == 451:
        assert line.startswith("451 4.4.3 ")
        assert world.daemon.wait_log("recipient-deferred")["why"] == "recipient-unverified"
    with Client(world.daemon.port) as client:  # it is left alone, nobody waits for it
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        for number in range(20):
            rcpt(world, f"n{number}@fwd.test", code, client)


def test_a_server_that_does_not_answer(world, truth):
    truth.reply = NextHop.SILENCE
    start(world, VERIFY + "verify {\n    timeout 300ms\n}\n")
    rcpt(world, "info@fwd.test", 451)
    assert world.daemon.wait_log("verify-down")["why"] == "timeout"


@pytest.mark.parametrize("reply,mail", [("450 4.2.0 come back", None),
                                        ("554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using bl.test", None),
                                        (None, "550 5.7.1 no bounces here")])
def test_what_is_not_about_the_recipient_refuses_nobody(world, truth, reply, mail):
    truth.reply, truth.mail = reply, mail
    start(world)
    assert rcpt(world, "info@fwd.test", 451).startswith("451 4.4.3 ")
    assert world.daemon.wait_log("verify-unanswered")["to"] == "<anna@in.test>"
    truth.reply = truth.mail = None
    rcpt(world, "info@fwd.test", 250)  # nothing of it is remembered


def test_refusals_come_before_greylisting(world, truth):
    start(world, policy="    greylist all\n")
    rcpt(world, "nobody@fwd.test", 550)
    rcpt(world, "info@fwd.test", 451)
    assert world.daemon.wait_log("recipient-deferred")["why"] == "greylisted"


def test_a_client_that_leaves_while_it_is_asked(world, truth):
    truth.reply = NextHop.SILENCE
    start(world, VERIFY + "verify {\n    timeout 400ms\n}\n")
    client = Client(world.daemon.port)
    client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
    client.send("RCPT TO:<info@fwd.test>\r\n")
    wait_until(lambda: truth.asked, "the question")
    client.close()
    world.daemon.wait_log("session-end")
    world.daemon.wait_log("verify-down")
    assert world.daemon.stop() == 0


def test_many_unknown_recipients_over_few_connections(world, truth):
    start(world, limits="    errors 1000\n")
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        client.send("".join("RCPT TO:<nobody@fwd.test>\r\nRCPT TO:<gone@fwd.test>\r\n" for _ in range(50)))
        assert {client.reply()[0] for _ in range(100)} == {550}
        client.send("".join(f"RCPT TO:<n{number}@fwd.test>\r\n" for number in range(40)))
        assert {client.reply()[0] for _ in range(40)} == {250}
    assert len(truth.asked) == 42
    assert truth.hop.connections <= 7


def test_over_tls_as_deliveries_go(world, truth):
    start(world, VERIFY + "delivery-tls in.test required\n")
    assert rcpt(world, "info@fwd.test", 451).startswith("451 4.4.3 ")
    world.daemon.wait_log("verify-down")
    assert truth.asked == []  # nothing was said in clear


def test_a_real_server_is_asked(world, exim):  # noqa: F811
    """Exim, which has its own opinion on who says what how often."""
    world.start(domain="    forward * to *@dest.test\n", extra="verify-recipients dest.test\n", limits="    errors 1000\n")
    line = rcpt(world, "refused@fwd.test", 550)
    assert line.endswith("no such user here")
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        for number in range(30):
            rcpt(world, f"n{number}@fwd.test", 250, client)
    assert world.daemon.log("verify-unanswered") == [] and world.daemon.log("verify-down") == []
    assert "too many nonmail commands" not in exim.log()
    world.send("n1@fwd.test", data=a_message("real"))
    wait_until(exim.messages, "the message in exim's spool")
