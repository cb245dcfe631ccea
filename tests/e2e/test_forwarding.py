"""A message in, rewritten, and out again where DNS says: the main job, with real DNS."""
import base64
import email.utils
import re
import socket
import subprocess
import time

import dkim
import pytest

import harness
from harness import Client, a_message

SRS = re.compile(r"SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=sender\.test=anna@srs\.fwd\.test")


def srs_reverse(world, address):
    return world.daemon.command("srs", "reverse", address).stdout.strip()


# --- the envelope -------------------------------------------------------------------------


def test_the_sender_is_rewritten_and_the_rest_is_as_it_was(world):
    hop = world.hop()
    world.start()
    data = a_message(body="one\r\n.two\r\n..three\r\n.")
    ident = world.send(data=data)
    message = hop.wait()[0]
    assert message.recipients == ["anna@dest.test"]
    assert SRS.fullmatch(message.sender), message.sender
    assert srs_reverse(world, message.sender) == "anna@sender.test"
    assert message.data.endswith(data)
    line = world.daemon.wait_log("delivered", id=ident)
    assert line["from"] == "<anna@sender.test>" and line["sender"] == f"<{message.sender}>"
    assert line["to"] == "<anna@dest.test>" and line["orig_to"] == "<info@fwd.test>"
    assert line["relay"] == f"mx.dest.test[127.0.0.2]:{world.port}"
    assert line["status"] == "sent" and line["attempts"] == "1" and line["dsn"].startswith("2.")


def test_every_message_has_one_story(world):
    """The id of the 250 leads through the log and stands in the Received field."""
    hop = world.hop()
    world.start()
    ident = world.send()
    message = hop.wait()[0]
    world.daemon.wait_log("delivered", id=ident)
    accepted = world.daemon.log("accepted", id=ident)
    assert len(accepted) == 1 and len(world.daemon.log("delivered", id=ident)) == 1
    assert f" id {ident}".encode() in message.header()
    session = accepted[0]["s"]
    assert world.daemon.wait_log("session-end", s=session)


def test_the_received_field(world):
    hop = world.hop()
    world.start()
    ident = world.send()
    hop.wait(1)  # in order, though they may come by different loops
    world.send(["info@fwd.test", "sales@fwd.test"])
    hop.wait(2)
    with Client(world.daemon.port) as client:
        client.expect("HELO old.example", 250)
        assert client.message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
    first, several, old = hop.wait(3)
    field = re.match(
        rb"X-Postilion-Loop: mx\.fwd\.test [A-Z2-7]+\r\n"
        rb"Received: from client\.example \(unknown \[127\.0\.0\.1\]\)\r\n"
        rb"\tby mx\.fwd\.test with ESMTP id ([0-9a-z]{13})\r\n"
        rb"\tfor <info@fwd\.test>;\r\n\t([^\r]*)\r\n", first.data)
    assert field, first.data[:400]
    assert field.group(1).decode() == ident
    date = email.utils.parsedate_to_datetime(field.group(2).decode())
    assert abs(date.timestamp() - time.time()) < 3600 and date.tzinfo is not None
    assert b"for <" not in several.data.split(b"\r\nFrom:")[0]  # nobody learns of the others
    assert b"with SMTP id" in old.data and b"from old.example" in old.data


def test_all_targets_of_nested_aliases_get_it_once(world):
    hop = world.hop()
    world.start(domain="""
    forward team   to anna@dest.test bert@dest.test friend@fwd.test
    forward friend to carl@dest.test anna@dest.test deep@fwd.test
    forward deep   to dora@dest.test
    """)
    world.send("team@fwd.test")
    message = hop.wait()[0]
    assert sorted(message.recipients) == ["anna@dest.test", "bert@dest.test", "carl@dest.test",
                                          "dora@dest.test"]
    assert len(hop.messages) == 1


def test_recipients_of_one_next_hop_and_sender_share_a_transaction(world):
    hop = world.hop()
    other = world.hop("127.0.0.4")
    world.start(zone={"other.test": [("A", "127.0.0.4")]},
                domain=world.DOMAIN + "    forward else to olga@other.test\n")
    world.send(["info@fwd.test", "sales@fwd.test", "many@fwd.test", "else@fwd.test"])
    hop.wait(1)
    other.wait(1)
    assert sorted(hop.messages[0].recipients) == ["anna@dest.test", "bert@dest.test", "sepp@dest.test"]
    assert other.messages[0].recipients == ["olga@other.test"]
    world.daemon.wait_log("delivered", count=4)
    assert len(hop.messages) == 1 and len(other.messages) == 1


def test_a_sender_of_our_own_domain_and_the_null_sender_stay(world):
    hop = world.hop()
    world.start()
    world.send(sender="boss@fwd.test")
    hop.wait(1)  # or the second might overtake it: they may come by different loops
    world.send(sender="")
    assert [message.sender for message in hop.wait(2)] == ["boss@fwd.test", ""]


def test_srs_senders_become_srs1_and_srs1_leads_to_the_first_forwarder(world):
    hop = world.hop()
    world.start()
    world.send(sender="SRS0=abcd=KX=first.test=bob@sender.test")
    hop.wait(1)
    world.send(sender="SRS1=wxyz=first.test==abcd=KX=zero.test=bob@sender.test")
    one, two = [message.sender for message in hop.wait(2)]
    assert re.fullmatch(r"SRS1=[A-Z2-7]{8}=sender\.test==abcd=KX=first\.test=bob@srs\.fwd\.test", one)
    assert re.fullmatch(r"SRS1=[A-Z2-7]{8}=first\.test==abcd=KX=zero\.test=bob@srs\.fwd\.test", two)
    assert srs_reverse(world, one) == "SRS0=abcd=KX=first.test=bob@sender.test"


def test_a_quoted_sender_survives_the_round_trip(world):
    hop = world.hop()
    back = world.hop(world.SENDER)
    world.start()
    world.send(sender='"a b"@sender.test', data=a_message())
    rewritten = hop.wait()[0].sender
    world.send(rewritten, sender="", data=a_message("bounce"))
    assert back.wait()[0].recipients == ['"a b"@sender.test']


def test_an_over_long_sender_is_stored_and_its_bounce_comes_back(world):
    hop = world.hop()
    back = world.hop(world.SENDER)
    daemon = world.start()
    sender = "a-very-long-local-part-that-is-longer-than-what-srs-leaves@sender.test"
    world.send(sender=sender)
    rewritten = hop.wait()[0].sender
    local = rewritten.split("@")[0]
    assert len(local) <= 64 and "very-long" not in local
    assert daemon.stop() == 0  # the token outlives the process
    assert srs_reverse(world, rewritten) == sender
    daemon.start()
    bounce = a_message("bounce", sender="mailer-daemon@dest.test")
    world.send(rewritten, sender="", data=bounce)
    message = back.wait()[0]
    assert message.recipients == [sender] and message.sender == ""
    assert message.data.endswith(bounce)


def test_an_over_long_sender_can_be_refused_instead(world):
    world.hop()
    world.start(srs="    long refuse\n")
    with Client(world.daemon.port) as client:
        client.hello().expect(f"MAIL FROM:<{'x' * 60}@sender.test>", 250)
        code, lines = client.command("RCPT TO:<info@fwd.test>")
        assert (code, lines[0][:9]) == (553, "553 5.1.7")


# --- the octets ---------------------------------------------------------------------------

LONG_LINE = "x" * 998
BODIES = {
    "plain": "a line\r\nand another\r\n",
    "dots": ".\r\n..\r\n.. two\r\nend.\r\n.\r\n",
    "8-bit": "gr\u00fc\u00dfe \u20ac\r\n".encode("utf-8").decode("latin-1"),
    "latin-1": "gr\xfc\xdfe\r\n",
    "long lines": f"{LONG_LINE}\r\n.{LONG_LINE[1:]}\r\n",
    "blanks at line ends": "a  \r\n\tb\t\r\n   \r\n\r\n\r\n",
    "empty": "",
    "NUL": "a\0b\r\n",
}


@pytest.fixture(scope="module")
def signer():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    class Signer:
        @staticmethod
        def sign(message, canonicalize=(b"simple", b"simple")):
            return dkim.sign(message, b"sel", b"sender.test", private, canonicalize=canonicalize) + message

        @staticmethod
        def is_valid(message):
            return dkim.verify(message, dnsfunc=lambda name, timeout=5: record)
    return Signer


def header_with_everything(body):
    return (b"From: =?utf-8?q?J=C3=B6rg?= <joerg@sender.test>\r\n"
            b"To: info@fwd.test\r\n"
            b"subject:   odd    spacing\tand a fold\r\n \there  \r\n"
            b"MIME-Version: 1.0\r\n"
            b"Content-Type: text/plain;\r\n\tcharset=\"x-nobody-knows\";\r\n   format=flowed\r\n"
            b"Content-Transfer-Encoding: 8bit\r\n"
            b"X-Raw: gr\xfc\xdfe \xe2\x82\xac\r\n"
            b"X-Long: " + b"y" * 990 + b"\r\n"
            b"X-Empty:\r\n"
            b"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
            b"Message-ID: <everything@sender.test>\r\n\r\n" + body.encode("latin-1"))


def assert_untouched(signer, message, data):
    assert message.data.endswith(data)
    ours = message.data[:-len(data)]
    names = re.findall(rb"^([A-Za-z-]+):", ours, re.M)
    assert set(names) <= {b"Received", b"X-Postilion-Loop"} and names.count(b"Received") == 1
    assert all(len(line) <= 998 for line in ours.split(b"\r\n")) and ours.endswith(b"\r\n")
    assert signer.is_valid(message.data)


@pytest.mark.parametrize("canonicalize", [(b"simple", b"simple"), (b"relaxed", b"relaxed")],
                         ids=["simple", "relaxed"])
@pytest.mark.parametrize("name", BODIES)
def test_a_signed_message_arrives_byte_for_byte(world, signer, name, canonicalize):
    hop = world.hop()
    world.start()
    data = signer.sign(header_with_everything(BODIES[name]), canonicalize)
    assert signer.is_valid(data)
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test> BODY=8BITMIME", 250)
        client.expect("RCPT TO:<info@fwd.test>", 250)
        client.expect("DATA", 354)
        client.send(harness.stuff(data) + b".\r\n")
        assert client.reply()[0] == 250
    message = hop.wait()[0]
    assert_untouched(signer, message, data)
    assert "BODY=8BITMIME" in message.parameters


def test_25_megabytes_arrive_byte_for_byte(world, signer):
    """Bigger than what is kept in memory: through a file on the way in, in the spool and out."""
    hop = world.hop()
    world.start()
    lines = "".join(f"{i:08d} {'.' * (i % 70)}\r\n" for i in range(600_000))
    data = signer.sign(header_with_everything(lines))
    assert len(data) > 25_000_000
    world.send(data=data)
    assert_untouched(signer, hop.wait(1, 120)[0], data)


def test_8bit_content_goes_unchanged_to_a_next_hop_without_8bitmime(world, signer):
    hop = world.hop(keywords=("SIZE 100000000",))
    world.start()
    data = signer.sign(header_with_everything(BODIES["8-bit"]))
    world.send(data=data)
    message = hop.wait()[0]
    assert_untouched(signer, message, data)
    assert "BODY" not in message.parameters


# --- where to -----------------------------------------------------------------------------


def test_mx_are_tried_in_the_order_of_their_preference(world):
    worst, best = world.hop("127.0.0.4"), world.hop("127.0.0.5")
    world.start(zone={
        "dest.test": [("MX", "30 c.dest.test."), ("MX", "10 a.dest.test."), ("MX", "20 b.dest.test.")],
        "a.dest.test": [("A", "127.0.0.6")],  # nobody listens there
        "b.dest.test": [("A", "127.0.0.5")],
        "c.dest.test": [("A", "127.0.0.4")]})
    for number in range(3):
        world.send(data=a_message(f"n{number}"))
    best.wait(3)
    assert worst.connections == 0


def test_equal_mx_share_the_load(world):
    """The order among equals is drawn anew by each destination that is looked up."""
    hops = [world.hop("127.0.0.4"), world.hop("127.0.0.5")]
    zone = {"a.mx.test": [("A", "127.0.0.4")], "b.mx.test": [("A", "127.0.0.5")]}
    aliases = ""
    for number in range(24):
        zone[f"d{number}.test"] = [("MX", "10 a.mx.test."), ("MX", "10 b.mx.test.")]
        aliases += f"    forward n{number} to x@d{number}.test\n"
    world.start(zone=zone, domain=aliases)
    world.send([f"n{number}@fwd.test" for number in range(24)])
    world.daemon.wait_log("delivered", count=24)
    assert all(hop.messages for hop in hops)


FOUND = {
    "implicit MX": {"dest.test": [("A", "127.0.0.2")]},
    "the domain is a CNAME": {"dest.test": [("CNAME", "real.test.")], "real.test": [("MX", "1 mx.dest.test.")]},
    "the MX is a CNAME": {"mx.dest.test": [("CNAME", "host.test.")], "host.test": [("A", "127.0.0.2")]},
    "a CNAME to an address": {"dest.test": [("CNAME", "host.test.")], "host.test": [("A", "127.0.0.2")]},
    "an MX without address beside a good one": {
        "dest.test": [("MX", "5 nothing.test."), ("MX", "10 mx.dest.test.")]},
    "an MX that cannot be looked up beside a good one": {
        "dest.test": [("MX", "5 a.servfail.test."), ("MX", "10 mx.dest.test.")]},
    "we as a worse MX": {"dest.test": [("MX", "10 mx.dest.test."), ("MX", "20 mx.fwd.test.")]},
}


@pytest.mark.parametrize("name", FOUND)
def test_the_next_hop_is_found(world, name):
    hop = world.hop()
    world.start(zone={"mx.fwd.test": [("A", "127.0.0.1")], **FOUND[name]})
    world.send()
    hop.wait()


LOST = {
    "null MX": ({"dest.test": [("MX", "0 .")]}, "5.1.10"),
    "no such domain": ({"dest.test": []}, "5.1.2"),
    "MX without any address": ({"dest.test": [("MX", "10 nothing.test.")]}, "5.4.4"),
    "we are the only MX": ({"dest.test": [("MX", "10 mx.fwd.test.")]}, "5.4.6"),
    "we are the best MX": ({"dest.test": [("MX", "10 mx.fwd.test."), ("MX", "20 mx.dest.test.")]}, "5.4.6"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_dns_rules_out_bounces_at_once(world, name):
    zone, code = LOST[name]
    hop, back = world.hop(), world.hop(world.SENDER)
    world.start(zone={"mx.fwd.test": [("A", "127.0.0.1")], **zone})
    world.send()
    bounce = back.wait()[0]
    assert f"\r\nStatus: {code}\r\n".encode() in bounce.data
    assert b"dest.test" not in bounce.data, bounce.data
    assert world.daemon.wait_log("bounced")["dsn"] == code
    assert hop.connections == 0


def test_dns_trouble_defers_and_nothing_else(world):
    hop, back = world.hop(), world.hop(world.SENDER)
    world.start(domain="    forward info to x@servfail.test\n    forward two to y@mxless.test\n",
                zone={"mxless.test": [("MX", "10 a.servfail.test.")]}, delivery="    retry 1s\n")
    world.send()
    world.send("two@fwd.test")
    line = world.daemon.wait_log("deferred", to="<x@servfail.test>", count=2)
    assert line["why"] == "dns" and line["dsn"] == "4.4.3" and line["relay"] == "none"
    assert world.daemon.wait_log("deferred", to="<y@mxless.test>")["why"] == "dns"
    assert hop.connections == 0 and back.connections == 0


def test_an_mx_with_our_own_address_and_port_is_ourselves(world):
    world.hop()
    back = world.hop(world.SENDER)
    daemon = world.start(zone={"mx.dest.test": [("A", "127.0.0.1")]}, is_started=False)
    daemon.write_config(listen=f"127.0.0.1:{world.port}")
    daemon.start()
    world.send()
    assert b"\r\nStatus: 5.4.6\r\n" in back.wait()[0].data


@pytest.mark.parametrize("address", ["127.0.0.2", "169.254.1.1", "0.0.0.0"])
def test_addresses_of_our_own_network_are_never_connected_to(world, address):
    hop = world.hop()
    world.start(zone={"dest.test": [("MX", "10 mx.dest.test.")], "mx.dest.test": [("A", address)]}, allow="")
    world.send()
    line = world.daemon.wait_log("bounced")
    assert line["dsn"] == "5.4.4"
    assert hop.connections == 0


def test_a_route_names_its_next_hops_in_order(world):
    dead = harness.free_port()
    static, smart = world.hop("127.0.0.4"), world.hop("127.0.0.5")
    ordinary = world.hop()
    world.start(
        domain=world.DOMAIN + "    forward one to a@routed.test\n    forward two to b@else.test\n",
        zone={"smart.test": [("A", "127.0.0.5")]},
        extra=f"route routed.test to 127.0.0.1:{dead} 127.0.0.4:{static.port}\n"
              f"route * to smart.test:{smart.port}\nroute dest.test to mx\n")
    world.send(["one@fwd.test", "two@fwd.test", "info@fwd.test"])
    assert static.wait()[0].recipients == ["a@routed.test"]
    assert smart.wait()[0].recipients == ["b@else.test"]
    assert ordinary.wait()[0].recipients == ["anna@dest.test"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_ipv6_both_ways(world):
    world.hop("::1")
    world.start(zone={"mx.dest.test": [("AAAA", "::1")]}, is_started=False)
    world.daemon.write_config(listen="[::1]:0")
    world.daemon.start()
    with Client(world.daemon.port, address="::1") as client:
        assert client.hello().message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
    line = world.daemon.wait_log("delivered")
    assert line["relay"] == f"mx.dest.test[::1]:{world.port}"


def test_when_ipv6_does_not_answer_ipv4_does(world):
    hop = world.hop()
    world.start(zone={"mx.dest.test": [("AAAA", "::1"), ("A", "127.0.0.2")]})
    for number in range(4):
        world.send(data=a_message(f"n{number}"))
    hop.wait(4)


def test_a_connection_serves_many_messages(world):
    hop = world.hop()
    world.start(delivery="    reuse 5\n")
    for number in range(10):
        world.send(data=a_message(f"n{number}"))
        world.daemon.wait_log("delivered", count=number + 1)
    assert hop.connections == 2
    assert len(world.daemon.log("delivered", reused="yes")) == 8


# --- loops --------------------------------------------------------------------------------


def test_a_message_that_comes_back_is_stopped_at_its_first_return(world):
    hop = world.hop()
    world.start()
    world.send()
    travelled = hop.wait()[0]
    with Client(world.daemon.port) as client:
        client.hello()
        for recipient in ("info@fwd.test", "INFO@fwd.test"):
            code, lines = client.message(travelled.sender, recipient, travelled.data)
            assert (code, lines[0][:9]) == (554, "554 5.4.6"), lines
        # Another alias has not seen it: a list may well write to both.
        assert client.message("list@sender.test", "sales@fwd.test", travelled.data)[0] == 250
    assert world.daemon.wait_log("loop-stopped")["orig_to"] == "<info@fwd.test>"
    assert len(hop.wait(2)) == 2


def test_a_forged_loop_mark_stops_nothing(world):
    hop = world.hop()
    world.start()
    world.send(data=a_message(extra="X-Postilion-Loop: mx.fwd.test AAAAAAAAAAAAAAAA\r\n"
                                    "Delivered-To: info@fwd.test\r\n"))
    hop.wait()


def test_two_forwarders_that_point_at_each_other_stop(postilion, resolver, next_hop):
    """A real loop: the other side sends everything back as it came."""
    a_port, b_port = harness.free_port("127.0.0.4"), harness.free_port("127.0.0.5")
    back = next_hop("127.0.0.3")
    a = postilion(hostname="mx.a.test", listen=f"127.0.0.4:{a_port}", domain="    forward info to info@other.test\n",
                  extra=f"route other.test to 127.0.0.5:{b_port}\nroute * to 127.0.0.3:{back.port}\n")
    b = postilion(hostname="mx.b.test", listen=f"127.0.0.5:{b_port}", is_other=True,
                  domain="    forward x to y@dest.test\n", extra="")
    text = b.config.read_text().replace("domain fwd.test {", "domain other.test {").replace("srs.fwd.test", "srs.b.test")
    text = text.replace("forward x to y@dest.test", "forward info to info@fwd.test")
    b.config.write_text(text + f"route fwd.test to 127.0.0.4:{a_port}\nroute srs.fwd.test to 127.0.0.4:{a_port}\n"
                               f"route * to 127.0.0.3:{back.port}\n")
    a.start()
    b.start()
    with Client(a_port, address="127.0.0.4") as client:
        assert client.hello().message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
    bounce = back.wait()[0]
    assert bounce.recipients == ["anna@sender.test"] and b"5.4.6" in bounce.data
    a.wait_log("accepted", count=2)  # the message once, and b's bounce to the SRS address
    b.wait_log("accepted")
    a.wait_log("delivered", count=2)
    assert len(a.log("accepted")) == 2 and len(b.log("accepted")) == 1


# --- real clients -------------------------------------------------------------------------


def test_swaks_sends(world, tmp_path):
    hop = world.hop()
    world.start()
    body = tmp_path / "message"
    body.write_text("Subject: from swaks\n\n.dot\nend\n")
    done = harness.run(["swaks", "--server", "127.0.0.1", "--port", str(world.daemon.port), "--pipeline",
                        "--from", "anna@sender.test", "--to", "info@fwd.test,sales@fwd.test",
                        "--data", f"@{body}"])
    assert done.returncode == 0, done.stdout + done.stderr
    message = hop.wait()[0]
    assert sorted(message.recipients) == ["anna@dest.test", "sepp@dest.test"]
    assert b"Subject: from swaks\r\n\r\n.dot\r\nend\r\n" in message.data


def test_smtp_source_sends_many_at_once(world):
    hop = world.hop()
    world.start()
    done = subprocess.run(
        [str(harness.PEERS / "usr/sbin/smtp-source"), "-s", "10", "-m", "200", "-l", "4096", "-f", "anna@sender.test",
         "-t", "info@fwd.test", f"inet:127.0.0.1:{world.daemon.port}"],
        capture_output=True, text=True, timeout=harness.PATIENCE,
        env={"LD_LIBRARY_PATH": str(harness.PEERS / "usr/lib/postfix")})
    assert done.returncode == 0 and "fatal" not in done.stderr, done.stderr
    messages = hop.wait(200)
    assert all(SRS.fullmatch(message.sender) for message in messages)
    world.daemon.wait_log("delivered", count=200)
    assert len(hop.messages) == 200
