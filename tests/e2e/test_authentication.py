"""Who really sent this: SPF, DKIM, DMARC and the policy, through the running daemon. Most tests ask a
real resolver; where it has to lie, be silent or late, a scripted one."""
import re
import socket
import threading
import time

import dkim
import dnslib
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

import harness
from harness import Client, a_message, stuff
from test_dkim_interop import Key, make_rsa

RSA = make_rsa(2048)
OTHER_RSA = make_rsa(2048)
ED25519 = Key(ed25519.Ed25519PrivateKey.generate(), "ed25519")

HERE = "127.0.0.1"   # where clients of the tests come from: what most records allow
ELSEWHERE = "127.0.0.9"


def txt(*texts):
    return [("TXT", text) for text in texts]


ZONE = {
    "pass.test": txt(f"v=spf1 ip4:{HERE} -all"),
    "soft.test": txt("v=spf1 ~all"),
    "neutral.test": txt("v=spf1 ?all"),
    "fail.test": txt("v=spf1 ip4:192.0.2.1 -all exp=why.fail.test"),
    "why.fail.test": txt("%{i} is none of ours"),
    "broken.test": txt("v=spf1 nonsense:x -all"),
    "two.test": txt("v=spf1 -all", "v=spf1 +all"),
    "temporary.test": txt("v=spf1 include:x.servfail.test -all"),
    # DMARC
    "_dmarc.reject.test": txt("v=DMARC1; p=reject; sp=none; np=reject"),
    "sub.reject.test": [("A", "192.0.2.1")],
    "_dmarc.strict.test": txt("v=DMARC1; p=reject; adkim=s; aspf=s"),
    "_dmarc.quarantine.test": txt("v=DMARC1; p=quarantine"),
    "_dmarc.none.test": txt("v=DMARC1; p=none"),
    "reject.test": txt(f"v=spf1 ip4:{HERE} -all"),
    "mail.reject.test": txt(f"v=spf1 ip4:{HERE} -all"),
    "mail.strict.test": txt(f"v=spf1 ip4:{HERE} -all"),
    "quarantine.test": txt(f"v=spf1 ip4:{HERE} -all"),
    "fwd.test": txt(f"v=spf1 ip4:{ELSEWHERE} -all"),
    # keys: the same everywhere
    **{f"{selector}._domainkey.{domain}": txt(key.record)
       for domain in ("fail.test", "reject.test", "sub.reject.test", "quarantine.test", "fwd.test", "signer.test")
       for selector, key in (("rsa", RSA), ("ed", ED25519))},
}


def signed(data, domain="signer.test", kind="rsa", key=None, **options):
    key = key or (RSA if kind == "rsa" else ED25519)
    field = dkim.sign(data, b"rsa" if key.kind == "rsa" else b"ed", domain.encode(), key.pem,
                      signature_algorithm=key.algorithm.encode(),
                      include_headers=options.pop("include_headers", [b"from", b"to", b"subject"]), **options)
    return field + data


def offer(world, data=None, sender="anna@pass.test", recipients=("info@fwd.test",), source=HERE, helo="client.test"):
    """One message; returns (stage, code, text) of the first refusal, or of the answer to the dot."""
    author = sender if "@" in sender else "anna@pass.test"
    with Client(world.daemon.port, source=source) as client:
        client.expect(f"EHLO {helo}", 250)
        client.expect(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            code, lines = client.command(f"RCPT TO:<{recipient}>")
            if code != 250:
                return "rcpt", code, " ".join(line[4:] for line in lines)
        client.expect("DATA", 354)
        client.send(stuff(data or a_message(sender=author)) + b".\r\n")
        code, lines = client.reply()
        client.send("QUIT\r\n")
        return "dot", code, " ".join(line[4:] for line in lines)


def results(message, name=b"Authentication-Results"):
    """Our field, unfolded, which must be the first of its name."""
    header = re.sub(rb"\r\n[ \t]+", b" ", message.header())
    fields = [line for line in header.split(b"\r\n") if line.lower().startswith(name.lower() + b":")]
    return fields[0].decode() if fields else ""


def passed(world, hop, *arguments, **options):
    """Offers a message that is to be taken; returns our results and the message at the next hop."""
    before = len(hop.messages)
    stage, code, text = offer(world, *arguments, **options)
    assert code == 250, (stage, code, text)
    message = hop.wait(before + 1)[before]
    return results(message), message


def start(world, zone=None, policy="", **settings):
    hop = world.hop()
    world.start(zone={**ZONE, **(zone or {})}, authenticate="on", policy=policy, **settings)
    return hop


# --- SPF ----------------------------------------------------------------------------------


def test_spf_results_are_stated(world):
    hop = start(world, policy="spf-fail tag\nauth-temperror accept")
    for domain, want in (("pass.test", "pass (ip4:127.0.0.1)"), ("soft.test", "softfail (~all)"),
                         ("neutral.test", "neutral (?all)"), ("fail.test", "fail (-all)"), ("nothing.test", "none"),
                         ("broken.test", "permerror"), ("two.test", "permerror"), ("temporary.test", "temperror"),
                         ("x.servfail.test", "temperror")):
        text, message = passed(world, hop, sender=f"anna@{domain}")
        assert text.startswith("Authentication-Results: mx.fwd.test;"), text
        assert re.search(r"; spf=" + re.escape(want) + r"[^;]*smtp\.mailfrom=anna@" + re.escape(domain), text), text
        assert "spf=none" in text and "smtp.helo=client.test" in text
        assert "dkim=none" in text and "iprev=permerror" in text and re.search("dmarc=(none|temperror)", text)
        assert message.data.startswith(b"X-Postilion-Loop:")
        assert message.data.index(b"\r\nAuthentication-Results:") < message.data.index(b"\r\nReceived:")
        assert b"Received-SPF" not in message.data
    line = world.daemon.wait_log("accepted", spf="fail")
    assert line["dkim"] == "none" and " mark=spf-fail" in line.text and line["author"] == "fail.test"


def test_null_sender_is_judged_by_helo(world):
    hop = start(world)
    text, _ = passed(world, hop, sender="", helo="pass.test", data=a_message(sender="anna@pass.test"))
    assert "spf=pass" in text and "smtp.mailfrom=postmaster@pass.test" in text and "smtp.helo=pass.test" in text
    stage, code, text = offer(world, sender="", helo="fail.test", data=a_message(sender="x@pass.test"))
    assert (stage, code) == ("dot", 550) and text.startswith("5.7.23 ")


def test_spf_fail_refuse_is_said_at_rcpt(world):
    start(world, policy="spf-fail refuse")
    stage, code, text = offer(world, sender="anna@fail.test")
    assert (stage, code) == ("rcpt", 550) and text.startswith("5.7.23 SPF: 127.0.0.1 ")
    assert "127.0.0.1 is none of ours" in text
    assert world.daemon.wait_log("recipient-refused")["why"] == "spf-fail"
    assert offer(world)[1] == 250


def test_spf_fail_refuse_with_everything_pipelined(world):
    hop = start(world, policy="spf-fail refuse")
    with Client(world.daemon.port) as client:
        client.hello()
        client.send("MAIL FROM:<a@fail.test>\r\nRCPT TO:<info@fwd.test>\r\nRCPT TO:<sales@fwd.test>\r\nDATA\r\n"
                    "RSET\r\nMAIL FROM:<b@pass.test>\r\nRCPT TO:<info@fwd.test>\r\nDATA\r\n")
        assert [client.reply()[0] for _ in range(8)] == [250, 550, 550, 554, 250, 250, 250, 354]
        client.send(stuff(a_message(sender="b@pass.test")) + b".\r\nMAIL FROM:<c@fail.test>\r\n"
                    b"RCPT TO:<info@fwd.test>\r\nQUIT\r\n")
        assert [client.reply()[0] for _ in range(4)] == [250, 250, 550, 221]
    assert "spf=pass" in results(hop.wait()[0])


def test_spf_fail_is_forgiven_for_an_aligned_signature(world):
    hop = start(world)
    data = a_message(sender="anna@fail.test")
    stage, code, text = offer(world, data, sender="anna@fail.test")
    assert (stage, code) == ("dot", 550) and text.startswith("5.7.23 ")
    text, _ = passed(world, hop, signed(data, "fail.test"), sender="anna@fail.test")
    assert "spf=fail" in text and "dkim=pass" in text
    assert offer(world, signed(data, "signer.test"), sender="anna@fail.test")[1] == 550
    assert offer(world, signed(data, "fail.test", key=OTHER_RSA), sender="anna@fail.test")[1] == 550


def test_received_spf_when_asked_for(world):
    hop = start(world, policy="received-spf yes")
    _, message = passed(world, hop)
    field = results(message, b"Received-SPF")
    assert field.startswith("Received-SPF: pass ") and "client-ip=127.0.0.1" in field
    assert 'envelope-from="anna@pass.test"' in field and "identity=mailfrom" in field and "helo=client.test" in field


# --- DKIM ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_dkim_signatures_of_dkimpy(world, kind):
    hop = start(world)
    data = a_message(sender="anna@pass.test")
    name = kind[:3] if kind == "rsa" else "ed"
    for canonicalize in ((b"simple", b"simple"), (b"relaxed", b"relaxed")):
        text, _ = passed(world, hop, signed(data, kind=kind, canonicalize=canonicalize))
        assert re.search(rf"dkim=pass header\.d=signer\.test header\.s={name} header\.a={kind}-sha256 header\.b=", text), text
    broken = signed(data, kind=kind).replace(b"one line", b"two line")
    assert "dkim=fail" in passed(world, hop, broken)[0]
    text, _ = passed(world, hop, signed(signed(data, kind=kind), "reject.test"))
    assert text.count("dkim=pass") == 2
    text, _ = passed(world, hop, signed(data, "nokey.test", kind=kind))
    assert "dkim=permerror" in text
    text, _ = passed(world, hop, signed(data, key=OTHER_RSA))
    assert "dkim=fail" in text


# --- DMARC --------------------------------------------------------------------------------


def test_dmarc_decides(world):
    hop = start(world, policy="spf-fail tag\ndoomed forward")

    def verdict(author, sender="anna@pass.test", extra="", sign=None):
        data = a_message(sender=author, extra=extra)
        return offer(world, signed(data, sign) if sign else data, sender=sender)

    for author, sender, sign, want in (
            ("a@reject.test", "a@pass.test", None, 550),
            ("a@reject.test", "a@reject.test", None, 250),
            ("a@reject.test", "a@mail.reject.test", None, 250),       # relaxed
            ("a@reject.test", "a@pass.test", "reject.test", 250),
            ("a@reject.test", "a@pass.test", "sub.reject.test", 250),
            ("a@reject.test", "a@pass.test", "signer.test", 550),
            ("a@sub.reject.test", "a@pass.test", None, 250),          # sp=none
            ("a@missing.reject.test", "a@pass.test", None, 550),      # np=reject
            ("a@strict.test", "a@mail.strict.test", None, 550),       # aspf=s
            ("a@quarantine.test", "a@pass.test", None, 250),
            ("a@none.test", "a@pass.test", None, 250)):
        stage, code, text = verdict(author, sender, sign=sign)
        assert code == want, (author, sender, sign, stage, code, text)
        if code == 550:
            assert text.startswith("5.7.1 ") and "DMARC" in text and author.split("@")[1] in text, text
    hop.wait(7)
    line = world.daemon.wait_log("accepted", author="quarantine.test")
    assert line["dmarc"] == "fail" and " mark=dmarc-quarantine" in line.text
    tagged = [text for text in map(results, hop.wait(7)) if "header.from=quarantine.test" in text]
    assert "dmarc=fail" in tagged[0] and "polrec.p=quarantine" in tagged[0]
    assert world.daemon.wait_log("message-refused")["why"] == "dmarc-reject"


def test_dmarc_rules_of_the_operator(world):
    start(world, policy="dmarc-reject tag\ndmarc-quarantine refuse")
    assert offer(world, a_message(sender="a@reject.test"))[1] == 250
    assert " mark=dmarc-reject" in world.daemon.wait_log("accepted").text
    stage, code, text = offer(world, a_message(sender="a@quarantine.test"))
    assert code == 554 and text.startswith("5.7.1 ")


def test_several_authors(world):
    start(world)
    assert offer(world, a_message(extra="From: a@pass.test\r\n"))[1:] == (
        550, "5.6.0 A message has exactly one From field; this one has more")
    for field in ("From: a@pass.test, b@reject.test", "From: b@reject.test,\r\n a@pass.test",
                  'From: "a@pass.test" <b@reject.test>', "from : =?utf-8?q?a?= (c@pass.test) <b@reject.test>"):
        data = a_message().replace(b"From: Anna <anna@sender.test>", field.encode())
        assert offer(world, data)[1] == 550, field


def test_an_author_behind_a_line_that_is_no_field(world):
    """What other programs would show as its author counts, wherever it stands above the empty line."""
    start(world)
    for broken in (b"no field at all\r\n", b">From anna\r\n", b"X-Name with blanks: x\r\n", b"\xff: x\r\n"):
        stage, code, text = offer(world, broken + a_message(sender="a@reject.test"))
        assert code == 550, (broken, code, text)


# --- our own domains ----------------------------------------------------------------------


def test_own_domain_needs_proof(world):
    hop = start(world)
    boss = a_message(sender="boss@fwd.test")
    stage, code, text = offer(world, boss)
    assert code == 550 and text.startswith("5.7.26 ") and "fwd.test" in text
    stage, code, text = offer(world, sender="boss@fwd.test", data=a_message(sender="a@pass.test"))
    assert code == 550 and text.startswith("5.7.26 ")
    passed(world, hop, boss, sender="boss@fwd.test", source=ELSEWHERE)
    passed(world, hop, signed(boss, "fwd.test"), sender="anna@pass.test")
    assert offer(world, signed(boss, "signer.test"))[1] == 550
    world.daemon.wait_log("message-refused", count=3, why="own-domain-spoof")


def test_a_sender_we_rewrote_may_come_back(world):
    """Somebody forwards to us without rewriting what we forwarded to him."""
    hop = start(world)
    address = rewritten_sender(world, hop)
    passed(world, hop, a_message(sender="anna@sender.test"), sender=address, recipients=["sales@fwd.test"])
    code, text = offer(world, a_message(sender="x@srs.fwd.test"), sender=address)[1:]
    assert code == 550 and text.startswith("5.7.26 ")


# --- returns ------------------------------------------------------------------------------


def rewritten_sender(world, hop):
    return passed(world, hop, sender="anna@sender.test")[1].sender


def test_returns_are_not_refused_by_dmarc_or_spf(world):
    hop = start(world, policy="spf-fail refuse\niprev tag")
    back = world.hop(world.SENDER)
    address = rewritten_sender(world, hop)
    assert offer(world, a_message("bounce", sender="mailer-daemon@reject.test"), sender="", helo="fail.test",
                 recipients=[address])[1] == 250
    text = results(back.wait()[0])
    assert "dmarc=fail" in text and "spf=fail" in text


def test_a_return_cannot_speak_for_us(world):
    """To the next server our HELO would prove that it came from us."""
    hop = start(world)
    address = rewritten_sender(world, hop)
    code, text = offer(world, a_message("bounce", sender="boss@fwd.test"), sender="", recipients=[address])[1:]
    assert code == 550 and text.startswith("5.7.26 ")


def test_a_return_travels_alone(world):
    """So that no other recipient's policy decides about it."""
    hop = start(world)
    address = rewritten_sender(world, hop)
    for recipients in ([address, "info@fwd.test"], ["info@fwd.test", address]):
        assert offer(world, sender="", recipients=recipients)[:2] == ("rcpt", 452)


# --- policies of domains ------------------------------------------------------------------


def test_a_domain_has_its_own_policy(world):
    start(world, policy="spf-fail refuse", extra="""
    domain lax.test {
        forward info to anna@dest.test
        forward postmaster to anna@dest.test
        forward abuse to anna@dest.test
        policy {
            spf-fail tag
            dmarc-reject tag
        }
    }
    domain same.test {
        forward info to anna@dest.test
        forward postmaster to anna@dest.test
        forward abuse to anna@dest.test
        policy {
            spf-fail refuse
        }
    }
    """)
    data = a_message(sender="a@reject.test")
    assert offer(world, data, sender="a@fail.test", recipients=["info@fwd.test"])[:2] == ("rcpt", 550)
    assert offer(world, data, sender="a@fail.test", recipients=["info@lax.test"])[:2] == ("dot", 250)
    assert offer(world, data, recipients=["info@fwd.test"])[:2] == ("dot", 550)
    assert offer(world, data, recipients=["info@LAX.test"])[:2] == ("dot", 250)
    assert offer(world, recipients=["info@fwd.test", "info@same.test"])[:2] == ("dot", 250)
    with Client(world.daemon.port) as client:  # what the first says holds; the rest is sent again
        client.hello().expect("MAIL FROM:<a@pass.test>", 250)
        client.expect("RCPT TO:<info@fwd.test>", 250)
        assert "4.5.3" in client.expect("RCPT TO:<info@lax.test>", 452)[0]
        client.expect("RCPT TO:<sales@fwd.test>", 250)
        client.expect("DATA", 354)
        client.send(stuff(a_message(sender="a@pass.test")) + b".\r\n")
        assert client.reply()[0] == 250
        client.envelope("a@pass.test", "info@lax.test")
        client.send(stuff(a_message(sender="a@reject.test")) + b".\r\n")
        assert client.reply()[0] == 250


# --- what is only temporary ---------------------------------------------------------------


def test_temporary_errors_defer_or_are_taken(world):
    start(world)
    stage, code, text = offer(world, sender="a@temporary.test")
    assert (stage, code) == ("dot", 451) and text.startswith("4.4.3 "), text
    world.daemon.write_config(policy="auth-temperror accept")
    world.daemon.signal(1)
    world.daemon.wait_log("reloaded")
    assert offer(world, sender="a@temporary.test")[1] == 250
    assert " mark=auth-temperror" in world.daemon.wait_log("accepted").text


# --- the fields ---------------------------------------------------------------------------

FORGED = [
    b"Authentication-Results: mx.fwd.test; dmarc=pass\r\n",
    b"authentication-RESULTS: MX.Fwd.Test; dmarc=pass\r\n",
    b"Authentication-Results:\r\n mx.fwd.test;\r\n\tdmarc=pass\r\n",
    b"Authentication-Results: (a (nested \\) one)) mx.fwd.test 1; dmarc=pass\r\n",
    b"Authentication-Results : mx.fwd.test; dmarc=pass\r\n",
    b"Authentication-Results: \"mx.fwd.test\"; dmarc=pass\r\n",
    b"Authentication-Results:mx.fwd.test\r\n",
    b"Authentication-Results: mx.fwd.test;" + b"\r\n x=y;" * 3000 + b" dmarc=pass\r\n",
    b"Authentication-Results: mx.fwd.test; " + b"a" * 5000 + b"\r\n",
]
KEPT = [
    b"Authentication-Results: other.test; dmarc=pass (mx.fwd.test)\r\n",
    b"Authentication-Results: mx.fwd.test.example; dmarc=pass\r\n",
    b"X-Authentication-Results: mx.fwd.test; dmarc=pass\r\n",
    b"ARC-Authentication-Results: i=1; mx.fwd.test; dmarc=pass\r\n",
    b"X-Odd:  \tblanks \t\r\n\t \r\n  and folds  \r\n",
    b"Subject: =?koi8-r?B?8NLJ18XU?= raw \xf0\xd2\xc9\r\n",
]


def test_forged_results_go_and_nothing_else(world):
    hop = start(world)
    base = a_message(sender="anna@pass.test", body="Authentication-Results: mx.fwd.test; dmarc=pass")
    genuine, rest = KEPT[0] + KEPT[1] + base, b"".join(KEPT[2:])
    mixed = b"".join(a + b for a, b in zip(FORGED, (KEPT * 2)[:len(FORGED)]))
    _, message = passed(world, hop, mixed + base)
    wanted = b"".join((KEPT * 2)[:len(FORGED)]) + base
    assert message.data.endswith(b"\r\n" + wanted), message.data
    assert message.data.lower().count(b"dmarc=pass") == wanted.lower().count(b"dmarc=pass")
    for forged in FORGED:
        _, message = passed(world, hop, rest + forged + genuine)
        assert message.data.endswith(b"\r\n" + rest + genuine), forged[:80]


def test_forged_results_behind_a_line_that_is_no_field(world):
    """Other programs read on there, up to the empty line."""
    hop = start(world, policy="dmarc-reject tag")
    base = a_message(sender="anna@pass.test", body=FORGED[0].decode().strip())
    for broken in (b"no field at all\r\n", b">From anna\r\n", b"\xff: x\r\n"):
        _, message = passed(world, hop, broken + FORGED[0] + base)
        assert message.data.endswith(b"\r\n" + broken + base)


def test_authserv_id_may_be_another_name(world):
    hop = start(world, extra="authserv-id fwd.example")
    data = a_message(sender="anna@pass.test", extra="Authentication-Results: fwd.example; dmarc=pass\r\n"
                     "Authentication-Results: mx.fwd.test; dmarc=none\r\n")
    text, message = passed(world, hop, data)
    assert text.startswith("Authentication-Results: fwd.example;")
    assert message.data.count(b"Authentication-Results: fwd.example;") == 1
    assert b"Authentication-Results: mx.fwd.test; dmarc=none\r\n" in message.data


def verify(message):
    def find(name, timeout=5):
        selector = name.decode().split(".")[0]
        return {"rsa": RSA, "ed": ED25519}[selector].record.encode()
    try:
        return dkim.verify(message.data, dnsfunc=find)
    except dkim.DKIMException as error:
        raise AssertionError(error) from error


BODIES = {
    "8bit": "Grüße\r\n\r\n.punkt\r\n..\r\n".encode() + bytes(range(0x80, 0x100)) + b"\r\n",
    "charset": "привет".encode("koi8-r") + b"\r\n\t \r\ntrailing  \t\r\n\r\n\r\n",
    "long": b"x" * 998 + b"\r\n" + b"y" * 50000 + b"\r\n",
    "empty": b"\r\n",
    "large": (b"0123456789abcdef" * 4 + b"\r\n") * (25 * 1024 * 1024 // 66),
}


@pytest.mark.parametrize("name", BODIES)
def test_signatures_still_verify_at_the_next_hop(world, name):
    hop = start(world, limits="message-size 40m")
    head = (b"From: =?koi8-r?B?8NLJ18XU?=\r\n  <anna@pass.test>\r\nTo: info@fwd.test\r\n"
            b"Subject: odd\r\n \tfolding \xf0\xd2\xc9\r\n  here  \r\nX-Long: " + b"z" * 990 + b"\r\n\r\n")
    for kind in ("rsa",) if name == "large" else ("rsa", "ed25519"):
        for canonicalize in ((b"simple", b"simple"), (b"relaxed", b"relaxed"))[:1 if name == "large" else 2]:
            data = signed(head + BODIES[name], kind=kind, canonicalize=canonicalize)
            text, message = passed(world, hop, FORGED[3] + data)
            assert "dkim=pass" in text, text
            assert message.data.endswith(b"\r\n" + data)
            assert message.data.split(b"\r\n\r\n", 1)[1] == BODIES[name]
            assert verify(message)


# --- a resolver that is no friend ---------------------------------------------------------


class Resolver:
    """Answers by a script: `script(name, kind, is_tcp)` returns texts in zone file form (an answer), a number
    (an rcode), or one of SILENCE, TRUNCATE, STRANGER. A list may begin with a number of seconds to wait."""
    SILENCE, TRUNCATE, STRANGER = "silence", "truncate", "stranger"

    def __init__(self, script):
        self.script = script
        self.asked = []
        while True:  # the same port for both
            self.tcp = socket.create_server((HERE, 0))
            self.port = self.tcp.getsockname()[1]
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.udp.bind((HERE, self.port))
                break
            except OSError:
                self.tcp.close()
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    def _answer(self, packet, is_tcp):
        query = dnslib.DNSRecord.parse(packet)
        name, kind = str(query.q.qname).rstrip(".").lower(), dnslib.QTYPE[query.q.qtype]
        self.asked.append((name, kind, is_tcp))
        action = self.script(name, kind, is_tcp)
        if isinstance(action, list) and action and isinstance(action[0], (int, float)):
            time.sleep(action[0])
            action = action[1:]
        reply = query.reply()
        if action is self.SILENCE:
            return None
        if action is self.TRUNCATE:
            reply.header.tc = 1
        elif action is self.STRANGER:
            reply = dnslib.DNSRecord(dnslib.DNSHeader(id=query.header.id, qr=1, ra=1),
                                     q=dnslib.DNSQuestion("stranger.test", query.q.qtype))
            reply.add_answer(*dnslib.RR.fromZone('stranger.test. 60 TXT "v=spf1 +all"'))
        elif isinstance(action, int):
            reply.header.rcode = action
        else:
            for line in action:
                reply.add_answer(*dnslib.RR.fromZone(line))
        return reply.pack()

    def _serve_udp(self):
        while True:
            try:
                packet, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self._reply_udp, args=(packet, peer), daemon=True).start()

    def _reply_udp(self, packet, peer):
        try:
            answer = self._answer(packet, False)
            if answer is not None:
                self.udp.sendto(answer, peer)
        except OSError:
            pass

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._reply_tcp, args=(connection,), daemon=True).start()

    def _reply_tcp(self, connection):
        try:
            with connection, connection.makefile("rb") as stream:
                while (head := stream.read(2)) and len(head) == 2:
                    answer = self._answer(stream.read(int.from_bytes(head, "big")), True)
                    if answer is not None:
                        connection.sendall(len(answer).to_bytes(2, "big") + answer)
        except OSError:
            pass

    def start(self):
        return self

    def stop(self):
        self.tcp.close()
        self.udp.close()


NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5
NEXT_HOP = {("dest.test", "MX"): ["dest.test. 60 MX 10 mx.dest.test."],
            ("mx.dest.test", "A"): ["mx.dest.test. 60 A 127.0.0.2"],
            ("mx.dest.test", "AAAA"): []}


@pytest.fixture
def scripted(world):
    """Starts the world with a scripted resolver; what the script says None to is NXDOMAIN."""
    made = []

    def start_scripted(script, policy="", **settings):
        def answer(name, kind, is_tcp):
            if (name, kind) in NEXT_HOP:
                return NEXT_HOP[name, kind]
            action = script(name, kind, is_tcp)
            return NXDOMAIN if action is None else action
        hop = world.hop()
        made.append(Resolver(answer))
        world.make_resolver = lambda zone: made[-1]
        world.start(authenticate="on", policy=policy, **settings)
        return hop, made[-1]
    yield start_scripted
    for resolver in made:
        resolver.stop()


def bounded(started, seconds=25):
    # A sanitizer build on a busy machine is slower.
    assert time.monotonic() - started < seconds + 5, time.monotonic() - started


def at_once(*calls):
    """Runs calls side by side: they wait, mostly. Returns their results."""
    found = [None] * len(calls)

    def run(number):
        try:
            found[number] = calls[number]()
        except BaseException as error:  # shown where it is compared
            found[number] = error
    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_iprev(scripted, world):
    names = {"1.0.0.127.in-addr.arpa": "good.test", "2.0.0.127.in-addr.arpa": "liar.test",
             "3.0.0.127.in-addr.arpa": None, "4.0.0.127.in-addr.arpa": SERVFAIL}
    hosts = {"good.test": HERE, "liar.test": "192.0.2.1"}

    def script(name, kind, is_tcp):
        if kind == "PTR" and name in names:
            host = names[name]
            return [f"{name}. 60 PTR {host}."] if isinstance(host, str) else host
        if kind == "A" and name in hosts:
            return [f"{name}. 60 A {hosts[name]}"]
        return None
    hop, _ = scripted(script, policy="iprev refuse")
    text, message = passed(world, hop)
    assert "iprev=pass (good.test) policy.iprev=127.0.0.1" in text, text
    assert b"(good.test [127.0.0.1])" in message.header()
    for source, want in (("127.0.0.2", 550), ("127.0.0.3", 550), ("127.0.0.4", 451)):
        stage, code, text = offer(world, source=source)
        assert (stage, code) == ("rcpt", want), (source, text)
        assert "7.25" in text and source in text
    world.daemon.write_config(policy="iprev tag")
    world.daemon.signal(1)
    world.daemon.wait_log("reloaded")
    text, _ = passed(world, hop, source="127.0.0.2")
    assert "iprev=fail" in text and " mark=iprev" in world.daemon.wait_log("accepted", client="127.0.0.2").text
    world.daemon.write_config(policy="iprev off")
    world.daemon.signal(1)
    world.daemon.wait_log("reloaded", count=2)
    text, _ = passed(world, hop, source="127.0.0.3")
    assert "iprev=permerror" in text and " mark=" not in world.daemon.wait_log("accepted", client="127.0.0.3").text


def test_a_silent_resolver(scripted, world):
    """Nothing is refused for good, nobody waits for ever; whoever asks meanwhile is served."""
    hop, resolver = scripted(lambda name, kind, is_tcp: Resolver.SILENCE)
    started = time.monotonic()

    def leave():
        client = Client(world.daemon.port).hello()
        client.envelope("a@gone.test", "info@fwd.test")
        client.send(stuff(a_message()) + b".\r\n")
        time.sleep(0.3)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()

    def pipeline():
        with Client(world.daemon.port) as client:
            client.hello()
            client.envelope("a@first.test", "info@fwd.test")
            client.send(stuff(a_message()) + b".\r\nNOOP\r\nMAIL FROM:<b@second.test>\r\nRSET\r\nQUIT\r\n")
            return [client.reply()[0] for _ in range(5)]

    def reset():
        with Client(world.daemon.port) as client:
            client.hello()
            for _ in range(50):
                client.expect("MAIL FROM:<a@reset.test>", 250)
                client.expect("RSET", 250)
            client.expect("EHLO other.test", 250)
            client.expect("QUIT", 221)
            return time.monotonic() - started
    found = at_once(lambda: offer(world, sender="a@silent.test"),
                    lambda: offer(world, signed(a_message(sender="boss@fwd.test"), "fwd.test"), sender="b@fwd.test"),
                    pipeline, reset, leave)
    bounded(started)
    assert found[0][:2] == ("dot", 451), found
    assert found[1][:2] == ("dot", 451), found
    assert found[2] == [451, 250, 250, 250, 221], found
    assert found[3] < 5, found
    assert found[4] is None, found
    world.daemon.wait_log("session-end", count=5)
    assert not world.daemon.log("accepted") and not hop.messages
    assert world.daemon.wait_log("message-deferred")["code"] == "451"


def test_a_silent_resolver_and_rules_before_the_content(scripted, world):
    """The recipient waits, within bounds; what is not known by then refuses nobody."""
    hop, resolver = scripted(lambda name, kind, is_tcp: NXDOMAIN if "_dmarc" in name else Resolver.SILENCE,
                             policy="spf-fail refuse\nauth-temperror accept")
    started = time.monotonic()

    def leave():
        with Client(world.daemon.port) as client:
            client.hello().expect("MAIL FROM:<a@gone.test>", 250)
            client.send("RCPT TO:<info@fwd.test>\r\nRSET\r\nNOOP\r\n")
            time.sleep(0.3)
    found = at_once(lambda: offer(world, sender="a@silent.test"), leave)
    assert found[0][:2] == ("dot", 250), found
    bounded(started)
    text = results(hop.wait()[0])
    assert text.count("spf=temperror") == 2 and "iprev=temperror" in text
    assert not world.daemon.log("recipient-refused")


def test_a_chain_of_late_answers_is_bounded(scripted, world):
    """Each answer comes in time, all of them together do not."""
    def script(name, kind, is_tcp):
        found = re.fullmatch(r"n(\d+)\.chain\.test", name)
        if found and kind == "TXT":
            return [4, f'{name}. 60 TXT "v=spf1 include:n{int(found[1]) + 1}.chain.test -all"']
        return None
    scripted(script, policy="spf-fail refuse")
    started = time.monotonic()
    first, second = at_once(
        lambda: timed(lambda: rcpt(world, "a@n0.chain.test")),
        lambda: timed(lambda: offer(world, a_message(sender="boss@fwd.test"), sender="a@n0.chain.test")))
    bounded(started, 45)
    assert first[0] in (250, 451) and first[1] < 27, first
    assert second[0][1] in (451, 550), second


def test_a_silent_reverse_zone_holds_up_no_chain(scripted, world):
    """Who does not answer for the client's name delays neither the refusal nor, beyond its own time, the message."""
    def script(name, kind, is_tcp):
        if kind == "PTR":
            return Resolver.SILENCE
        found = re.fullmatch(r"n(\d)\.(good|bad)\.test", name)
        if found and kind == "TXT":
            end = f"ip4:{HERE}" if found[2] == "good" else "?ip4:192.0.2.1"
            more = f"include:n{int(found[1]) + 1}.{found[2]}.test" if int(found[1]) < 5 else end
            return [0.1, f'{name}. 60 TXT "v=spf1 {more} -all"']
        return None
    hop, _ = scripted(script, policy="spf-fail refuse\nauth-temperror accept")
    refused, taken = at_once(lambda: timed(lambda: rcpt(world, "a@n0.bad.test")),
                             lambda: timed(lambda: passed(world, hop, sender="a@n0.good.test")))
    assert refused[0] == 550 and refused[1] < 4, refused  # c-ares gives the name six seconds
    assert "spf=pass" in taken[0][0] and "iprev=temperror" in taken[0][0] and taken[1] < 15, taken


def timed(call):
    started = time.monotonic()
    return call(), time.monotonic() - started


def rcpt(world, sender):
    with Client(world.daemon.port) as client:
        client.hello().expect(f"MAIL FROM:<{sender}>", 250)
        return client.command("RCPT TO:<info@fwd.test>")[0]


@pytest.mark.parametrize("answer", [SERVFAIL, REFUSED, Resolver.TRUNCATE], ids=["servfail", "refused", "truncated"])
def test_a_resolver_that_only_fails(scripted, world, answer):
    hop, resolver = scripted(lambda name, kind, is_tcp: answer)
    started = time.monotonic()
    found = at_once(lambda: offer(world, sender="a@x.test"),
                    lambda: offer(world, a_message(sender="boss@fwd.test")),
                    lambda: offer(world, signed(a_message(sender="a@x.test"), "x.test"), sender="a@x.test"))
    bounded(started)
    assert [answer[:2] for answer in found] == [("dot", 451)] * 3, found
    assert not hop.messages


def test_truncated_answers_are_fetched_over_tcp(scripted, world):
    long = " ".join(f"ip4:192.0.2.{i}" for i in range(100))
    quoted = " ".join(f'"{part}"' for part in re.findall(".{1,250}", f"v=spf1 {long} ip4:{HERE} -all"))

    def script(name, kind, is_tcp):
        if (name, kind) == ("pass.test", "TXT"):
            return [f"{name}. 60 TXT {quoted}"] if is_tcp else Resolver.TRUNCATE
        return None
    hop, resolver = scripted(script)
    text, _ = passed(world, hop)
    assert "spf=pass" in text
    assert ("pass.test", "TXT", True) in resolver.asked


def test_late_answers_are_waited_for(scripted, world):
    def script(name, kind, is_tcp):
        late = {("pass.test", "TXT"): ['pass.test. 60 TXT "v=spf1 include:more.test -all"'],
                ("more.test", "TXT"): [f'more.test. 60 TXT "v=spf1 ip4:{HERE} -all"'],
                ("rsa._domainkey.signer.test", "TXT"): [
                    "rsa._domainkey.signer.test. 60 TXT " + " ".join(f'"{part}"' for part in re.findall(".{1,250}", RSA.record))]}
        found = late.get((name, kind))
        return [0.6, *found] if found else None
    hop, _ = scripted(script)
    started = time.monotonic()
    text, _ = passed(world, hop, signed(a_message(sender="anna@pass.test")))
    assert "spf=pass" in text and "dkim=pass" in text
    bounded(started, 5)


def test_lies_about_names(scripted, world):
    """An answer to another question is none, and what an answer says of other names is not believed."""
    def script(name, kind, is_tcp):
        if name == "lie.test":
            return Resolver.STRANGER
        if (name, kind) == ("more.test", "TXT"):
            return ['other.test. 60 TXT "v=spf1 +all"', 'victim.test. 60 TXT "v=spf1 +all"']
        if (name, kind) == ("victim.test", "TXT"):
            return ['victim.test. 60 TXT "v=spf1 -all"']
        return None
    hop, _ = scripted(script, policy="spf-fail tag\nauth-temperror accept")
    started = time.monotonic()
    found = at_once(lambda: offer(world, sender="a@lie.test", data=a_message(sender="x@b.test")),
                    lambda: offer(world, sender="a@more.test"))
    bounded(started)
    assert [answer[1] for answer in found] == [250, 250], found
    texts = [results(message) for message in hop.wait(2)]
    assert sum("spf=temperror" in text and "mailfrom=a@lie.test" in text for text in texts) == 1, texts
    assert sum("spf=none (no SPF record) smtp.mailfrom=a@more.test" in text for text in texts) == 1, texts
    text, _ = passed(world, hop, sender="a@victim.test")  # the lie was not kept
    assert "spf=fail" in text


@pytest.mark.parametrize("rule", ["refuse", "refuse-unless-dkim"])
def test_a_flood_of_senders_keeps_nobody_waiting(scripted, world, rule):
    """Look-ups that nobody wants any more leave room for those that somebody does."""
    def script(name, kind, is_tcp):
        if "flood" in name:
            return Resolver.SILENCE
        return [f'{name}. 60 TXT "v=spf1 ip4:{HERE} -all"'] if name == "pass.test" and kind == "TXT" else None
    hop, resolver = scripted(script, policy=f"spf-fail {rule}\niprev off")
    with Client(world.daemon.port) as client:
        client.hello()
        client.send("".join(f"MAIL FROM:<a@flood{i}.test>\r\nRSET\r\n" for i in range(400)))
        assert {client.reply()[0] for _ in range(800)} == {250}
        started = time.monotonic()
        assert client.message("anna@pass.test", "info@fwd.test", a_message(sender="anna@pass.test"))[0] == 250
        assert time.monotonic() - started < 5
    assert "spf=pass" in results(hop.wait()[0])
    assert sum("flood" in name for name, *_ in resolver.asked) < 50
