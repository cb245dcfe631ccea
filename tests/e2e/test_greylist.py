"""Greylisting: who was never here before is asked to come again."""
import re

import pytest

from harness import Client, wait_until
from test_authentication import txt

RELAY = "127.0.0.5"  # names clients by XCLIENT
GOOD, NEIGHBOUR, OTHER = "192.0.2.1", "192.0.2.77", "198.51.100.9"
ZONE = {"good.test": txt(f"v=spf1 ip4:{GOOD} -all"), "mail.good.test": [("A", GOOD)],
        "1.2.0.192.in-addr.arpa": [("PTR", "mail.good.test.")]}
GREYLIST = "greylist {\n    delay 1s\n    client-passes 2\n}\n"


def start(world, rule, **settings):
    hop = world.hop()
    world.start(zone=ZONE, policy=f"    greylist {rule}\n    spf-fail tag\n", extra=f"trust {RELAY}\n" + GREYLIST, **settings)
    return hop


def rcpt(world, client=OTHER, sender="anna@good.test", recipient="info@fwd.test"):
    with Client(world.daemon.port, source=RELAY) as connection:
        connection.expect("EHLO relay.test", 250)
        connection.expect(f"XCLIENT ADDR={client} HELO=helo.test", 220)
        connection.expect("EHLO relay.test", 250)
        connection.expect(f"MAIL FROM:<{sender}>", 250)
        code, lines = connection.command(f"RCPT TO:<{recipient}>")
        return code, lines[-1]


def test_who_comes_again_is_let_in(world):
    start(world, "all")
    code, line = rcpt(world)
    assert code == 451 and re.match(r"451 4\.7\.1 .*try again in 1 s", line)
    refused = world.daemon.wait_log("recipient-deferred", why="greylisted", client=OTHER)
    assert refused["code"] == "451"
    wait_until(lambda: rcpt(world)[0] == 250, "the end of the delay")
    assert rcpt(world)[0] == 250  # and from now on at once
    assert rcpt(world, sender="bob@good.test")[0] == 451
    assert rcpt(world, recipient="postmaster@fwd.test")[0] == 451  # for whom it is new


def test_a_network_that_came_again_often_is_known(world):
    start(world, "all")
    for sender in ("a@good.test", "b@good.test"):
        assert rcpt(world, GOOD, sender)[0] == 451
    for sender in ("a@good.test", "b@good.test"):
        wait_until(lambda: rcpt(world, NEIGHBOUR, sender)[0] == 250, "the end of the delay")
    assert rcpt(world, GOOD, "c@good.test")[0] == 250
    assert rcpt(world, OTHER, "c@good.test")[0] == 451


def test_it_is_remembered_over_a_restart(world):
    start(world, "all")
    assert rcpt(world)[0] == 451
    wait_until(lambda: rcpt(world)[0] == 250, "the end of the delay")
    world.daemon.stop()
    world.daemon.start()
    assert rcpt(world)[0] == 250


@pytest.mark.parametrize("client,sender,want", [(GOOD, "anna@good.test", 250), (GOOD, "anna@none.test", 451),
                                                (NEIGHBOUR, "anna@good.test", 451)])
def test_suspicious_are_those_nobody_speaks_for(world, client, sender, want):
    start(world, "suspicious", authenticate="on")
    assert rcpt(world, client, sender)[0] == want


def test_relays_of_ours_and_bounces_are_let_in(world):
    hop = start(world, "all")
    with Client(world.daemon.port, source=RELAY) as connection:  # it named no client
        connection.expect("EHLO relay.test", 250)
        assert connection.message("anna@good.test", "info@fwd.test", b"Subject: x\r\n\r\nx\r\n")[0] == 250
    back = hop.wait()[0].sender
    assert rcpt(world, sender="", recipient=back)[0] == 250


def test_a_domain_has_its_own_rule(world):
    start(world, "all", domain="    forward info to admin@dest.test\n    policy-for info {\n        greylist off\n    }\n")
    assert rcpt(world)[0] == 250
    assert rcpt(world, recipient="postmaster@fwd.test")[0] == 451
