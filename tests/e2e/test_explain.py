"""What `postilion explain` says is what the daemon then does: the same configuration, resolver, client and message are
given to both, and their answers, deliveries, headers and forecasts are compared."""
import hashlib
import http.server
import json
import pathlib
import re
import subprocess
import threading

import pytest

from harness import PATIENCE, Client, a_message, program, stuff, wait_until
from test_authentication import RSA, signed, txt

RELAY = "127.0.0.5"  # names clients by XCLIENT
GOOD, BAD, LISTED = "192.0.2.1", "198.51.100.9", "192.0.2.66"
ZONE = {
    "good.test": [*txt(f"v=spf1 ip4:{GOOD} -all"), ("A", GOOD)],
    "mail.good.test": [("A", GOOD)],
    "1.2.0.192.in-addr.arpa": [("PTR", "mail.good.test.")],
    "reject.test": txt(f"v=spf1 ip4:{GOOD} -all"),
    "_dmarc.reject.test": txt("v=DMARC1; p=reject"),
    "rsa._domainkey.reject.test": txt(RSA.record),
    "temporary.test": txt("v=spf1 include:x.servfail.test -all"),
    "66.2.0.192.bl.test": [("A", "127.0.0.2"), *txt("sends spam")],
    "2.0.0.127.bl.test": [("A", "127.0.0.2")],
    "other.test": [("MX", "20 mx.sender.test."), ("MX", "10 mx.dest.test.")],
    "never.test": [("MX", "0 .")],
}
DOMAIN = """
    forward info     to anna@dest.test
    forward many     to anna@dest.test bert@other.test
    forward nested   to many@fwd.test carl@dest.test
    forward self     to own@dest.test
    forward void     to nobody@never.test
    refuse  closed   "550 5.1.6 moved away"
    defer   later
    discard waste
    forward j\u00f6rg to anna@dest.test
    domain-catch-all
"""
# name, sender, recipient, client's address, message (None: what explain makes up)
CASES = [
    ("accepted", "anna@good.test", "info@fwd.test", GOOD, None),
    ("several targets", "anna@good.test", "many@fwd.test", GOOD, None),
    ("alias to alias", "anna@good.test", "nested@fwd.test", GOOD, None),
    ("+tag", "anna@good.test", "info+news@fwd.test", GOOD, None),
    ("unknown alias", "anna@good.test", "nobody@fwd.test", GOOD, None),
    ("catch-all", "anna@good.test", "whoever@any.test", GOOD, None),
    ("nobody else's relay", "anna@good.test", "anna@dest.test", GOOD, None),
    ("refuse alias", "anna@good.test", "closed@fwd.test", GOOD, None),
    ("defer alias", "anna@good.test", "later@fwd.test", GOOD, None),
    ("discard alias", "anna@good.test", "waste@fwd.test", GOOD, None),
    ("SPF fail", "anna@good.test", "info@fwd.test", BAD, None),
    ("SPF temperror", "anna@temporary.test", "info@fwd.test", GOOD, None),
    ("DMARC reject", "anna@good.test", "info@fwd.test", GOOD, a_message(sender="boss@reject.test")),
    ("doomed", "anna@reject.test", "info@fwd.test", GOOD, a_message(sender="anna@reject.test")),
    ("signed", "anna@reject.test", "info@fwd.test", GOOD, signed(a_message(sender="anna@reject.test"), "reject.test")),
    ("null sender", "", "info@fwd.test", GOOD, a_message(sender="mailer-daemon@good.test")),
    ("block list", "anna@good.test", "info@fwd.test", LISTED, None),
    ("UTF-8 address", "anna@good.test", "j\u00f6rg@fwd.test", GOOD, None),
    ("long sender", "a" * 60 + "@good.test", "info@fwd.test", GOOD, None),
    ("8 bit", "anna@good.test", "info@fwd.test", GOOD, a_message(sender="anna@good.test", body="gr\u00fc\u00dfe")),
    ("forged results", "anna@good.test", "info@fwd.test", GOOD,
     a_message(sender="anna@good.test", extra="Authentication-Results: mx.fwd.test; dkim=pass\r\n")),
    ("postmaster", "anna@good.test", "postmaster", GOOD, None),
    ("forged SRS", "", "SRS0=AAAAAAAA=AA=good.test=anna@srs.fwd.test", GOOD, a_message(sender="m@good.test")),
]


def start(world, policy="", extra="", **settings):
    hop = world.hop()
    hop.keywords = (*hop.keywords, "SMTPUTF8")
    back = world.hop(world.SENDER)
    domain = DOMAIN.replace("    domain-catch-all\n", "")
    world.start(zone={**ZONE, "good.test": [*ZONE["good.test"], ("MX", "10 mx.sender.test.")]}, domain=domain,
                authenticate="on", policy=policy,
                extra=f"trust {RELAY}\nblocklist bl.test\n"
                      f"domain any.test {{\n    forward * to anna@dest.test\n    forward postmaster to a@dest.test\n}}\n{extra}",
                **settings)
    return hop, back


class Rspamd:
    """Answers every message with what it is told."""

    def __init__(self, answer):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.asked += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps(answer(self)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.asked = 0
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def explain(world, *arguments, data=None, as_text=False):
    """(exit status, what was said)"""
    result = subprocess.run([program(), "explain", *arguments, *(["--message", "-"] if data else []),
                             *([] if as_text else ["--json"]), "-c", str(world.daemon.config)],
                            input=data or b"", capture_output=True, timeout=PATIENCE)
    text = result.stdout.decode()
    return result.returncode, (text + result.stderr.decode()) if as_text else json.loads(text or "null")


def made_up(said):
    """The message that explain used when it was given none, from what it says of itself: only the envelope matters."""
    return a_message(sender=said["from"])


def offer(world, sender, recipient, client, data, helo="client.example"):
    """The same by the daemon: (code, enhanced code and text) of the answer that decided."""
    words = b"" if (sender + recipient).isascii() else b" SMTPUTF8"
    with Client(world.daemon.port, source=RELAY) as connection:
        connection.expect("EHLO relay.test", 250)
        connection.expect(f"XCLIENT ADDR={client} HELO={helo}", 220)
        connection.expect(f"EHLO {helo}", 250)
        connection.send(f"MAIL FROM:<{sender}>".encode() + words + b"\r\n")
        code, lines = connection.reply()
        if code == 250:
            code, lines = connection.command(f"RCPT TO:<{recipient}>")
        if code == 250:
            connection.expect("DATA", 354)
            connection.send(stuff(data) + b".\r\n")
            code, lines = connection.reply()
        connection.send("QUIT\r\n")
        return code, lines[-1][4:]


def same(text):
    """Without what differs from one time to the next: ids, times, and the SRS hash and day they go into."""
    text = re.sub(r"\b(id[= ])[0-9a-z]{13}", r"\1ID", text)
    text = re.sub(r"SRS0=\w{8}=\w\w=", "SRS0=TAG=TT=", text)
    return re.sub(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "DATE", text)


def compare(world, hops, case):
    name, sender, recipient, client, data = case
    status, said = explain(world, sender, recipient, "--ip", client, "--helo", "client.example", data=data)
    assert said["made-up"] == (data is None)
    seen = [len(hop.messages) for hop in hops]
    code, text = offer(world, sender, recipient, client, data or made_up(said))
    reply = said["reply"]
    assert (reply["code"], same(f"{reply['enhanced']} {reply['text']}")) == (code, same(text)), name
    assert status == {2: 0, 4: 75, 5: 1}[code // 100], name
    assert said["outcome"] == {2: "accepted", 4: "deferred", 5: "refused"}[code // 100], name
    if code != 250:
        assert said["deliveries"] == [], name
        return said
    wanted = sorted((same(delivery["sender"]), delivery["address"]) for delivery in said["deliveries"])

    def arrived():
        return [message for hop, before in zip(hops, seen) for message in hop.messages[before:]]
    wait_until(lambda: sum(len(message.recipients) for message in arrived()) >= len(wanted), f"{name} {wanted}")
    assert sorted((same(message.sender), to) for message in arrived() for to in message.recipients) == wanted, name
    for message in arrived():
        header = message.data.decode("utf-8", "replace")
        assert same(header).startswith(same(said["header"])), name
    ident = re.search(r"id=(\w+)", text).group(1)
    line = world.daemon.wait_log("accepted", id=ident)
    check_line(said, line, name)
    return said


def check_line(said, line, name):
    checks = said["checks"]
    assert (checks["spf"], checks["dmarc"], checks["arc"], checks["iprev"]) == \
        (line["spf"], line["dmarc"], line["arc"], line["iprev"]), name
    forecast = said["forecast"] or {"result": None, "why": None}
    assert (forecast["result"], forecast["why"]) == (line.get("forecast"), line.get("forecast-why")), name


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_it_says_what_the_daemon_does(world, case):
    compare(world, start(world), case)


def test_what_is_explained(world):
    """The parts that only explain knows, on one message."""
    start(world)
    status, said = explain(world, "anna@good.test", "nested+x@fwd.test", "--ip", GOOD)
    assert status == 0
    assert [(alias["depth"], alias["address"], alias["how"], alias["action"]) for alias in said["aliases"]] == [
        (0, "nested+x@fwd.test", "without +tag", "forward"), (1, "many@fwd.test", "exact", "forward")]
    asked = {(lookup["type"], lookup["name"]): lookup for lookup in said["lookups"]}
    assert asked["TXT", "good.test"]["records"] == [f"v=spf1 ip4:{GOOD} -all"]
    assert asked["TXT", "good.test"]["stage"] in ("mail", "rcpt")
    assert asked["MX", "other.test"]["stage"] == "next-hop"
    assert ("A", "66.2.0.192.bl.test") not in asked and ("A", "1.2.0.192.bl.test") in asked
    hosts = {delivery["address"]: [(hop["preference"], hop["host"], hop["address"], hop["tls"]) for hop in delivery["next-hops"]]
             for delivery in said["deliveries"]}
    first = (10, "mx.dest.test", f"{world.DEST}:{world.port}", "opportunistic")
    assert hosts == {"anna@dest.test": [first], "carl@dest.test": [first],
                     "bert@other.test": [first, (20, "mx.sender.test", f"{world.SENDER}:{world.port}", "opportunistic")]}
    assert re.search(r"(?m)^Received: from good\.test \(mail\.good\.test \[192\.0\.2\.1\]\)", said["header"])
    assert said["checks"]["spf-mechanism"] == f"ip4:{GOOD}"
    assert [exchange["stage"] for exchange in said["session"]] == ["connect", "ehlo", "mail", "rcpt", "data", "content", "quit"]
    status, text = explain(world, "anna@good.test", "nested+x@fwd.test", "--ip", GOOD, as_text=True)
    for line in ("  SPF          pass good.test", "    20 mx.sender.test", "nested+x@fwd.test (without +tag: nested)",
                 "  message      made up", "\naccepted\n"):
        assert line in text, text


def test_results_that_claim_to_be_ours_are_said_to_be_left_out(world):
    start(world)
    forged = "Authentication-Results: mx.fwd.test; dkim=pass\r\n"
    _, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD,
                      data=a_message(sender="anna@good.test", extra=forged))
    assert said["removed"] == [forged] and said["changed"] == []


def test_the_way_back(world):
    hops = start(world)
    with_srs = compare(world, hops, CASES[0])["deliveries"][0]["sender"]
    said = compare(world, hops, ("return", "", with_srs, GOOD, a_message(sender="mailer-daemon@dest.test")))
    assert said["return"] and [delivery["address"] for delivery in said["deliveries"]] == ["anna@good.test"]
    assert compare(world, hops, ("not null", "anna@good.test", with_srs, GOOD, None))["outcome"] == "refused"


def test_a_stored_sender_is_found_and_none_is_stored(world):
    hops = start(world)
    long_sender = "b" * 60 + "@good.test"
    _, said = explain(world, long_sender, "info@fwd.test", "--ip", GOOD)
    token = said["deliveries"][0]["sender"]
    status, said = explain(world, "", token, "--ip", GOOD)
    assert status == 1, said  # explain has signed it, and nobody has stored what it stands for
    offer(world, long_sender, "info@fwd.test", GOOD, a_message(sender=long_sender))
    stored = hops[0].wait()[0].sender
    said = compare(world, hops, ("stored", "", stored, GOOD, a_message(sender="mailer-daemon@dest.test")))
    assert [delivery["address"] for delivery in said["deliveries"]] == [long_sender]


def test_greylisting_by_what_is_remembered(world):
    hops = start(world, policy="    greylist all\n", extra="greylist {\n    delay 1s\n}\n")
    for _ in range(2):  # asking changes nothing
        status, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD)
        assert status == 75 and any("why=greylisted" in line for line in said["log"])
    assert offer(world, "anna@good.test", "info@fwd.test", GOOD, a_message(sender="anna@good.test"))[0] == 451
    wait_until(lambda: explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD)[0] == 0, "the end of the delay")
    assert offer(world, "anna@good.test", "info@fwd.test", GOOD, a_message(sender="anna@good.test"))[0] == 250


def files(directory):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in pathlib.Path(directory).rglob("*") if path.is_file()}


def test_nothing_is_sent_and_nothing_written(world):
    hops = start(world, is_started=False)
    before = files(world.daemon.directory)
    big = a_message(sender="anna@good.test", body="\r\n".join(["x" * 70] * 10000))
    for arguments, data in ((("anna@good.test", "many@fwd.test"), None), (("a" * 60 + "@good.test", "info@fwd.test"), None),
                            (("anna@good.test", "info@fwd.test"), big)):
        assert explain(world, *arguments, "--ip", GOOD, data=data)[0] == 0
    assert files(world.daemon.directory) == before
    assert not world.daemon.settings["spool"].exists()
    assert [hop.connections for hop in hops] == [0, 0]


def test_servers_behind_are_not_asked(world):
    hops = start(world, extra="verify-recipients dest.test\n", is_started=False)
    status, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD)
    assert status == 0 and "verify-recipients" in said["notes"][0]
    assert [hop.connections for hop in hops] == [0, 0]


def test_scanners_are_not_asked(world):
    scanner = world.make_hop("127.0.0.7")
    start(world, extra=f"scan {{\n    rspamd {scanner.address}:{scanner.port}\n}}", is_started=False)
    status, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD)
    assert status == 0 and "scanners are not asked" in said["notes"][0]
    assert scanner.connections == 0


def test_servers_behind_are_asked_when_it_is_wanted(world):
    hops = start(world, extra="verify-recipients dest.test\n", is_started=False)
    hops[0].script = lambda stage, line, session: "550 5.1.1 no such mailbox" if stage == "rcpt" and b"own@" in line else None
    status, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD, "--ask")
    assert status == 0 and not any("not asked" in note for note in said["notes"])
    status, said = explain(world, "anna@good.test", "self@fwd.test", "--ip", GOOD, "--ask")
    assert (status, said["why"], said["reply"]["code"]) == (1, "recipient-unknown-there", 550)
    assert "no such mailbox" in said["means"] and "verify-recipients" in said["decided-by"]
    assert [hop.attempts for hop in hops] == [[], []] and b"DATA" not in hops[0].commands
    # ... and without it nobody hears of it
    before = hops[0].connections
    status, said = explain(world, "anna@good.test", "self@fwd.test", "--ip", GOOD)
    assert status == 0 and "postilion probe" in said["notes"][0] and hops[0].connections == before


def test_scanners_are_asked_when_it_is_wanted(world):
    scanner = Rspamd(lambda request: {"action": "reject", "score": 15.0, "required_score": 15.0})
    try:
        start(world, extra=f"scan {{\n    rspamd 127.0.0.1:{scanner.port}\n    spam refuse\n}}", is_started=False)
        mail = a_message(sender="anna@good.test")
        status, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD, data=mail)
        assert status == 0 and scanner.asked == 0 and "--scan" in said["notes"][0]
        status, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD, "--scan", data=mail)
        assert (status, said["why"], scanner.asked) == (1, "spam", 1) and "rspamd" in said["means"]
        status, text = explain(world, "anna@good.test", "info@fwd.test", "--scan", as_text=True)
        assert status == 64 and "--message" in text and scanner.asked == 1
    finally:
        scanner.stop()


def test_limits_that_the_daemon_counts_are_named(world):
    start(world, is_started=False, limits="    client-message-rate 77\n",
          policy="    forwards-per-hour 88\n", delivery="    destination-rate 99\n")
    _, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD)
    for words in ("77 messages of it a minute (limits.client-message-rate)", "88 messages an hour to one mailbox",
                  "99 recipients an hour at one destination (delivery.destination-rate)"):
        assert any(words in limit for limit in said["limits"]), said["limits"]
    _, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", RELAY)
    assert not any("limits.client" in limit for limit in said["limits"])  # a relay that is trusted


def test_the_running_daemon_is_asked_what_it_remembers_of_the_client(world):
    start(world, limits="    client-message-rate 1\n")
    assert explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD)[1]["standing"] == ["nothing is remembered of it"]
    with Client(world.daemon.port, source="127.0.0.6") as connection:
        connection.expect("EHLO client.example", 250)
        connection.expect("MAIL FROM:<anna@good.test>", 250)
        _, said = explain(world, "anna@good.test", "info@fwd.test", "--ip", "127.0.0.6")
        assert "1 connection(s) of it are open" in said["standing"]
        assert "it has sent as many messages as it may this minute" in said["standing"]
    world.daemon.stop()
    assert explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD)[1]["standing"] == []


@pytest.mark.parametrize("arguments, data, why, words", [
    (("anna@good.test", "closed@fwd.test", "--ip", GOOD), None, "alias-refuse", "the alias says so"),
    (("anna@good.test", "nobody@fwd.test", "--ip", GOOD), None, "unknown-recipient", "no alias has this name"),
    (("anna@good.test", "anna@dest.test", "--ip", GOOD), None, "relay-denied", "none of ours"),
    (("anna@good.test", "later@fwd.test", "--ip", GOOD), None, "alias-defer", "the alias says so"),
    (("anna@good.test", "info@fwd.test", "--ip", BAD), None, "spf-fail", "may not send its mail"),
    (("anna@good.test", "info@fwd.test", "--ip", LISTED), None, "blocklist", "a block list names the client"),
    (("anna@reject.test", "info@fwd.test", "--ip", GOOD), a_message(sender="anna@reject.test"), "doomed", "must fail at the next hop"),
    (("", "SRS0=AAAAAAAA=AA=good.test=anna@srs.fwd.test"), None, "srs-forged", "not made with our secret"),
])
def test_why_in_words(world, arguments, data, why, words):
    start(world, is_started=False)
    status, said = explain(world, *arguments, data=data)
    assert status in (1, 75) and said["why"] == why and words in said["means"]
    _, text = explain(world, *arguments, data=data, as_text=True)
    end = text[text.rindex("\n\n"):]
    assert f"  why          {why}\n" in end and words in " ".join(end.split()), text
    assert re.search(r"(?m)^  outcome      (refused|deferred) at (rcpt|content): [45]\d\d ", text)


def test_nobody_can_take_it(world):
    """A null MX: said before the answer where next hops are asked first, afterwards where not."""
    start(world, mode="handoff")
    status, said = explain(world, "anna@good.test", "void@fwd.test", "--ip", GOOD)
    assert (status, said["outcome"]) == (1, "refused") and said["deliveries"][0]["failure"]["temporary"] is False
    assert offer(world, "anna@good.test", "void@fwd.test", GOOD, a_message(sender="anna@good.test"))[0] // 100 == 5
    world.daemon.write_config(mode="store")
    status, said = explain(world, "anna@good.test", "void@fwd.test", "--ip", GOOD)
    assert (status, said["outcome"]) == (0, "accepted") and "nobody" in said["notes"][0]


def test_without_a_client_only_the_way_is_explained(world):
    start(world)
    status, said = explain(world, "anna@reject.test", "info@fwd.test")
    assert status == 0 and said["checks"] is None and "--ip" in said["notes"][0]
    assert {lookup["stage"] for lookup in said["lookups"]} == {"next-hop"}


def test_text_of_strangers_is_printable(world):
    start(world)
    evil = a_message(sender="anna@good.test", extra="Authentication-Results: mx.fwd.test; x=\x1b[31m\r\n")
    _, text = explain(world, "anna@good.test", "info@fwd.test", "--ip", GOOD, data=evil, as_text=True)
    assert "\x1b" not in text and "\\x1b[31m" in text


@pytest.mark.parametrize("arguments", [(), ("a@b.test",), ("a@b.test", "c@d.test", "e@f.test"), ("a@b.test", "c@d.test", "--ip", "x"),
                                       ("a@b.test", "c@d.test", "--ip"), ("a@b.test", "c@d.test", "--nonsense"),
                                       ("a@b.test", "c@d.test\r\nDATA"), ("a@b.test", "c@d.test", "--helo", "x\ny"),
                                       ("a@b.test", "c@d.test", "--resolver", "nowhere")])
def test_wrong_arguments(world, arguments):
    world.start(is_started=False)
    status, text = explain(world, *arguments, as_text=True)
    assert status == 64 and "usage: postilion explain" in text


def test_what_cannot_be_read(world):
    world.start(is_started=False)
    status, text = explain(world, "a@b.test", "info@fwd.test", "--message", "/nonexistent", as_text=True)
    assert status == 66 and "No such file" in text
    world.daemon.write_config(extra="nonsense")
    assert explain(world, "a@b.test", "info@fwd.test", as_text=True)[0] == 78
