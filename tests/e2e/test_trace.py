"""The story of a message, told from the log: `postilion trace`."""
import pytest

from harness import Client, a_message


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
