"""Relays that are believed about who their client is: PROXY headers, XCLIENT, their Received field."""
import socket
import struct

import pytest

from harness import Client, a_message, free_port, stuff
from test_authentication import results, txt

GOOD, BAD = "192.0.2.1", "192.0.2.66"  # what good.test says about them
RELAY, STRANGER = "127.0.0.5", "127.0.0.1"
ZONE = {"good.test": txt(f"v=spf1 ip4:{GOOD} ip6:2001:db8::/32 -all"),
        "helo.test": txt(f"v=spf1 ip4:{GOOD} -all")}
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def start(world, policy="", trust=f"{RELAY} 10.0.0.0/8", proxy=False, **settings):
    hop = world.hop()
    port = free_port()
    extra = f"trust {trust}\n"
    if proxy:
        extra += f"listen 127.0.0.1:{port} {{\n    proxy-protocol yes\n}}\n"
    world.start(zone=ZONE, authenticate="on", policy=policy, extra=extra, **settings)
    return (hop, port) if proxy else hop


def v1(client=GOOD, family="TCP4", server="198.51.100.2"):
    return f"PROXY {family} {client} {server} 4711 25\r\n".encode()


def v2(client=GOOD, command=0x21, extra=b""):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    server = "2001:db8::99" if ":" in client else "198.51.100.2"
    body = (socket.inet_pton(family, client) + socket.inet_pton(family, server) + struct.pack("!HH", 4711, 25)) + extra
    return SIGNATURE + bytes([command, 0x21 if ":" in client else 0x11]) + struct.pack("!H", len(body)) + body


def finish(client, sender="anna@good.test", data=None, helo="helo.test"):
    """The rest of a session; (code, text) of the answer to the dot, or of an earlier refusal."""
    client.expect(f"EHLO {helo}", 250)
    client.expect(f"MAIL FROM:<{sender}>", 250)
    code, lines = client.command("RCPT TO:<info@fwd.test>")
    if code == 250:
        client.expect("DATA", 354)
        client.send(stuff(data or a_message(sender="anna@good.test")) + b".\r\n")
        code, lines = client.reply()
    return code, lines[-1][4:]


# --- PROXY --------------------------------------------------------------------------------


@pytest.mark.parametrize("header,client,want", [
    (v1(), GOOD, "pass"), (v1(BAD), BAD, "fail"), (v1("2001:db8::1", "TCP6", "2001:db8::2"), "2001:db8::1", "pass"),
    (v2(), GOOD, "pass"), (v2(BAD), BAD, "fail"), (v2("2001:db8::1"), "2001:db8::1", "pass"),
    (v2(extra=b"\x04\0\4abcd"), GOOD, "pass"), (v2("::ffff:" + GOOD), GOOD, "pass")])
def test_the_client_behind_a_proxy(world, header, client, want):
    hop, port = start(world, policy="spf-fail tag", proxy=True)
    with Client(port, source=RELAY, greet=False) as connection:
        connection.send(header)
        assert connection.reply()[0] == 220
        assert finish(connection)[0] == 250
    message = hop.wait()[0]
    assert f"spf={want} " in results(message) and f"smtp.remote-ip={client}" in results(message).replace('"', "")
    literal = f"[IPv6:{client}]" if ":" in client else f"[{client}]"
    assert literal.encode() in message.header() and RELAY.encode() not in message.header()
    assert world.daemon.wait_log("accepted", client=client, via=RELAY, spf=want)
    assert world.daemon.wait_log("session-end", client=client, via=RELAY)


def test_a_proxy_header_in_pieces_and_with_what_follows(world):
    hop, port = start(world, proxy=True)
    for header in (v1(), v2()):
        with Client(port, source=RELAY, greet=False) as connection:
            for octet in header:
                connection.send(bytes([octet]))
            assert connection.reply()[0] == 220
            assert finish(connection)[0] == 250
        with Client(port, source=RELAY, greet=False) as connection:
            connection.send(header + b"EHLO helo.test\r\nQUIT\r\n")
            assert [connection.reply()[0] for _ in range(3)] == [220, 250, 221]
    assert len(hop.wait(2)) == 2


def test_who_may_not_send_a_proxy_header(world):
    _, port = start(world, proxy=True)
    with Client(port, source=STRANGER, greet=False) as connection:
        assert connection.is_closed()
    assert world.daemon.wait_log("proxy-refused", client=STRANGER)["why"] == "proxy-not-trusted"
    for number, octets in enumerate((b"EHLO x\r\n", b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", SIGNATURE + b"\x31",
                                     SIGNATURE + b"\x21\x11\xff\xff", b"PROXY UNKNOWN " + 100 * b"x"), 1):
        with Client(port, source=RELAY, greet=False) as connection:
            connection.send(octets)
            assert connection.is_closed()
        world.daemon.wait_log("proxy-refused", client=RELAY, why="proxy-header", count=number)
    with Client(world.daemon.port, source=RELAY) as connection:  # and none where none is expected
        assert connection.command(v1().decode().strip())[0] == 500


def test_health_checks_of_a_proxy(world):
    _, port = start(world, proxy=True)
    for header in (b"PROXY UNKNOWN\r\n", v2(command=0x20), SIGNATURE + b"\x20\0\0\0"):
        with Client(port, source=RELAY, greet=False) as connection:
            connection.send(header)
            assert connection.reply()[0] == 220
            connection.expect("QUIT", 221)


def test_many_clients_behind_one_proxy(world):
    """Each of them is counted, and the proxy is not."""
    _, port = start(world, proxy=True, limits="per-client 2")
    connections = [Client(port, source=RELAY, greet=False) for _ in range(6)]
    for connection, client in zip(connections, [GOOD, BAD, GOOD, "192.0.2.2", BAD]):
        connection.send(v1(client))
        assert connection.reply()[0] == 220
    connections[-1].send(v1())
    assert connections[-1].reply()[1][0].startswith("421 4.7.0 too many connections")
    world.daemon.wait_log("connection-refused", client=GOOD, via=RELAY, why="per-client")
    for connection in connections:
        connection.close()


# --- XCLIENT ------------------------------------------------------------------------------


def test_xclient_is_for_trusted_relays_only(world):
    start(world)
    with Client(world.daemon.port, source=STRANGER) as client:
        assert not any("XCLIENT" in line for line in client.expect("EHLO a.test", 250))
        assert client.command(f"XCLIENT ADDR={GOOD}")[0] == 550
    with Client(world.daemon.port, source=RELAY) as client:
        assert any(line[4:].startswith("XCLIENT NAME ADDR") for line in client.expect("EHLO a.test", 250))


@pytest.mark.parametrize("address,want", [(GOOD, "pass"), (BAD, "fail"), ("IPV6:2001:db8::7", "pass")])
def test_xclient_names_the_client(world, address, want):
    hop = start(world, policy="spf-fail tag")
    with Client(world.daemon.port, source=RELAY) as client:
        client.expect("EHLO relay.test", 250)
        client.expect(f"XCLIENT NAME=a.test ADDR={address} PORT=99 PROTO=ESMTP LOGIN=joe DESTADDR=192.0.2.9", 220)
        assert client.command("MAIL FROM:<anna@good.test>")[0] == 503  # as at the start
        client.expect("EHLO relay.test", 250)
        client.expect("XCLIENT HELO=helo+2Etest", 220)
        assert finish(client, helo="relay.test")[0] == 250
    assert f"spf={want} " in results(hop.wait()[0]) and "smtp.helo=helo.test" in results(hop.wait()[0])
    assert world.daemon.wait_log("accepted", client=address.replace("IPV6:", ""), via=RELAY, helo="helo.test")


def test_xclient_again_for_the_next_client(world):
    start(world, policy="spf-fail tag")
    with Client(world.daemon.port, source=RELAY) as client:
        for words in (f"ADDR={GOOD} HELO=first.test", f"ADDR={BAD}", f"ADDR={GOOD} HELO=third.test", "ADDR=[UNAVAILABLE]"):
            client.expect("EHLO relay.test", 250)
            client.expect(f"XCLIENT {words}", 220)
            assert finish(client, helo="own.test")[0] == 250
    world.daemon.wait_log("accepted", count=4)
    assert [(line["client"], line["helo"], line["spf"]) for line in world.daemon.log("accepted")] == [
        (GOOD, "first.test", "pass"), (BAD, "own.test", "fail"), (GOOD, "third.test", "pass"), (RELAY, "own.test", "none")]


def test_xclient_that_is_wrong_or_late(world):
    start(world)
    with Client(world.daemon.port, source=RELAY) as client:
        client.expect("EHLO relay.test", 250)
        for arguments in ("ADDR=x", "COLOUR=red", "HELO=a+0D+0Ab", "ADDR"):
            assert client.command(f"XCLIENT {arguments}")[0] == 501
        assert client.command("XCLIENT")[0] == 501
        client.expect("MAIL FROM:<anna@good.test>", 250)
        assert client.command(f"XCLIENT ADDR={GOOD}")[0] == 503
        client.expect("RSET", 250)
        client.expect(f"XCLIENT ADDR={GOOD}", 220)


# --- Received -----------------------------------------------------------------------------


def received(*hops):
    return b"".join(f"Received: from {hop}\r\n\tby relay.test (Postfix) with ESMTP id 1;\r\n\tMon, 1 Jun 2026 00:00:00 +0000\r\n"
                    .encode() for hop in hops)


@pytest.mark.parametrize("hops,want,origin", [
    ([f"helo.test (a.test [{GOOD}])"], "pass", GOOD),
    ([f"helo.test (a.test [{BAD}])"], "fail", BAD),
    ([f"inner.test (i.test [10.1.2.3])", f"helo.test (a.test [{GOOD}])"], "pass", GOOD),
    (["localhost (localhost [127.0.0.1])", f"helo.test (a.test [{BAD}])"], "fail", BAD),
    ([f"helo.test (a.test [{BAD}])", f"helo.test (a.test [{GOOD}])"], "fail", BAD),
    ([f"[{GOOD}]", f"helo.test (a.test [{GOOD}])"], "none", RELAY),
    ([], "none", RELAY),
    (25 * ["i.test (i.test [10.0.0.1])"] + [f"helo.test (a.test [{GOOD}])"], "none", RELAY),
])
def test_the_client_in_the_relays_received_field(world, hops, want, origin):
    hop = start(world, policy="spf-fail tag")
    with Client(world.daemon.port, source=RELAY) as client:
        assert finish(client, data=received(*hops) + a_message(sender="anna@good.test"))[0] == 250
    text = results(hop.wait()[0])
    assert f"; spf={want}" in text and f"smtp.remote-ip={origin}" in text, text
    if want == "none":
        assert "iprev=none" in text and text.count("spf=none") == 2
    assert world.daemon.wait_log("accepted", client=RELAY, origin=origin, spf=want)


def test_policies_wait_for_the_received_field(world):
    start(world, policy="spf-fail refuse\niprev refuse")
    with Client(world.daemon.port, source=RELAY) as client:
        code, text = finish(client, data=received(f"helo.test (a.test [{BAD}])") + a_message(sender="anna@good.test"))
        assert code == 550 and BAD in text and RELAY not in text
        code, text = finish(client)  # nobody is named: nobody is blamed
        assert code == 250
    with Client(world.daemon.port, source=STRANGER) as client:
        code, text = finish(client, data=received(f"helo.test (a.test [{GOOD}])") + a_message(sender="anna@good.test"))
        assert code == 550


def test_a_null_sender_behind_a_relay(world):
    hop = start(world, policy="spf-fail tag")
    for helo, want in (("helo.test", "pass"), ("other.test", "none")):
        with Client(world.daemon.port, source=RELAY) as client:
            data = received(f"{helo} (a.test [{GOOD}])") + a_message(sender="anna@good.test")
            assert finish(client, sender="", data=data, helo="relay.test")[0] == 250
        assert world.daemon.wait_log("accepted", origin=GOOD, spf=want)
    assert any("smtp.helo=helo.test" in results(message) for message in hop.wait(2))


def test_an_empty_message_from_a_relay(world):
    start(world, policy="spf-fail refuse\ndmarc-reject tag")
    with Client(world.daemon.port, source=RELAY) as client:
        client.hello()
        client.envelope("anna@good.test", "info@fwd.test")
        client.send(b".\r\n")
        assert client.reply()[0] == 250
    assert world.daemon.wait_log("accepted", origin=RELAY, spf="none", iprev="none")


# --- an address with a policy of its own --------------------------------------------------


def test_an_address_has_its_own_policy(world):
    domain = ("    forward info to a@dest.test\n    forward lenient to b@dest.test\n"
              "    policy-for Lenient {\n        spf-fail tag\n    }\n")
    hop = world.hop()
    world.start(zone=ZONE, authenticate="on", policy="spf-fail refuse", domain=domain)
    with Client(world.daemon.port) as client:
        client.hello()
        client.expect("MAIL FROM:<anna@good.test>", 250)
        assert client.command("RCPT TO:<info@fwd.test>")[0] == 550
        client.expect("RCPT TO:<lenient@fwd.test>", 250)
        client.expect("RCPT TO:<LENIENT+tag@fwd.test>", 250)
        assert client.command("RCPT TO:<info@fwd.test>")[0] == 452  # in a message of its own
        client.expect("DATA", 354)
        client.send(stuff(a_message(sender="anna@good.test")) + b".\r\n")
        assert client.reply()[0] == 250
    assert "spf=fail" in results(hop.wait()[0])
