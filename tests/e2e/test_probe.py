"""`postilion probe`: what it says of next hops of every kind, and that it leaves nothing behind."""
import base64
import hashlib
import json
import pathlib
import socket
import subprocess
import time

import dkim
import pytest

from harness import PATIENCE, NextHop, World, free_port, program, wait_until
from test_extensions import postfix  # noqa: F401
from test_real_peers import exim  # noqa: F401
from tls_hop import Certificates, TlsHop

ZONE = {
    "two.test": [("MX", "10 mx.sender.test."), ("MX", "20 mx.dest.test.")],
    "none.test": [("MX", "0 .")],
    "broken.test": [("MX", "10 mx.servfail.test.")],
    "self.test": [("MX", "10 mx.fwd.test.")],
    "down.test": [("MX", "10 mx.down.test.")],
    "mx.down.test": [("A", "127.0.0.9")],
}
DOMAIN = """
    forward info     to anna@dest.test
    forward both     to anna@dest.test bert@two.test
    forward nested   to info@fwd.test
    refuse  closed   "550 5.1.6 moved away"
    defer   later
    discard waste
"""
ACCEPTED, TEMPORARY, REFUSED, NO_HOST, USAGE = 0, 75, 69, 68, 64


def start(world, **settings):
    settings.setdefault("domain", DOMAIN)
    return world.start(zone=ZONE, **settings)


def run(world, *arguments):
    return subprocess.run([program(), "probe", *arguments, "-c", str(world.daemon.config)],
                          capture_output=True, timeout=PATIENCE)


def probe(world, *arguments):
    """(exit status, what was found)"""
    result = run(world, *arguments, "--json")
    assert result.stdout, result.stderr.decode()
    return result.returncode, json.loads(result.stdout)


def text_of(world, *arguments):
    result = run(world, *arguments)
    return result.returncode, result.stdout.decode() + result.stderr.decode()


def said(host, who="we"):
    return [line["text"] for line in host["dialogue"] if line["from"] == who]


def files(directory):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in pathlib.Path(directory).rglob("*") if path.is_file()}


def test_an_alias_up_to_rcpt(world):
    hop = world.hop()
    start(world, is_started=False)
    before = files(world.daemon.directory)
    status, found = probe(world, "nested@fwd.test")
    assert (status, found["outcome"]) == (ACCEPTED, "accepted")
    assert [(step["depth"], step["address"]) for step in found["aliases"]] == [(0, "nested@fwd.test"), (1, "info@fwd.test")]
    target, = found["targets"]
    host, = target["hosts"]
    assert (target["address"], target["sender"], target["by"]) == ("anna@dest.test", "postmaster@srs.fwd.test", "MX")
    assert [(hop_["preference"], hop_["host"]) for hop_ in target["next-hops"]] == [(10, "mx.dest.test")]
    assert said(host) == ["EHLO mx.fwd.test", "MAIL FROM:<postmaster@srs.fwd.test>", "RCPT TO:<anna@dest.test>", "RSET", "QUIT"]
    assert said(host, "they")[0] == "220 sink ESMTP" and "PIPELINING" in host["extensions"]
    assert [stage["stage"] for stage in host["stages"]] == ["connect", "banner", "EHLO", "MAIL", "RCPT", "RSET"]
    assert host["verdict"]["stage"] == "RCPT" and host["verdict"]["code"] == 250
    times = [line["ms"] for line in host["dialogue"]]
    assert times == sorted(times)
    assert {(lookup["type"], lookup["name"]) for lookup in found["lookups"]} >= {("MX", "dest.test"), ("A", "mx.dest.test")}
    # nothing arrived, nothing was written, the connection ended in order
    assert hop.attempts == [] and hop.commands[-1] == b"QUIT"
    assert files(world.daemon.directory) == before and not world.daemon.settings["spool"].exists()


def test_while_the_daemon_runs_and_its_spool_is_left_alone(world):
    hop = world.hop()
    daemon = start(world)
    log = daemon.log_text()
    assert probe(world, "info@fwd.test")[0] == ACCEPTED
    assert hop.connections == 1 and daemon.log_text() == log
    assert daemon.command("queue", "list", "--json").stdout in ("", b"")


def test_text_for_people(world):
    world.hop()
    start(world, is_started=False)
    status, text = text_of(world, "info@fwd.test")
    assert status == ACCEPTED
    for line in ("probe of info@fwd.test: up to RCPT, nothing is sent\n", "info@fwd.test (exact: info): forward anna@dest.test",
                 "to <anna@dest.test> from <postmaster@srs.fwd.test> by MX dest.test\n", "       10 mx.dest.test 127.0.0.2:",
                 " < 220 sink ESMTP\n", " > RCPT TO:<anna@dest.test>\n", "  took        connect 0.0", "  accepted at RCPT: 250 2.1.5 ok\n",
                 "it does not offer STARTTLS: mail goes there in clear text\n", "\naccepted\n"):
        assert line in text, text


def test_a_test_message(world):
    hop = world.hop()
    start(world, is_started=False)
    before = files(world.daemon.directory)
    status, found = probe(world, "anna@dest.test", "--data")
    message, = hop.wait()
    header = message.header().decode()
    assert status == ACCEPTED and found["data"] is True
    assert (message.sender, message.recipients) == ("postmaster@srs.fwd.test", ["anna@dest.test"])
    for field in ("From: <postmaster@mx.fwd.test>\r\n", "To: <anna@dest.test>\r\n", "Auto-Submitted: auto-generated\r\n",
                  "Subject: test message of postilion probe", "Message-ID: <probe.", "Date: "):
        assert field in header, header
    assert found["targets"][0]["verdict"]["stage"] == "dot"
    assert files(world.daemon.directory) == before


def test_a_test_message_is_signed_as_bounces_are(world, tmp_path):
    hop = world.hop()
    key = tmp_path / "seal.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", str(key), "-pubout", "-outform", "DER"], check=True, capture_output=True)
    start(world, is_started=False, extra=f"seal {{\n domain mx.fwd.test\n selector s1\n key-file {key}\n}}\n")
    assert probe(world, "anna@dest.test", "--data")[0] == ACCEPTED
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public.stdout)
    message, = hop.wait()
    assert dkim.verify(message.data, dnsfunc=lambda name, timeout=5: record)
    assert not dkim.verify(message.data.replace(b"There is nothing", b"There was nothing"), dnsfunc=lambda name, timeout=5: record)


@pytest.mark.parametrize("keywords", [("PIPELINING", "CHUNKING"), ("CHUNKING",), ()])
def test_a_test_message_by_other_ways(world, keywords):
    hop = world.hop()
    hop.keywords = keywords
    start(world, is_started=False)
    status, found = probe(world, "anna@dest.test", "--data")
    assert status == ACCEPTED and len(hop.wait()) == 1
    stages = [stage["stage"] for stage in found["targets"][0]["hosts"][0]["stages"]]
    assert stages[-1] == "dot" and ("DATA" in stages) == ("CHUNKING" not in keywords)


# name, stage, what the next hop does, options; status, stage told, class, words told
ANSWERS = [
    ("greylisted", "rcpt", "450 4.2.0 Greylisted, come back in 5 minutes", [], TEMPORARY, "RCPT", "greylist", "try again later"),
    ("no such user", "rcpt", "550 5.1.1 no such user", [], REFUSED, "RCPT", "unknown-user", "does not exist"),
    ("sender refused", "mail", "550 5.1.8 no such domain", [], REFUSED, "MAIL", None, "refuses the envelope sender"),
    ("busy", "banner", "421 4.3.2 too many connections", [], TEMPORARY, "banner", "rate-limit", None),
    ("busy without words", "banner", "421 bye", [], TEMPORARY, "banner", "connection", "it takes nobody now (421)"),
    ("blocked", "banner", "554 5.7.1 your address is listed by spamhaus.org", [], TEMPORARY, "banner", "reputation", "it does not talk with us"),
    ("never", "banner", "521 5.3.2 no mail here", [], REFUSED, "banner", None, "it never takes mail (521)"),
    ("no banner", "banner", NextHop.SILENCE, [], TEMPORARY, "banner", "connection", "connected, but no banner in time"),
    ("hangs up", "banner", NextHop.CLOSE, [], TEMPORARY, "banner", "connection", "connection closed before the banner"),
    ("no SMTP", "banner", b"SSH-2.0-OpenSSH_9.2\r\n", [], TEMPORARY, "banner", "connection", "an answer that is no SMTP"),
    ("silent at EHLO", "ehlo", NextHop.SILENCE, [], TEMPORARY, "EHLO", "connection", "no answer in time"),
    ("silent at RCPT", "rcpt", NextHop.SILENCE, [], TEMPORARY, "RCPT", "connection", "no answer in time"),
    ("gone at RCPT", "rcpt", NextHop.CLOSE, [], TEMPORARY, "RCPT", "connection", "connection closed in the middle"),
    ("dot refused", "dot", "550 5.7.1 message content rejected as spam", ["--data"], REFUSED, "dot", "content", "what the message contains"),
    ("dot deferred", "dot", "451 4.3.0 try later", ["--data"], TEMPORARY, "dot", "server", "trouble of its own"),
    ("silent after the dot", "dot", NextHop.SILENCE, ["--data"], TEMPORARY, "dot", "connection", "no answer to the message"),
    ("gone after the dot", "dot", NextHop.CLOSE, ["--data"], TEMPORARY, "dot", "connection", "closed before the answer to the message"),
    ("DATA refused", "data", "552 5.2.2 mailbox full", ["--data"], REFUSED, "DATA", "mailbox-full", "is full"),
]


@pytest.mark.parametrize("case", ANSWERS, ids=[case[0] for case in ANSWERS])
def test_what_an_answer_means(world, case):
    _, stage, action, options, status, told_stage, told_class, words = case
    hop = world.hop(script=lambda at, line, session: action if at == stage else None)
    start(world, is_started=False)
    got, found = probe(world, "anna@dest.test", "--timeout", "1", *options)
    verdict = found["targets"][0]["verdict"]
    assert (got, verdict["stage"]) == (status, told_stage), verdict
    assert verdict["class"] == told_class or told_class is None, verdict
    assert words is None or words in f"{verdict['what']} {verdict['means']}", verdict
    assert verdict["who"] and verdict["means"]
    assert hop.messages == []
    assert found["targets"][0]["hosts"][0]["verdict"] == verdict


def test_a_reset_is_told_from_an_end(world):
    """It may come before or after the connection is there: the network decides."""
    world.hop(script=lambda stage, line, session: NextHop.RESET)
    start(world, is_started=False)
    status, found = probe(world, "anna@dest.test")
    verdict = found["targets"][0]["verdict"]
    assert status == TEMPORARY and (verdict["stage"], verdict["what"]) in (
        ("connect", "connection reset"), ("banner", "connection reset before the banner"))


def test_a_slow_banner_is_worth_a_remark(world):
    hop = world.hop()
    original = hop._act

    def slow(connection, stage, line, session):
        if stage == "banner":
            time.sleep(3.2)  # what is slow is the thing tested
        return original(connection, stage, line, session)
    hop._act = slow
    start(world, is_started=False)
    status, found = probe(world, "anna@dest.test", "--timeout", "8")
    host = found["targets"][0]["hosts"][0]
    assert status == ACCEPTED and host["stages"][1]["ms"] >= 3000
    assert any("the banner took 3 s" in line for line in said(host, "remark"))


def test_nobody_listens(world):
    world.port = free_port(World.DEST)
    start(world, is_started=False)
    status, found = probe(world, "anna@dest.test")
    assert status == TEMPORARY and found["targets"][0]["verdict"]["what"] == "connection refused"
    assert found["targets"][0]["hosts"][0]["stages"] == [{"stage": "connect", "ms": found["targets"][0]["hosts"][0]["stages"][0]["ms"], "code": None}]


def test_nothing_answers(world):
    """A full backlog: the connection is never made."""
    full = socket.socket()
    full.bind((World.DEST, 0))
    full.listen(0)
    world.port = full.getsockname()[1]
    clients = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex((World.DEST, world.port))
        clients.append(client)
    start(world, is_started=False)
    status, found = probe(world, "anna@dest.test", "--timeout", "1")
    assert status == TEMPORARY and found["targets"][0]["verdict"]["what"] == "no answer: timeout"
    assert 900 <= found["targets"][0]["hosts"][0]["stages"][0]["ms"] < 5000
    for client in clients:
        client.close()
    full.close()


@pytest.mark.parametrize("address, status, told_class, reply", [
    ("anna@none.test", NO_HOST, "dns", "null MX"), ("anna@nowhere.test", NO_HOST, "dns", "does not exist"),
    ("anna@self.test", NO_HOST, "loop", None), ("anna@broken.test", TEMPORARY, "dns", None), ("anna@[224.0.0.1]", NO_HOST, "dns", None),
])
def test_no_host(world, address, status, told_class, reply):
    start(world, is_started=False)
    got, found = probe(world, address, "--timeout", "2")
    target, = found["targets"]
    assert (got, target["hosts"], target["verdict"]["stage"], target["verdict"]["class"]) == (status, [], "dns", told_class), target
    assert reply is None or reply in target["verdict"]["reply"], target


@pytest.mark.parametrize("address, status, code", [
    ("closed@fwd.test", REFUSED, 550), ("later@fwd.test", TEMPORARY, 450), ("unknown@fwd.test", REFUSED, 550),
    ("SRS0=AAAAAAAA=AA=good.test=anna@srs.fwd.test", REFUSED, 550),
])
def test_what_our_own_aliases_refuse_is_not_probed(world, address, status, code):
    hop = world.hop()
    start(world, is_started=False)
    got, found = probe(world, address)
    assert (got, found["refusal"]["code"], found["targets"]) == (status, code, [])
    assert hop.connections == 0


def test_a_discarding_alias_has_no_next_hop(world):
    start(world, is_started=False)
    status, found = probe(world, "waste@fwd.test")
    assert (status, found["targets"]) == (ACCEPTED, []) and "thrown away" in found["notes"][0]


def test_the_way_back_is_probed_as_a_bounce(world):
    back = world.hop(World.SENDER)
    start(world, is_started=False)
    srs = world.daemon.command("srs", "forward", "anna@sender.test").stdout.split()[0]
    srs = srs if isinstance(srs, str) else srs.decode()
    status, found = probe(world, srs)
    assert status == ACCEPTED and found["targets"][0]["address"] == "anna@sender.test"
    assert b"MAIL FROM:<>" in back.commands


def test_several_targets(world):
    world.hop()
    world.hop(World.SENDER, script=lambda stage, line, session: "550 5.1.1 unknown" if stage == "rcpt" else None)
    start(world, is_started=False)
    status, found = probe(world, "both@fwd.test")
    assert status == REFUSED
    assert [(target["address"], target["verdict"]["outcome"]) for target in found["targets"]] == [
        ("anna@dest.test", "accepted"), ("bert@two.test", "refused")]


def test_the_next_host_is_tried_as_a_delivery_would(world):
    hop = world.hop()
    start(world, is_started=False)
    status, found = probe(world, "anna@two.test")
    assert status == ACCEPTED
    assert [(host["host"], host["verdict"]["outcome"]) for host in found["targets"][0]["hosts"]] == [
        ("mx.sender.test", "temporary"), ("mx.dest.test", "accepted")]
    assert hop.connections == 1


def test_a_second_opinion_after_a_4xx_counts_when_it_is_good(world):
    world.hop()
    world.hop(World.SENDER, script=lambda stage, line, session: "450 4.7.1 greylisted" if stage == "rcpt" else None)
    start(world, is_started=False)
    status, found = probe(world, "anna@two.test")
    assert status == ACCEPTED and found["targets"][0]["verdict"]["outcome"] == "accepted"
    assert [host["verdict"]["class"] for host in found["targets"][0]["hosts"]] == ["greylist", None]


def test_all_hosts(world):
    hops = [world.hop(), world.hop(World.SENDER)]
    start(world, is_started=False)
    assert probe(world, "anna@two.test")[0] == ACCEPTED
    assert [hop.connections for hop in hops] == [0, 1]
    status, found = probe(world, "anna@two.test", "--all")
    assert status == ACCEPTED and [hop.connections for hop in hops] == [1, 2]
    assert [host["host"] for host in found["targets"][0]["hosts"]] == ["mx.sender.test", "mx.dest.test"]
    hops[0].stop()
    status, text = text_of(world, "anna@two.test", "--all")
    assert status == TEMPORARY and "(1 of 2 hosts take it)" in text


def test_options_instead_of_the_configuration(world):
    hop = world.hop()
    other = world.make_hop("127.0.0.7")
    start(world, is_started=False)
    status, found = probe(world, "dest.test", "--host", f"127.0.0.7:{other.port}", "--from", "<>")
    assert status == ACCEPTED and found["targets"][0]["address"] == "postmaster@dest.test"
    assert found["targets"][0]["by"] == "--host" and hop.connections == 0
    assert b"MAIL FROM:<>" in other.commands
    assert probe(world, "anna@dest.test", "--from", "carl@elsewhere.test")[0] == ACCEPTED
    assert b"MAIL FROM:<carl@elsewhere.test>" in hop.commands


def test_what_to_type_next(world):
    world.hop(script=lambda stage, line, session: "450 4.2.0 later" if stage == "rcpt" else None)
    start(world, is_started=False)
    _, found = probe(world, "anna@dest.test")
    assert "postilion queue list --destination dest.test" in found["notes"][0] and "queue retry dest.test" in found["notes"][0]


def test_a_static_route(world):
    other = world.make_hop("127.0.0.7")
    start(world, is_started=False, extra=f"route routed.test to [127.0.0.7]:{other.port}\n")
    status, found = probe(world, "anna@routed.test")
    assert status == ACCEPTED and found["targets"][0]["by"] == "route" and other.connections == 1


@pytest.fixture
def tls_hop(world, tmp_path):
    certificates = Certificates(tmp_path / "certificates")
    made = []

    def make(policy, name="mx.dest.test", is_signed=True, **options):
        hop = TlsHop(World.DEST, world.port or 0, certificate=certificates.make(name, "ec", is_signed), **options)
        world.port = hop.port
        made.append(hop)
        start(world, is_started=False, delivery=f"    tls {policy}\n    tls-ca {certificates.authority}\n")
        return hop
    yield make
    for hop in made:
        hop.stop()


def test_tls_and_its_certificate(world, tls_hop):
    tls_hop("verified")
    status, found = probe(world, "anna@dest.test")
    host = found["targets"][0]["hosts"][0]
    tls = host["tls"]
    assert status == ACCEPTED
    assert (tls["policy"], tls["version"], tls["verified"], tls["why"]) == ("verified", "TLSv1.3", True, None)
    certificate = tls["certificates"][0]
    assert certificate["names"] == ["mx.dest.test"] and certificate["issuer"] == "CN=test authority"
    assert (certificate["key"], certificate["bits"], certificate["days-left"]) in (("EC", 256, 1), ("EC", 256, 2))
    assert [stage["stage"] for stage in host["stages"]] == ["connect", "banner", "EHLO", "STARTTLS", "TLS", "EHLO", "MAIL", "RCPT", "RSET"]


@pytest.mark.parametrize("options, policy, status, why", [
    ({"name": "elsewhere.test"}, "verified", TEMPORARY, "hostname mismatch"),
    ({"is_signed": False}, "verified", TEMPORARY, "self-signed certificate"),
    ({"is_signed": False}, "required", ACCEPTED, "self-signed certificate"),
    ({"manner": "hidden"}, "required", TEMPORARY, "TLS required but not offered"),
    ({"manner": "refused"}, "required", TEMPORARY, "TLS required but STARTTLS was refused"),
    ({"manner": "gone"}, "required", TEMPORARY, "the connection was"),
    ({"manner": "injected"}, "opportunistic", TEMPORARY, "plaintext injected"),
])
def test_tls_that_is_not_as_it_should_be(world, tls_hop, options, policy, status, why):
    hop = tls_hop(policy, **options)
    got, found = probe(world, "anna@dest.test")
    host = found["targets"][0]["hosts"][0]
    assert got == status, found
    assert why in (host["verdict"]["reply"] if status else host["tls"]["why"]), host
    if status:
        assert host["verdict"]["stage"] == "STARTTLS" and host["verdict"]["class"] == "tls"
        assert not any(command[:4] == b"MAIL" for command in hop.commands)
    if not options.get("manner"):
        assert host["tls"]["certificates"][0]["names"] == [options.get("name", "mx.dest.test")]


def test_a_broken_handshake_goes_on_in_clear_where_it_may(world, tls_hop):
    tls_hop("opportunistic", manner="garbage")
    status, found = probe(world, "anna@dest.test")
    first, second = found["targets"][0]["hosts"]
    assert status == ACCEPTED and run(world, "anna@dest.test").stderr == b""  # it would be in the log of a daemon
    assert first["verdict"]["stage"] == "STARTTLS" and any("once more, in clear text" in line for line in said(first, "remark"))
    assert second["verdict"]["outcome"] == "accepted" and second["tls"]["version"] is None


def test_another_policy_than_the_configuration(world, tls_hop):
    hop = tls_hop("off", is_signed=False)
    assert probe(world, "anna@dest.test")[0] == ACCEPTED and hop.starts == 0
    assert probe(world, "anna@dest.test", "--tls", "required")[0] == ACCEPTED and hop.starts == 1
    assert probe(world, "anna@dest.test", "--tls", "verified")[0] == TEMPORARY


def test_exim(world, exim):  # noqa: F811
    start(world, is_started=False)
    assert probe(world, "anna@dest.test")[0] == ACCEPTED
    status, found = probe(world, "refused@dest.test")
    assert status == REFUSED and found["targets"][0]["verdict"]["reply"].endswith("no such user here")
    assert exim.messages() == []
    assert probe(world, "anna@dest.test", "--data")[0] == ACCEPTED
    assert [recipients for _, recipients, _, _ in exim.messages()] == [["anna@dest.test"]]


def test_postfix(world, postfix):  # noqa: F811
    server = postfix()
    start(world, is_started=False)
    status, found = probe(world, "anna@dest.test")
    assert status == ACCEPTED and "PIPELINING" in found["targets"][0]["hosts"][0]["extensions"]
    status, found = probe(world, "anna@elsewhere.test", "--host", f"{World.DEST}:{world.port}")
    assert status == REFUSED and "Relay access denied" in found["targets"][0]["verdict"]["reply"]
    assert server.held() == []
    assert probe(world, "anna@dest.test", "--data")[0] == ACCEPTED
    text, = wait_until(server.held, "the message in Postfix's queue")
    assert "Auto-Submitted: auto-generated" in text


def test_strangers_are_shown_in_printable_text(world):
    world.hop(script=lambda stage, line, session: b"550 5.7.1 \x1b[31mred\x07\r\n" if stage == "rcpt" else None)
    start(world, is_started=False)
    status, text = text_of(world, "anna@dest.test")
    assert status == REFUSED and "\x1b" not in text and "\\x1b[31mred\\x07" in text


def test_an_answer_that_comes_before_its_question_counts_as_for_a_delivery(world):
    """The refusal came right behind the answer to MAIL: "nobody asked for that", and RSET's 250 was taken for RCPT's."""
    answers = {"mail": b"250 2.1.0 ok\r\n550 5.1.1 no such user\r\n", "rcpt": b""}
    world.hop(script=lambda stage, line, session: answers.get(stage), keywords=())
    start(world, is_started=False)
    status, found = probe(world, "anna@dest.test")
    verdict = found["targets"][0]["hosts"][0]["verdict"]
    assert (status, verdict["stage"], verdict["code"]) == (REFUSED, "RCPT", 550)


@pytest.mark.parametrize("arguments", [
    (), ("two", "words@x.test"), ("a@b@c",), ("x.test", "--host", "bad host"), ("x.test", "--host", "x:0"),
    ("x.test", "--tls", "maybe"), ("x.test", "--timeout", "0"), ("x.test", "--timeout", "soon"), ("x.test", "--from", "nobody"),
    ("x.test", "--what"), ("x.test", "--from"), ("x.test", "--resolver", "name"),
])
def test_wrong_arguments(world, arguments):
    start(world, is_started=False)
    status, text = text_of(world, *arguments)
    assert status == USAGE and "usage: postilion probe" in text
