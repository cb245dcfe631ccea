"""REQUIRETLS (RFC 8689): who is offered it, where such mail goes, and what becomes of what cannot."""
import pytest

from harness import World, a_message
from test_outbound_tls import certificates, tls_hop  # noqa: F401
from test_starttls import SecureClient, context_for, keys, tls_block  # noqa: F401

PLAIN = ("PIPELINING", "8BITMIME", "DSN")
PROMISE = (*PLAIN, "REQUIRETLS")


@pytest.fixture
def start(world, keys, certificates):  # noqa: F811
    def start(is_on=True, routes=("dest.test", "sender.test"), level="opportunistic", **settings):
        block = tls_block(keys["ec"])
        if is_on:
            block = block.replace("tls {", "tls {\n    requiretls yes")
        extra = block + "".join(f"\nroute {name} to mx.{name}:{world.port or 2525}" for name in routes)
        return world.start(extra=extra, delivery=f"    tls {level}\n    tls-ca {certificates.authority}\n", **settings)
    return start


def send(world, keys, parameters=" REQUIRETLS", sender="anna@sender.test", data=None, want=250):  # noqa: F811
    with SecureClient(world.daemon.port) as client:
        client.hello().start_tls(context_for(keys)).hello()
        client.expect(f"MAIL FROM:<{sender}>{parameters}", 250)
        client.expect("RCPT TO:<info@fwd.test>", 250)
        client.expect("DATA", 354)
        client.send((data or a_message()) + b".\r\n")
        code, lines = client.reply()
        assert code == want, lines
        return lines[0]


def test_it_is_offered_within_tls_only(world, keys, start):  # noqa: F811
    start()
    with SecureClient(world.daemon.port) as client:
        assert not [line for line in client.expect("EHLO c", 250) if "REQUIRETLS" in line]
        client.expect("MAIL FROM:<a@sender.test> REQUIRETLS", 555)
        client.start_tls(context_for(keys))
        assert [line[4:] for line in client.expect("EHLO c", 250) if "REQUIRETLS" in line] == ["REQUIRETLS"]
        client.expect("MAIL FROM:<a@sender.test> REQUIRETLS=yes", 501)
        client.expect("HELO c", 250)
        client.expect("MAIL FROM:<a@sender.test> REQUIRETLS", 555)
        client.expect("EHLO c", 250)
        client.expect("MAIL FROM:<a@sender.test> REQUIRETLS", 250)


def test_it_is_off_unless_switched_on(world, keys, start):  # noqa: F811
    start(is_on=False)
    with SecureClient(world.daemon.port) as client:
        client.hello().start_tls(context_for(keys))
        assert not [line for line in client.expect("EHLO c", 250) if "REQUIRETLS" in line]
        client.expect("MAIL FROM:<a@sender.test> REQUIRETLS", 555)


@pytest.mark.parametrize("mode", ["store", "handoff"])
def test_it_is_passed_on(world, keys, tls_hop, start, mode):  # noqa: F811
    hop = tls_hop(keywords=PROMISE)
    daemon = start(mode=mode)
    send(world, keys)
    daemon.wait_log("delivered")  # so that the connection rests
    send(world, keys, parameters="")
    first, second = hop.wait(2)
    assert first.parameters.split()[-1] == "REQUIRETLS" and first.tls
    assert "REQUIRETLS" not in second.parameters
    assert hop.connections == 1


@pytest.mark.parametrize("level", ["off", "opportunistic", "verified"])
def test_it_asks_for_more_than_the_policy(world, keys, tls_hop, start, level):  # noqa: F811
    hop = tls_hop(keywords=PROMISE)
    start(level=level)
    send(world, keys)
    assert hop.wait()[0].tls and "REQUIRETLS" in hop.messages[0].parameters


@pytest.mark.parametrize("options, dsn", [
    ({"keywords": PLAIN}, "5.7.30"),
    ({"keywords": PROMISE, "manner": "hidden"}, "5.7.10"),
], ids=["no-promise", "no-tls"])
def test_a_next_hop_that_cannot_is_refused_to_the_client(world, keys, tls_hop, start, options, dsn):  # noqa: F811
    hop = tls_hop(**options)
    start(mode="handoff")
    line = send(world, keys, want=550)
    assert f"550 {dsn} " in line and "dest.test" not in line
    assert not [command for command in hop.commands if command.startswith(b"MAIL")]
    send(world, keys, parameters="")  # nobody else's mail is held up
    assert "REQUIRETLS" not in hop.wait()[0].parameters


@pytest.mark.parametrize("keywords", [PROMISE, PLAIN], ids=["promises", "does-not"])
@pytest.mark.parametrize("options, dsn", [
    ({"keywords": PLAIN}, b"5.7.30"),
    ({"keywords": PROMISE, "manner": "hidden"}, b"5.7.10"),
], ids=["no-promise", "no-tls"])
def test_the_bounce_has_no_body_and_says_it_where_it_can(world, keys, tls_hop, start, options, dsn, keywords):  # noqa: F811
    hop, back = tls_hop(**options), tls_hop(World.SENDER, name="mx.sender.test", keywords=keywords)
    start()
    send(world, keys, parameters=" REQUIRETLS RET=FULL", data=a_message(body="a secret"))
    bounce = back.wait()[0]
    assert bounce.sender == "" and bounce.tls and b"Status: " + dsn in bounce.data
    assert b"a secret" not in bounce.data and b"Subject: hello" in bounce.data
    assert ("REQUIRETLS" in bounce.parameters) == (keywords is PROMISE)
    assert not hop.messages


def test_mx_records_that_nobody_signed_are_not_believed(world, keys, tls_hop, start):  # noqa: F811
    hop = tls_hop(keywords=PROMISE)
    start(mode="handoff", routes=())
    assert "550 5.7.30 " in send(world, keys, want=550)
    assert not hop.connections
    send(world, keys, parameters="")
    assert hop.wait()[0].tls


@pytest.mark.parametrize("options", [{"is_signed": False}, {"name": "elsewhere.test"}, {"manner": "refused"}, {"manner": "gone"}],
                         ids=["self-signed", "another-name", "refused", "gone"])
def test_what_may_be_trouble_of_today_is_tried_again(world, keys, tls_hop, start, options):  # noqa: F811
    hop = tls_hop(keywords=PROMISE, **options)
    daemon = start()
    send(world, keys)
    line = daemon.wait_log("deferred")
    assert line["dsn"] in ("4.7.5", "4.7.4") and line["class"] == "tls"
    send(world, keys, parameters="")  # nobody else's mail is held up
    assert hop.wait()[0].recipients == ["anna@dest.test"]
    assert "REQUIRETLS" not in hop.messages[0].parameters and len(hop.messages) == 1


def test_a_connection_that_promises_nothing_is_not_used_for_it(world, keys, tls_hop, start):  # noqa: F811
    hop = tls_hop(keywords=PLAIN)
    start(mode="handoff")
    send(world, keys, parameters="")
    hop.wait()
    assert "550 5.7.30 " in send(world, keys, want=550)
    assert len(hop.messages) == 1


def test_it_is_remembered_on_disk(world, keys, tls_hop, start):  # noqa: F811
    hop = tls_hop(keywords=PROMISE, script=lambda stage, line, session: "451 4.3.0 later" if stage == "rcpt"
                  and not is_late else None)
    is_late = False
    daemon = start()
    send(world, keys)
    daemon.wait_log("deferred")
    daemon.kill()
    is_late = True
    daemon.start()
    daemon.command("queue", "retry", "all")
    message = hop.wait()[0]
    assert message.tls and message.parameters.split()[-1] == "REQUIRETLS"


def test_a_header_field_does_not_undo_the_operators_rule(world, keys, tls_hop, start):  # noqa: F811
    hop = tls_hop(manner="hidden")
    daemon = start(level="required")
    send(world, keys, parameters="", data=a_message(extra="TLS-Required: No\r\n"))
    assert daemon.wait_log("deferred")["dsn"] == "4.7.4"
    assert not hop.messages and not [command for command in hop.commands if command.startswith(b"MAIL")]
