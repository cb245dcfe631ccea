"""Who the client is: HELO, lists in DNS, reverse name, the sender's domain, early talkers; rules, points and replies.
Clients have addresses of the outside by XCLIENT or PROXY from a relay that is trusted."""
import re
import signal
import socket
import time
import types

import pytest

from harness import Client, World, a_message, stuff
from test_authentication import Resolver, results, txt
from test_starttls import SecureClient, context_for, implicit_port, keys, tls_block  # noqa: F401 (a fixture)

RELAY = "127.0.0.5"
CLEAN, LISTED, SIX = "192.0.2.1", "192.0.2.66", "2001:db8::66"
LISTED_NAME, CLEAN_NAME = "66.2.0.192", "1.2.0.192"
SIX_NAME = "6.6.0.0." + 20 * "0." + "8.b.d.0.1.0.0.2"


def a(address):
    return [("A", address)]


ZONE = {
    # a list as it should be
    "2.0.0.127.bl.test": a("127.0.0.2"),
    f"{LISTED_NAME}.bl.test": a("127.0.0.4") + txt('sends "spam", see bl.test'),
    f"{SIX_NAME}.bl.test": a("127.0.0.4"),
    # what may go wrong with one
    "*.everybody.test": a("127.0.0.2"),
    "*.parked.test": a("203.0.113.9"),
    "*.refusing.test": a("127.255.255.254"),
    f"{LISTED_NAME}.untested.test": a("127.0.0.2"),
    "dead.test": [("NS", "nowhere.test.")],
    # names
    "test.names.test": a("127.0.0.2"), "spam.test.names.test": a("127.0.0.2"),
    # who is good
    "2.0.0.127.wl.test": a("127.0.0.2"), f"{LISTED_NAME}.wl.test": a("127.0.10.3"),
    # senders and clients
    "good.test": [("MX", "10 mx.good.test.")], "mx.good.test": a("192.0.2.1"),
    "address.test": a("192.0.2.1"), "null.test": [("MX", "0 .")], "text.test": txt("nothing else"),
    "spam.test": [("MX", "10 mx.good.test.")],
    "1.2.0.192.in-addr.arpa": [("PTR", "mx.good.test.")],
}


def start(world, lines="", rules="", zone=None, **settings):
    hop = world.hop()
    block = f"client {{\n{rules}\n}}\n" if rules else ""
    settings.setdefault("extra", f"trust {RELAY}\n{block}{lines}\n")
    world.start(zone={**ZONE, **(zone or {})}, **settings)
    return hop


def offer(world, client=CLEAN, helo="mx.good.test", sender="anna@good.test", recipient="info@fwd.test", data=False):
    """The answer to RCPT, or to the dot when `data`: "550 5.7.1 text"."""
    with Client(world.daemon.port, source=RELAY) as connection:
        connection.expect("EHLO relay.test", 250)
        literal = f"IPV6:{client}" if ":" in client else client
        connection.expect(f"XCLIENT ADDR={literal} HELO={helo}", 220)
        connection.expect("EHLO relay.test", 250)
        connection.expect(f"MAIL FROM:<{sender}>", 250)
        code, lines = connection.command(f"RCPT TO:<{recipient}>")
        if data and code == 250:
            connection.expect("DATA", 354)
            connection.send(stuff(a_message(sender="anna@good.test")) + b".\r\n")
            code, lines = connection.reply()
        connection.command("QUIT")
        return lines[-1]


# --- lists --------------------------------------------------------------------------------


def test_a_listed_client_is_refused_with_the_lists_words(world):
    start(world, "blocklist bl.test")
    assert offer(world, LISTED) == f'550 5.7.1 {LISTED} is in the block list bl.test: sends "spam", see bl.test'
    assert world.daemon.wait_log("recipient-refused", client=LISTED, why="blocklist")["code"] == "550"
    judged = world.daemon.wait_log("client-judged", client=LISTED)
    assert judged["found"] == "blocklist:bl.test" and judged["verdict"] == "refuse"
    assert offer(world, SIX) == f"550 5.7.1 {SIX} is in the block list bl.test; ask there to be taken off it"
    assert offer(world, CLEAN, data=True).startswith("250 ")
    assert offer(world, "2001:db8::67").startswith("250 ")
    assert not world.daemon.log("client-judged", client=CLEAN)


def test_postmaster_is_for_everybody(world):
    hop = start(world, "blocklist bl.test")
    with Client(world.daemon.port, source=RELAY) as connection:
        connection.expect("EHLO relay.test", 250)
        connection.expect(f"XCLIENT ADDR={LISTED} HELO=mx.good.test", 220)
        connection.expect("EHLO relay.test", 250)
        connection.expect("MAIL FROM:<anna@good.test>", 250)
        connection.expect("RCPT TO:<info@fwd.test>", 550)  # this one waits for the list; mail to postmaster does not
        connection.expect("RCPT TO:<POSTMASTER@fwd.test>", 250)
        connection.expect("DATA", 354)
        connection.send(stuff(a_message(sender="anna@good.test")) + b".\r\n")
        assert connection.reply()[0] == 250
    assert f"x-client=fail (blocklist:bl.test) policy.points=0 smtp.remote-ip={LISTED}" in results(hop.wait()[0]).replace('"', "")


@pytest.mark.parametrize("zone,why", [("everybody", "lists-everybody"), ("parked", None), ("refusing", "query-refused"),
                                      ("untested", "no-test-entry"), ("dead", None), ("x.servfail", None),
                                      ("nothing", None)])
def test_a_list_that_does_not_work_refuses_nobody(world, zone, why):
    start(world, f"workers 1\nblocklist {zone}.test\n", rules="lists-timeout 1s")
    for _ in range(2):
        assert offer(world, LISTED).startswith("250 "), zone
    if why is None:
        assert not world.daemon.log("list-trouble")
    else:
        assert world.daemon.wait_log("list-trouble", zone=f"{zone}.test")["why"] == why
        assert len(world.daemon.log("list-trouble")) == 1  # though it was asked twice


@pytest.mark.alone
def test_a_slow_list_holds_nobody_up(postilion):
    """The list never answers; the others do, and so do those asked about the sender."""
    def script(name, kind, is_tcp):
        if name.endswith(".slow.test"):
            return Resolver.SILENCE
        if kind == "A" and name in ("2.0.0.127.bl.test", f"{LISTED_NAME}.bl.test"):
            return [f"{name}. 60 A 127.0.0.2"]
        return 3
    server = Resolver(script)
    daemon = postilion(resolver_port=server.port, domain=World.DOMAIN, extra=f"trust {RELAY}\nclient {{\n    lists-timeout 1s\n}}\n"
                                                                             "blocklist slow.test\nblocklist bl.test\n").start()

    world = types.SimpleNamespace(daemon=daemon)
    begun = time.monotonic()
    assert offer(world, CLEAN).startswith("250 ")
    assert 0.9 <= time.monotonic() - begun < 5
    begun = time.monotonic()
    assert offer(world, LISTED).startswith("550 5.7.1 ")  # what is certain does not wait
    assert time.monotonic() - begun < 0.9
    assert not daemon.log("list-trouble")


@pytest.mark.parametrize("match,want", [("127.0.0.4", 550), ("127.0.0.2-127.0.0.9", 550), ("127.0.0.5-127.0.0.9", 250),
                                        ("127.0.0.9 127.0.0.4", 550), ("&0.0.0.12", 550), ("&0.0.0.3", 250)])
def test_answers_that_count(world, match, want):
    start(world, f"blocklist bl.test match {match}")
    assert offer(world, LISTED).startswith(str(want))


def test_who_is_allowed_is_not_judged(world):
    start(world, "blocklist bl.test\nallowlist wl.test match 127.0.0.0-127.0.255.255\nallowlist 198.51.100.0/24 2001:db8::/32\n",
          rules="helo refuse\nsender-domain refuse")
    assert offer(world, LISTED, helo="mx.fwd.test", sender="a@nothing.test").startswith("250 ")
    assert offer(world, "198.51.100.9", helo="mx.fwd.test").startswith("250 ")
    assert offer(world, SIX, helo="mx.fwd.test").startswith("250 ")
    assert offer(world, CLEAN, helo="mx.fwd.test").startswith("550 5.5.4 ")


def test_an_allow_list_for_everybody_allows_nobody(world):
    start(world, "blocklist bl.test\nallowlist everybody.test\n")
    assert offer(world, LISTED).startswith("550 5.7.1 ")
    assert world.daemon.wait_log("list-trouble", zone="everybody.test")["why"] == "lists-everybody"


def test_who_is_allowed_is_not_asked_to_come_again(world):
    start(world, policy="greylist all", authenticate="on", extra=f"trust {RELAY}\nallowlist wl.test\n")
    assert offer(world, LISTED).startswith("250 ")
    assert offer(world, CLEAN).startswith("451 4.7.1 ")


def test_relays_that_are_trusted_are_not_judged(world):
    start(world, "blocklist bl.test\n", rules="helo refuse\nreverse-name refuse\npipelining refuse",
          zone={"5.0.0.127.bl.test": a("127.0.0.4")})
    with Client(world.daemon.port, source=RELAY) as client:
        client.send("EHLO mx.fwd.test\r\nMAIL FROM:<anna@good.test>\r\nRCPT TO:<info@fwd.test>\r\n")
        assert [client.reply()[0] for _ in range(3)] == [250, 250, 250]
    with Client(world.daemon.port, source="127.0.0.6") as client:
        client.expect("EHLO mx.fwd.test", 250)
        client.expect("MAIL FROM:<anna@good.test>", 250)
        client.expect("RCPT TO:<info@fwd.test>", 550)


def test_bounces_on_their_way_back_are_not_judged(world):
    hop = start(world, "blocklist bl.test")
    assert offer(world, CLEAN, data=True).startswith("250 ")
    address = hop.wait()[0].sender
    assert address.startswith("SRS0")
    assert offer(world, LISTED, sender="", recipient=address).startswith("250 ")
    assert offer(world, LISTED, sender="").startswith("550 ")


# --- the others ---------------------------------------------------------------------------


@pytest.mark.parametrize("rules,options,want", [
    ("helo refuse", {"helo": "mx.fwd.test"}, "550 5.5.4 You call yourself mx.fwd.test, which is our own name"),
    ("helo refuse", {"helo": CLEAN}, "550 5.5.4 You call yourself 192.0.2.1, which is an address without brackets"),
    ("helo refuse", {"helo": "[127.0.0.1]"}, "550 5.5.4 You call yourself [127.0.0.1], which is our own address"),
    ("helo refuse", {"helo": "not!a!name"}, "550 5.5.4 "),
    ("helo defer", {"helo": "mx.fwd.test"}, "450 4.5.4 "),
    ("helo refuse", {"helo": "localhost"}, "250 "),
    ("helo refuse", {"helo": f"[{CLEAN}]"}, "250 "),
    ("helo-local refuse", {"helo": "localhost"}, "550 5.5.4 You call yourself localhost, which is not a full name"),
    ("helo-local refuse", {"helo": "[10.0.0.1]"}, "550 5.5.4 "),
    ("helo-local refuse", {"helo": "mx.fwd.test"}, "250 "),
    ("reverse-name refuse", {}, "250 "),
    ("reverse-name refuse", {"client": LISTED}, "550 5.7.25 192.0.2.66 has no reverse DNS name that leads back to it"),
    ("sender-domain refuse", {}, "250 "),
    ("sender-domain refuse", {"sender": "a@address.test"}, "250 "),
    ("sender-domain refuse", {"sender": ""}, "250 "),
    ("sender-domain refuse", {"sender": "a@nothing.test"}, "550 5.1.8 The sender's domain nothing.test does not exist"),
    ("sender-domain refuse", {"sender": "a@text.test"}, "550 5.1.8 The sender's domain text.test has neither MX nor address"),
    ("sender-domain refuse", {"sender": "a@null.test"}, "550 5.7.27 The sender's domain null.test has a null MX"),
    ("sender-domain refuse", {"sender": "a@x.servfail.test"}, "451 4.1.8 The sender's domain x.servfail.test cannot be looked up"),
    ("sender-domain tag", {"sender": "a@x.servfail.test"}, "250 "),
])
def test_each_control_says_what_it_found(world, rules, options, want):
    start(world, rules=rules)
    assert offer(world, **options).startswith(want)


def test_the_reverse_name_is_asked_for_once(postilion):
    """Though authentication wants to know it, too."""
    server = Resolver(lambda name, kind, is_tcp: 3)
    daemon = postilion(resolver_port=server.port, domain=World.DOMAIN, authenticate="on",
                       extra=f"trust {RELAY}\nclient {{\n    reverse-name refuse\n}}\n").start()
    assert offer(types.SimpleNamespace(daemon=daemon), LISTED).startswith("550 5.7.25 ")
    assert [name for name, kind, _ in server.asked if kind == "PTR"] == [f"{LISTED_NAME}.in-addr.arpa"]


def test_names_in_a_list(world):
    start(world, "blocklist names.test for sender")
    assert offer(world, sender="a@Spam.test") == "550 5.7.1 Spam.test is in the block list names.test; ask there to be taken off it"
    assert offer(world).startswith("250 ")


def test_points_add_up_and_tags_are_seen(world):
    hop = start(world, "blocklist bl.test weight 4\n", rules="helo-local 2\nreverse-name 2\nsender-domain 3\ntag-at 6\nrefuse-at 9")
    assert offer(world, CLEAN, helo="localhost", data=True).startswith("250 ")
    assert b"x-client" not in hop.wait(1)[0].data
    assert offer(world, LISTED, data=True).startswith("250 ")
    text = results(hop.wait(2)[1])
    assert re.search(r"x-client=fail \(reverse-name:no-name, blocklist:bl\.test\) policy\.points=6", text) or \
        re.search(r"x-client=fail \(blocklist:bl\.test, reverse-name:no-name\) policy\.points=6", text)
    accepted = world.daemon.wait_log("accepted", client=LISTED)
    assert accepted["points"] == "6" and " found=blocklist:bl.test" in accepted.text
    answer = offer(world, LISTED, sender="a@null.test")
    assert answer.startswith("550 5.7.1 Too much speaks against this client (9 points): ")
    assert "sender-domain:null-mx" in answer and "blocklist:bl.test" in answer
    assert world.daemon.wait_log("recipient-refused")["why"] == "client-score"


def test_a_forged_field_about_clients_goes(world):
    hop = start(world, rules="helo tag")
    with Client(world.daemon.port) as client:
        client.expect("EHLO mx.good.test", 250)
        forged = b"Authentication-Results: mx.fwd.test; x-client=pass\r\n" + a_message(sender="anna@good.test")
        client.message("anna@good.test", "info@fwd.test", forged)
    assert b"x-client" not in hop.wait()[0].data


def test_new_rules_at_a_reload(world):
    """What was found under the old configuration is not kept, and none of it is looked at after it has gone."""
    start(world, "blocklist bl.test\n", rules="helo refuse")
    with Client(world.daemon.port, source=RELAY) as client:
        def rcpt():
            client.expect("MAIL FROM:<anna@good.test>", 250)
            code, lines = client.command("RCPT TO:<info@fwd.test>")
            client.expect("RSET", 250)
            return lines[-1]
        client.expect("EHLO relay.test", 250)
        client.expect(f"XCLIENT ADDR={LISTED} HELO=mx.fwd.test", 220)
        client.expect("EHLO relay.test", 250)
        assert rcpt().startswith("550 5.5.4 ")
        for number, (lines, want) in enumerate([("blocklist bl.test\n", "550 5.7.1 "), ("", "250 "),
                                                ("blocklist bl.test tag\nclient {\n    helo defer\n}\n", "450 4.5.4 ")], 1):
            world.daemon.write_config(extra=f"trust {RELAY}\n{lines}")
            world.daemon.signal(signal.SIGHUP)
            world.daemon.wait_log("reloaded", count=number)
            assert rcpt().startswith(want)


# --- before the greeting ------------------------------------------------------------------


def second_port(world, number=1):
    return int(world.daemon.wait_log("listening", count=number + 1) and
               world.daemon.log("listening")[number]["address"].rsplit(":", 1)[1])


def start_waiting(world, wait="1s", lines="", rules=""):
    return start(world, f"listen 127.0.0.1:0 {{\n    banner-wait {wait}\n}}\n{lines}", rules=rules)


def test_who_speaks_before_the_greeting(world):
    start_waiting(world, wait="30s")
    begun = time.monotonic()
    with Client(second_port(world), greet=False) as client:
        client.send("EHLO spam.test\r\n")
        assert client.reply() == (554, ["554 5.5.1 you spoke before our greeting; wait for the 220 line first"])
        assert client.is_closed()
    assert time.monotonic() - begun < 20  # at once
    assert world.daemon.wait_log("early-talker")["octets"] == "16"
    assert world.daemon.wait_log("session-end", why="early-talker")


@pytest.mark.alone
def test_who_waits_is_greeted(world):
    start_waiting(world)
    begun = time.monotonic()
    with Client(second_port(world), greet=False) as client:
        assert client.reply()[0] == 220
        assert time.monotonic() - begun >= 0.95
        client.expect("EHLO mx.good.test", 250)
    begun = time.monotonic()
    with Client(second_port(world), source=RELAY, greet=False) as client:  # a relay of ours does not wait
        client.send("EHLO relay.test\r\n")
        assert [client.reply()[0] for _ in range(2)] == [220, 250]
    with Client(world.daemon.port):  # nor does anybody elsewhere
        assert time.monotonic() - begun < 0.9


def test_early_talkers_by_points(world):
    hop = start_waiting(world, rules="early-talker 5")
    with Client(second_port(world), greet=False) as client:
        client.send("EHLO mx.good.test\r\n")
        assert [client.reply()[0] for _ in range(2)] == [220, 250]
        assert client.message("anna@good.test", "info@fwd.test", a_message(sender="anna@good.test"))[0] == 250
    assert "x-client=fail (early-talker) policy.points=5" in results(hop.wait()[0])


def test_a_client_behind_a_proxy_waits(world):
    start(world, "listen 127.0.0.1:0 {\n    proxy-protocol yes\n    banner-wait 1s\n}\n")
    header = f"PROXY TCP4 {CLEAN} 198.51.100.2 4711 25\r\n"
    begun = time.monotonic()
    with Client(second_port(world), source=RELAY, greet=False) as client:
        client.send(header)
        assert client.reply()[0] == 220
        assert time.monotonic() - begun >= 0.95
    with Client(second_port(world), source=RELAY, greet=False) as client:
        client.send(header + "EHLO spam.test\r\n")
        assert client.reply()[0] == 554
    assert world.daemon.wait_log("early-talker", client=CLEAN)


def test_the_wait_comes_after_the_handshake(world, keys):  # noqa: F811
    start(world, extra=tls_block(keys["ec"]) + "\nlisten 127.0.0.1:0 {\n    tls implicit\n    banner-wait 1s\n}\n")
    begun = time.monotonic()
    with SecureClient(implicit_port(world), greet=False) as client:
        client.start_tls(context_for(keys), is_asked=False)
        assert client.reply()[0] == 220
        assert time.monotonic() - begun >= 0.95
    with SecureClient(implicit_port(world), greet=False) as client:
        client.start_tls(context_for(keys), is_asked=False)
        client.send("EHLO spam.test\r\n")
        assert client.reply()[0] == 554


def test_who_does_not_wait_for_the_answer_to_ehlo(world):
    start(world, rules="pipelining refuse")
    with socket.create_connection(("127.0.0.1", world.daemon.port)) as plain:
        plain.recv(100)
        plain.sendall(b"EHLO spam.test\r\nMAIL FROM:<a@good.test>\r\nRCPT TO:<info@fwd.test>\r\nQUIT\r\n")
        heard = b""
        while True:
            octets = plain.recv(4096)
            if not octets:
                break
            heard += octets
    assert b"554 5.5.1 You sent commands before our answer" in heard
    with Client(world.daemon.port) as client:  # PIPELINING behind it is fine
        client.expect("EHLO mx.good.test", 250)
        client.send("MAIL FROM:<a@good.test>\r\nRCPT TO:<info@fwd.test>\r\n")
        assert [client.reply()[0] for _ in range(2)] == [250, 250]
