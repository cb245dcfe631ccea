"""Who gets a bounce: who proved to be the sender; signed by us; and what happens instead of one."""
import time

import dkim
import pytest

import harness
from harness import a_message
from test_authentication import ELSEWHERE, HERE, ZONE, signed
from test_bounces import refuse_at
from test_dkim_interop import make_rsa

OUR_KEY = make_rsa(2048)


def txt(text):
    return [("TXT", text)]


def mail_zone(*domains):
    """Bounces can be sent there."""
    return {f"{domain}": [("MX", "10 mx.sender.test."), *ZONE.get(domain, [])] for domain in domains}


def start(world, **settings):
    world.hop(script=refuse_at("rcpt"))
    back = world.hop(world.SENDER)
    zone = {**ZONE, **mail_zone("pass.test", "fail.test", "neutral.test", "signer.test"),
            "mx.fwd.test": [("A", HERE)], "own.fwd.test": txt(f"v=spf1 ip4:{HERE} -all")}
    world.start(zone=zone, authenticate="on", bounce=settings.pop("bounce", "proven"),
                policy=settings.pop("policy", "spf-fail tag"), **settings)
    return back


def offer(world, sender, data=None, source=HERE):
    with harness.Client(world.daemon.port, source=source) as client:
        code, lines = client.hello().message(
            sender, "info@fwd.test", data or a_message(sender=sender))
        assert code == 250, lines
        return lines[0].rsplit("id=", 1)[1]


@pytest.mark.parametrize("sender, data, is_told", [
    ("anna@pass.test", None, True),                             # SPF
    ("anna@neutral.test", None, False),
    ("anna@unknown.test", None, False),
    ("anna@fail.test", a_message(sender="anna@fail.test"), False),
    ("anna@fail.test", signed(a_message(sender="anna@fail.test"), "fail.test"), True),  # its signature
    ("anna@signer.test", signed(a_message(sender="anna@signer.test"), "signer.test"), True),
    ("anna@neutral.test", signed(a_message(sender="anna@signer.test"), "signer.test"), False),  # somebody else's
], ids=["spf", "neutral", "nothing", "fail", "fail-signed", "signed", "other-signed"])
def test_only_proven_senders_are_told(world, sender, data, is_told):
    back = start(world)
    ident = offer(world, sender, data)
    if is_told:
        assert back.wait()[0].recipients == [sender]
        assert world.daemon.wait_log("bounced", id=ident)["why"] == "permanent-failure"
    else:
        line = world.daemon.wait_log("held", id=ident)
        assert (line["why"], line["status"]) == ("sender-not-proven", "held")
        assert world.daemon.log("bounce-queued") == [] and back.connections == 0
        listed = world.daemon.command("queue", "list").stdout
        assert ident in listed and "not bounced: sender not proven" in listed


def test_only_own_domains(world):
    back = start(world, bounce="own-domains")
    ident = offer(world, "anna@pass.test")
    assert world.daemon.wait_log("held", id=ident)["why"] == "not-own-domain"
    assert back.connections == 0


def test_check_says_when_nobody_can_be_proven(world):
    world.start(authenticate="off", bounce="proven", is_started=False)
    result = world.daemon.command("check", check=False)
    assert "bounce all" in result.stdout + result.stderr
    world.daemon.write_config(bounce="all")
    result = world.daemon.command("check", check=False)
    assert "never bounced" not in result.stdout + result.stderr


def test_a_bounce_is_signed(world, tmp_path):
    key = tmp_path / "s1.pem"
    key.write_bytes(OUR_KEY.pem)
    key.chmod(0o600)
    back = start(world, extra=f"seal {{\n    domain fwd.test\n    selector s1\n    key-file {key}\n}}")
    offer(world, "anna@pass.test")
    bounce = back.wait()[0]
    assert b"d=fwd.test" in bounce.header().replace(b" ", b"")

    def lookup(name, timeout=5):
        assert name == b"s1._domainkey.fwd.test."
        return OUR_KEY.record.encode()
    assert dkim.verify(bounce.data, dnsfunc=lookup)
    assert not dkim.verify(bounce.data.replace(b"could not", b"could now"), dnsfunc=lookup)


# --- return addresses ---------------------------------------------------------------------


def return_address(world, hop):
    world.send()
    return hop.wait()[0].sender


def bounce_to(world, address):
    with harness.Client(world.daemon.port) as client:
        code, lines = client.hello().message("", address, a_message("bounce"))
        return code, lines[0]


def test_a_return_address_takes_so_many_an_hour(world):
    hop, back = world.hop(), world.hop(world.SENDER)
    world.start(srs="    return-rate 2\n")
    address = return_address(world, hop)
    assert bounce_to(world, address)[0] == 250
    assert bounce_to(world, address.upper())[0] == 250
    world.daemon.stop()
    world.daemon.start()
    for separator in "=+-":  # another way to write the same address
        code, text = bounce_to(world, "SRS0" + separator + address[5:])
        assert code == 450 and "4.7.1" in text, text
    assert world.daemon.wait_log("message-deferred")["why"] == "return-rate"
    assert len(back.wait(2)) == 2


def test_a_return_address_is_used_up(world):
    hop, back = world.hop(), world.hop(world.SENDER)
    world.start(srs="    return-uses 1\n    return-rate 0\n")
    address = return_address(world, hop)
    with harness.Client(world.daemon.port) as client:  # asking is no use
        client.hello()
        for _ in range(5):
            client.expect("MAIL FROM:<>", 250)
            client.expect(f"RCPT TO:<{address}>", 250)
            client.expect("RSET", 250)
    assert bounce_to(world, address)[0] == 250
    code, text = bounce_to(world, address)
    assert code == 550 and "5.7.1" in text, text
    assert len(back.wait(1)) == 1


# --- fallback -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["store", "handoff"])
def test_what_is_refused_goes_to_the_fallback(world, mode):
    world.hop(script=lambda at, line, session:
              "550 5.1.1 no" if at == "rcpt" and b"anna@" in line else None)
    other = world.hop("127.0.0.4")
    world.start(zone={"other.test": [("MX", "10 mx.other.test.")], "mx.other.test": [("A", "127.0.0.4")]},
                domain="    forward info to anna@dest.test fallback box@other.test\n", mode=mode)
    ident = world.send()
    assert other.wait()[0].recipients == ["box@other.test"]
    assert world.daemon.wait_log("redirected", id=ident)["fallback"] == "<box@other.test>"
    world.daemon.wait_log("delivered", id=ident)
    assert world.daemon.log("bounce-queued") == []
    assert "empty" in world.daemon.command("queue", "list").stdout


@pytest.mark.parametrize("mode", ["store", "handoff"])
def test_two_refused_targets_and_one_copy_at_the_fallback(world, mode):
    world.hop(script=refuse_at("rcpt"))
    third = world.hop("127.0.0.3", script=lambda at, line, session: (
        time.sleep(0.3), "550 5.1.1 no")[1] if at == "rcpt" and b"bert@" in line else None)
    other = world.hop("127.0.0.4")
    world.start(zone={"other.test": [("MX", "10 mx.other.test.")], "mx.other.test": [("A", "127.0.0.4")]},
                domain="    forward info to anna@dest.test bert@sender.test fallback box@other.test\n", mode=mode)
    ident = world.send()
    world.daemon.wait_log("redirected", id=ident, count=2)
    world.daemon.wait_log("delivered", id=ident)
    time.sleep(0.3)
    assert len(other.messages) == 1 and third.messages == []
    assert "empty" in world.daemon.command("queue", "list").stdout


def test_the_fallback_stays_hidden_too(world):
    world.hop(script=refuse_at("rcpt", "550 5.1.1 <box@dest.test> and <anna@dest.test> are none of ours"))
    back = world.hop(world.SENDER)
    world.start(domain="    forward info to anna@dest.test fallback box@dest.test\n")
    world.send()
    bounce = back.wait()[0]
    assert b"info@fwd.test" in bounce.data and b"box@" not in bounce.data
    world.daemon.wait_log("redirected")
    assert world.daemon.wait_log("bounced")["to"] == "<box@dest.test>"
