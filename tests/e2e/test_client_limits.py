"""How much a client may do: rates, budgets for recipients nobody has, penalties."""
import json
import signal
import time

import pytest

from harness import Client, a_message, free_port, stuff, wait_until
from test_trust import v1

RELAY, RELAY2 = "127.0.0.5", "127.0.0.6"  # trusted: they name clients by XCLIENT or PROXY
CLIENT, NEIGHBOUR, OTHER = "192.0.2.1", "192.0.2.77", "198.51.100.9"
DIRECT = "127.0.0.9"  # not trusted, and not 127.0.0.1, which is this machine


def start(world, limits, extra="", **settings):
    hop = world.hop()
    world.start(limits="".join(f"    {line}\n" for line in limits), extra=f"trust {RELAY} {RELAY2}\n" + extra, **settings)
    return hop


class Named(Client):
    """A client that a trusted relay names; `first`: the answer to that."""

    def __init__(self, world, address=CLIENT, source=RELAY):
        super().__init__(world.daemon.port, source=source)
        self.expect("EHLO relay.test", 250)
        self.first = self.name(address)

    def name(self, address):
        code, lines = self.command(f"XCLIENT ADDR={address}")
        if code == 220:
            self.expect("EHLO client.test", 250)
        return code, lines[-1]


def status(world):
    return json.loads(world.daemon.command("status", "--json").stdout)["refused"]


def refused(world, **settings):
    """Every way to connect, refused or not: the first answer by each."""
    answers = []
    for address in settings["clients"]:
        with Named(world, address) as client:
            answers.append(client.first[0])
    return answers


def is_free(world, address):
    """Until it names a client, a relay's own place is taken: the last try's may not be free again yet."""
    try:
        return refused(world, clients=[address]) == [220]
    except ConnectionError:
        return False


# --- rates --------------------------------------------------------------------------------


def test_who_connects_too_often(world):
    start(world, ["client-connection-rate 2"])
    for _ in range(2):
        Client(world.daemon.port, source=DIRECT).close()
    with Client(world.daemon.port, source=DIRECT) as client:
        assert client.banner[1] == ["421 4.7.0 you connect too often, try again later"]
    world.daemon.wait_log("connection-refused", client=DIRECT, why="connection-rate")
    for _ in range(4):  # this machine, and others
        assert Client(world.daemon.port).banner[0] == 220
    assert Client(world.daemon.port, source="127.0.0.10").banner[0] == 220
    assert status(world)["connection-rate"] == 1


def test_who_is_named_too_often(world):
    start(world, ["client-connection-rate 2"])
    assert refused(world, clients=[CLIENT, CLIENT, CLIENT, NEIGHBOUR]) == [220, 220, 421, 220]
    world.daemon.wait_log("connection-refused", client=CLIENT, via=RELAY, why="connection-rate")
    world.daemon.wait_log("session-end", client=CLIENT, why="connection-rate")


def test_one_connection_of_a_relay_for_many_clients(world):
    """A client's sessions end when the next one is named."""
    start(world, ["per-client 1"])
    with Named(world, CLIENT) as client:
        assert client.name(OTHER)[0] == 220
        with Named(world, CLIENT, RELAY2) as second:
            assert second.first[0] == 220
            assert client.name(OTHER)[0] == 220
            assert client.name(CLIENT)[1].startswith("421 4.7.0 too many connections from your address")
        wait_until(lambda: is_free(world, CLIENT), "the end of the second")


def test_connections_a_minute_in_all(world):
    start(world, ["connection-rate 3"])
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        assert Client(world.daemon.port, source=source).banner[0] == 220
    code, lines = Client(world.daemon.port, source="127.0.0.4").banner
    assert (code, lines) == (421, ["421 4.3.2 too many new connections, try again later"])
    world.daemon.wait_log("connection-refused", why="total-connection-rate")


def test_a_listener_with_limits_of_its_own(world):
    port, busy = free_port(), free_port()
    start(world, [], extra=f"listen 127.0.0.1:{port} {{\n    connections 2\n}}\n"
                           f"listen 127.0.0.1:{busy} {{\n    connection-rate 2\n}}\n")
    first, second = Client(port), Client(port)
    assert first.banner[0] == second.banner[0] == 220
    assert Client(port).banner[0] == 421
    world.daemon.wait_log("connection-refused", why="listener-connections")
    assert [Client(busy).banner[0] for _ in range(3)] == [220, 220, 421]
    world.daemon.wait_log("connection-refused", why="listener-connection-rate")
    assert Client(world.daemon.port).banner[0] == 220
    first.close()
    wait_until(lambda: Client(port).banner[0] == 220, "room at the listener")


def test_messages_and_recipients_a_minute_in_all(world):
    """Whoever they are, this machine included."""
    start(world, ["message-rate 3", "recipient-rate 4"])
    with Client(world.daemon.port, source=DIRECT) as client, Client(world.daemon.port) as second:
        for connection in (client.hello(), second.hello(), client):
            connection.expect("MAIL FROM:<a@sender.test>", 250)
            connection.expect("RCPT TO:<info@fwd.test>", 250)
            connection.expect("RSET", 250)
        code, lines = second.command("MAIL FROM:<a@sender.test>")
        assert (code, lines[0]) == (451, "451 4.3.2 too much mail in all this minute, try again later")
        world.daemon.wait_log("client-limited", client="127.0.0.1", why="total-message-rate")
        assert status(world)["message-rate"] == 1
        world.daemon.write_config(limits="    recipient-rate 4\n")
        world.daemon.signal(signal.SIGHUP)
        world.daemon.wait_log("reloaded")
        client.expect("MAIL FROM:<a@sender.test>", 250)
        client.expect("RCPT TO:<info@fwd.test>", 250)
        code, lines = client.command("RCPT TO:<info@fwd.test>")
        assert (code, lines[0]) == (451, "451 4.3.2 too many recipients in all this minute, try again later")
        world.daemon.wait_log("client-limited", client=DIRECT, why="total-recipient-rate")


def test_messages_and_recipients_a_minute_of_a_listener(world):
    port = free_port()
    start(world, [], extra=f"listen 127.0.0.1:{port} {{\n    message-rate 2\n    recipient-rate 1\n}}\n")
    with Client(port) as client, Client(port, source=DIRECT) as second:
        client.hello().expect("MAIL FROM:<a@sender.test>", 250)
        client.expect("RCPT TO:<info@fwd.test>", 250)
        second.hello().expect("MAIL FROM:<a@sender.test>", 250)
        second.expect("RCPT TO:<info@fwd.test>", 451)
        world.daemon.wait_log("client-limited", client=DIRECT, why="listener-recipient-rate")
        second.expect("RSET", 250)
        second.expect("MAIL FROM:<a@sender.test>", 451)
        world.daemon.wait_log("client-limited", client=DIRECT, why="listener-message-rate")
    world.send()  # by the other one


def test_many_forged_addresses_sound_an_alarm(world):
    start(world, ["bad-signatures 0", "errors 10000"])
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<>", 250)
        assert ask(client, 1000, "SRS0=AAAAAAAA=AA=x.test=y@srs.fwd.test") == [550] * 1000
        assert world.daemon.log("forgery-alarm") == []
        assert ask(client, 2, "SRS0=AAAAAAAA=AA=x.test=y@srs.fwd.test") == [550] * 2
    assert world.daemon.wait_log("forgery-alarm", level="error")["count"] == "1001"
    world.daemon.wait_log("session-end")
    assert len(world.daemon.log("forgery-alarm")) == 1


def test_messages_and_recipients_a_minute(world):
    """Over all connections; trusted relays that name nobody are free."""
    start(world, ["client-message-rate 3", "client-recipient-rate 4"])
    with Named(world) as client, Named(world) as second:
        for connection in (client, second, client):
            connection.expect("MAIL FROM:<a@sender.test>", 250)
            connection.expect("RCPT TO:<info@fwd.test>", 250)
            connection.expect("RSET", 250)
        code, lines = second.command("MAIL FROM:<a@sender.test>")
        assert (code, lines[0]) == (451, "451 4.7.1 too many messages a minute, try again later")
        world.daemon.wait_log("client-limited", client=CLIENT, why="message-rate")
    with Client(world.daemon.port, source=DIRECT) as client:
        client.hello().expect("MAIL FROM:<a@sender.test>", 250)
        for _ in range(4):
            client.expect("RCPT TO:<info@fwd.test>", 250)
        code, lines = client.command("RCPT TO:<info@fwd.test>")
        assert (code, lines[0]) == (451, "451 4.7.1 too many recipients a minute, try again later")
        client.expect("DATA", 354)  # what was accepted is
        client.send(stuff(a_message()) + b".\r\n")
        assert client.reply()[0] == 250
    with Client(world.daemon.port, source=RELAY) as relay:
        relay.hello()
        for _ in range(6):
            relay.expect("MAIL FROM:<a@sender.test>", 250)
            relay.expect("RSET", 250)
    assert status(world) == {"message-rate": 1, "recipient-rate": 1}


def test_new_rates_after_a_reload(world):
    start(world, ["client-connection-rate 1"])
    assert refused(world, clients=[CLIENT, CLIENT]) == [220, 421]
    world.daemon.write_config(limits="    client-connection-rate 0\n")
    world.daemon.process.send_signal(signal.SIGHUP)
    world.daemon.wait_log("reloaded")
    assert refused(world, clients=[CLIENT, CLIENT]) == [220, 220]


# --- recipients that do not exist ---------------------------------------------------------


def ask(client, count, name="nobody{}@fwd.test"):
    """The codes of as many RCPTs; those behind the end of the session are missing."""
    codes = []
    try:
        for number in range(count):
            codes.append(client.command(f"RCPT TO:<{name.format(number)}>")[0])
    except ConnectionError:
        pass
    return codes


def test_a_dictionary_attack_ends_in_a_penalty(world):
    start(world, ["unknown-recipients 4", "tarpit 0s", "penalty 2s"])
    for _ in range(5):
        with Named(world) as client:
            client.expect("MAIL FROM:<a@sender.test>", 250)
            assert ask(client, 10) == [550, 550, 550, 421]
    world.daemon.wait_log("session-end", client=CLIENT, why="unknown-recipients", count=5)
    with Named(world) as client:  # 20 so far
        client.expect("MAIL FROM:<a@sender.test>", 250)
        assert ask(client, 10) == [421]
    world.daemon.wait_log("client-penalised", client=CLIENT, why="unknown-recipients", seconds="2")
    assert refused(world, clients=[CLIENT, NEIGHBOUR]) == [421, 220]
    world.daemon.wait_log("connection-refused", client=CLIENT, via=RELAY, why="penalty")
    wait_until(lambda: refused(world, clients=[CLIENT]) == [220], "the end of the penalty")
    found = status(world)
    assert found["unknown-recipients"] == 6 and found["penalty"] >= 1


def test_a_penalty_at_the_door(world):
    start(world, ["bad-signatures 1", "tarpit 0s"])
    with Client(world.daemon.port, source=DIRECT) as client:
        client.hello().expect("MAIL FROM:<>", 250)
        assert ask(client, 1, "SRS0=AAAAAAAA=AA=x.test=y@srs.fwd.test") == [421]
    with Client(world.daemon.port, source=DIRECT) as client:
        assert client.banner[1] == ["421 4.7.0 your network has abused this server, try again later"]
    world.daemon.wait_log("connection-refused", client=DIRECT, why="penalty")
    assert Client(world.daemon.port).banner[0] == 220  # a neighbour, but this machine


def test_forged_addresses_are_the_whole_networks_fault(world):
    start(world, ["bad-signatures 3", "tarpit 0s"])
    with Named(world) as client:
        client.expect("MAIL FROM:<>", 250)
        assert ask(client, 10, "SRS0=AAAAAAA{}=AA=x.test=y@srs.fwd.test") == [550, 550, 421]
    world.daemon.wait_log("client-penalised", client=CLIENT, why="bad-signatures", seconds="3600")
    assert refused(world, clients=[CLIENT, NEIGHBOUR, OTHER]) == [421, 421, 220]


@pytest.mark.alone
def test_answers_to_a_dictionary_attack_are_late(world):
    start(world, ["unknown-recipients 8", "tarpit 1s"])
    with Named(world) as client, Named(world, OTHER) as other:
        client.expect("MAIL FROM:<a@sender.test>", 250)
        begun = time.monotonic()
        assert ask(client, 2) == [550, 550]
        assert time.monotonic() - begun < 0.4
        client.send("".join(f"RCPT TO:<n{n}@fwd.test>\r\n" for n in range(3)) + "NOOP\r\n")
        other.expect("NOOP", 250)  # nobody else waits
        assert time.monotonic() - begun < 0.4
        assert [client.reply()[0] for _ in range(4)] == [550, 550, 550, 250]
        assert time.monotonic() - begun >= 2.4  # 0.5, 1, 1


def test_a_mailing_list_with_stale_addresses_gets_through(world):
    """As many stale addresses as good ones, and a few more; errors do not count them again."""
    start(world, ["unknown-recipients 5", "errors 10", "tarpit 0s"])
    with Named(world) as client:
        for round in range(8):
            client.expect("MAIL FROM:<list@sender.test>", 250)
            assert ask(client, 3) == [550, 550, 550]
            for name in ("info", "postmaster", "abuse"):
                client.expect(f"RCPT TO:<{name}@fwd.test>", 250)
            client.expect("DATA", 354)
            client.send(stuff(a_message()) + b".\r\n")
            assert client.reply()[0] == 250
    assert refused(world, clients=[CLIENT]) == [220]


@pytest.mark.parametrize("source", [RELAY, "127.0.0.1"])
def test_our_own_relays_are_never_punished(world, source):
    start(world, ["unknown-recipients 2", "bad-signatures 2", "errors 100", "tarpit 10s"])
    with Client(world.daemon.port, source=source) as relay:
        relay.hello().expect("MAIL FROM:<>", 250)
        assert ask(relay, 30) == [550] * 30
        assert ask(relay, 10, "SRS0=AAAAAAA{}=AA=x.test=y@srs.fwd.test") == [550] * 10
        relay.expect("QUIT", 221)
    assert Client(world.daemon.port, source=source).banner[0] == 220


def test_all_of_it_can_be_switched_off(world):
    start(world, ["unknown-recipients 0", "bad-signatures 0", "errors 30"])
    with Named(world) as client:
        client.expect("MAIL FROM:<>", 250)
        begun = time.monotonic()
        assert ask(client, 15) == [550] * 15
        assert ask(client, 20, "SRS0=AAAAAAA{}=AA=x.test=y@srs.fwd.test") == [550] * 15 + [421]
        assert time.monotonic() - begun < 2
    world.daemon.wait_log("session-end", client=CLIENT, why="too-many-errors")
    assert refused(world, clients=[CLIENT]) == [220]
    assert status(world) == {}


# --- through a proxy ----------------------------------------------------------------------


def test_a_penalty_holds_behind_a_proxy(world):
    port = free_port()
    start(world, ["bad-signatures 1", "tarpit 0s"],
          extra=f"listen 127.0.0.1:{port} {{\n    proxy-protocol yes\n}}\n")
    for want in (220, 421):
        with Client(port, source=RELAY, greet=False) as client:
            client.send(v1(CLIENT))
            assert client.reply()[0] == want
            if want == 220:
                client.hello().expect("MAIL FROM:<>", 250)
                assert ask(client, 1, "SRS0=AAAAAAAA=AA=x.test=y@srs.fwd.test") == [421]
    world.daemon.wait_log("connection-refused", client=CLIENT, via=RELAY, why="penalty")
    with Client(port, source=RELAY, greet=False) as client:
        client.send(v1(OTHER))
        assert client.reply()[0] == 220


# --- what is sent on ----------------------------------------------------------------------

DOMAIN = """
    forward info to anna@dest.test
    forward sales to anna@dest.test
    forward bob to bob@dest.test
    forward elsewhere to dora@sender.test
    forward * to carl@dest.test
"""


def deliver(world, *recipients):
    """The codes of RCPTs, and of the content when one was accepted."""
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<a@sender.test>", 250)
        answers = [client.command(f"RCPT TO:<{recipient}@fwd.test>") for recipient in recipients]
        codes = [code for code, _ in answers]
        if 250 in codes:
            client.expect("DATA", 354)
            client.send(stuff(a_message()) + b".\r\n")
            codes.append(client.reply()[0])
        return codes


def test_a_mailbox_gets_so_much_an_hour(world):
    hop = start(world, [], domain=DOMAIN, policy="    forwards-per-hour 3\n")
    with Client(world.daemon.port) as client:  # to ask costs nothing
        client.hello()
        for _ in range(5):
            client.expect("MAIL FROM:<a@sender.test>", 250)
            client.expect("RCPT TO:<info@fwd.test>", 250)
            client.expect("RSET", 250)
    assert deliver(world, "info") == deliver(world, "info+tag") == deliver(world, "sales") == [250, 250]
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<a@sender.test>", 250)
        assert client.command("RCPT TO:<sales+other@fwd.test>")[1] == \
            ["452 4.7.1 too much mail for this address, try again later"]
    world.daemon.wait_log("recipient-deferred", to="<sales+other@fwd.test>", why="forward-budget", code="452")
    assert deliver(world, "info", "bob") == [452, 250, 250]  # nobody else waits for it
    assert deliver(world, "x1") == deliver(world, "x2") == deliver(world, "x3") == [250, 250]
    assert deliver(world, "x4") == [452]  # however a catch-all is written
    hop.wait(7)
    assert status(world) == {"forward-budget": 3}


def test_budgets_of_domains_and_addresses(world):
    start(world, [], policy="    forwards-per-hour 1\n",
          domain=DOMAIN + "    policy {\n        forwards-per-hour 2\n    }\n"
                          "    policy-for bob {\n        forwards-per-hour 0\n        forwards-per-day 4\n    }\n")
    assert [deliver(world, "info")[0] for _ in range(3)] == [250, 250, 452]
    assert [deliver(world, "bob")[0] for _ in range(5)] == [250, 250, 250, 250, 452]


def test_a_destination_gets_so_much_an_hour(world):
    start(world, [], domain=DOMAIN, delivery="    destination-rate 2\n")
    assert deliver(world, "info", "bob") == [250, 250, 250]
    assert deliver(world, "sales", "elsewhere") == [452, 250, 250]
    world.daemon.wait_log("recipient-deferred", to="<sales@fwd.test>", why="destination-budget")


def test_between_the_recipient_and_its_content_others_used_it_up(world):
    start(world, [], domain=DOMAIN, policy="    forwards-per-hour 1\n")
    with Client(world.daemon.port) as client:
        client.hello()
        client.envelope("a@sender.test", "info@fwd.test", "bob@fwd.test")
        assert deliver(world, "info") == [250, 250]
        client.send(stuff(a_message()) + b".\r\n")
        assert client.reply()[1][0].startswith("452 4.7.1 too much mail for this address")
    world.daemon.wait_log("message-deferred", why="forward-budget")
    assert deliver(world, "info", "bob") == [452, 250, 250]  # the next time only one waits
