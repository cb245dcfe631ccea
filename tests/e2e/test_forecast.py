"""What will become of a message at the next hop is known before it is answered. The next hop here judges
for itself (enforcing_hop): what we predicted is compared with what it found."""
import email.policy
import email.utils
import json
import re

import dkim
import pytest
from cryptography.hazmat.primitives import serialization

from enforcing_hop import CLIENT, Enforcer, Judge, resolver_port
from harness import Client, a_message, stuff, wait_until
from test_dkim_interop import make_rsa

AUTHOR = make_rsa(2048)  # signs for every author
LIST = make_rsa(2048)
OURS = make_rsa(2048)
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.9"  # where the authors' servers are, and where they are not
POLICIES = ("none", "quarantine", "reject")


def txt(text):
    return [("TXT", text)]


ZONE = {
    **{f"{name}.test": [*txt(f"v=spf1 ip4:{HERE} -all"), ("MX", "10 mx.sender.test.")]
       for name in (*POLICIES, "sub.reject", "other.reject", "strict", "testing", "list", "free", "gone.quarantine")},
    **{f"_dmarc.{name}.test": txt(f"v=DMARC1; p={name}") for name in POLICIES},
    "_dmarc.strict.test": txt("v=DMARC1; p=reject; adkim=s; aspf=s"),
    "mail.strict.test": txt(f"v=spf1 ip4:{HERE} -all"),
    "_dmarc.testing.test": txt("v=DMARC1; p=reject; t=y"),
    **{f"s._domainkey.{name}.test": txt(AUTHOR.record)
       for name in (*POLICIES, "sub.reject", "strict", "mail.strict", "testing", "free")},
    "s._domainkey.list.test": txt(LIST.record),
    # ours: only our signature is aligned with our own From, not the SRS domain
    "srs.fwd.test": [*txt(f"v=spf1 ip4:{CLIENT} -all"), ("MX", "10 mx.fwd.test.")],
    "fwd.test": txt(f"v=spf1 ip4:{CLIENT} ip4:{HERE} -all"),
    "sub.fwd.test": [*txt(f"v=spf1 ip4:{HERE} -all"), ("MX", "10 mx.sender.test.")],
    "mx.fwd.test": [("A", CLIENT), *txt(f"v=spf1 ip4:{CLIENT} -all")],
    "_dmarc.fwd.test": txt("v=DMARC1; p=reject; aspf=s"),
    "seal._domainkey.fwd.test": txt(OURS.record),
}


def signed(data, domain, key=AUTHOR):
    return dkim.sign(data, b"s", domain.encode(), key.pem, include_headers=[b"from", b"to", b"subject"]) + data


def seal(tmp_path, arc="yes", sign="no"):
    path = tmp_path / "seal.key"
    path.write_bytes(OURS.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                serialization.NoEncryption()))
    path.chmod(0o600)
    return f"""
    seal {{
        domain fwd.test
        selector seal
        key-file {path}
        arc {arc}
        dkim {sign}
    }}
    """


class Stage:
    """The world with an enforcing next hop, and a server where authors get their returns."""

    def __init__(self, world, policy="", extra="", sealers=(), zone=None):
        self.world = world
        self.enforcer = Enforcer()
        self.hop = world.hop(script=self.enforcer)
        self.back = world.hop(world.SENDER)
        world.start(zone={**ZONE, **(zone or {})}, authenticate="on", policy=policy, extra=extra)
        self.enforcer.judge = Judge(resolver_port(world), sealers=sealers)
        self.daemon = world.daemon
        self.answers = {}

    def offer(self, name, data, sender, source=HERE, recipient="info@fwd.test"):
        """One message, known by its subject; remembers and returns (code, text) of the last answer."""
        with Client(self.daemon.port, source=source) as client:
            client.hello()
            client.expect(f"MAIL FROM:<{sender}>", 250)
            code, lines = client.command(f"RCPT TO:<{recipient}>")
            if code == 250:
                client.expect("DATA", 354)
                client.send(stuff(data) + b".\r\n")
                code, lines = client.reply()
            client.send("QUIT\r\n")
        self.answers[name] = code, " ".join(line[4:] for line in lines)
        return self.answers[name]

    @staticmethod
    def subject(message):
        return re.search(rb"(?mi)^Subject: *([^\r\n]*)", message.data).group(1).decode()

    def attempts(self):
        """{subject: message as the hop saw it}; each was tried once."""
        found = {self.subject(message): message for message in self.hop.attempts}
        assert len(found) == len(self.hop.attempts), [self.subject(message) for message in self.hop.attempts]
        return found

    def returned(self, name):
        """Has the author been told?"""
        return any(f"Subject: {name}".encode() in message.data for message in self.back.messages)

    def queued(self, state=None):
        """Deliveries that are left."""
        rows = map(json.loads, self.daemon.command("queue", "list", "--json").stdout.splitlines())
        return [row for row in rows if state in (None, row["state"])]

    def log(self, name):
        """The line that says it was accepted."""
        return self.daemon.wait_log("accepted", id=self.answers[name][1].rsplit("id=", 1)[1])

    def settle(self, seen, returns=0):
        """Until the hop has seen so many, so many came back, and only what is held is left."""
        wait_until(lambda: len(self.hop.attempts) >= seen, f"{seen} at the next hop: {self.answers}")
        wait_until(lambda: len(self.back.messages) >= returns, f"{returns} returns")
        wait_until(lambda: not self.queued("due"), "a queue where nothing moves")


def make_message(spf, sign, policy):
    """(name, octets, sender, source)"""
    name, domain = f"{spf}-{sign}-{policy}", f"{policy}.test"
    data = a_message(subject=name, sender=f"anna@{domain}")
    if sign != "absent":
        data = signed(data, domain)
    if sign == "broken":
        data = data.replace(b"one line", b"one line and a footer")
    return name, data, f"anna@{domain}", HERE if spf == "pass" else ELSEWHERE


# How it came (SPF, aligned signature, the author's p=), and what becomes of it. "doomed" and
# "doomed-quarantine": what the settings say.
TABLE = [
    ("pass", "valid", "none", "inbox"),
    ("pass", "valid", "quarantine", "inbox"),
    ("pass", "valid", "reject", "inbox"),
    ("pass", "broken", "none", "inbox"),
    ("pass", "broken", "quarantine", "doomed-quarantine"),
    ("pass", "broken", "reject", "doomed"),
    ("pass", "absent", "none", "inbox"),
    ("pass", "absent", "quarantine", "doomed-quarantine"),
    ("pass", "absent", "reject", "doomed"),
    ("fail", "valid", "none", "inbox"),
    ("fail", "valid", "quarantine", "inbox"),
    ("fail", "valid", "reject", "inbox"),
    ("fail", "broken", "none", "550 5.7.23"),
    ("fail", "broken", "quarantine", "550 5.7.23"),
    ("fail", "broken", "reject", "550 5.7.1"),
    ("fail", "absent", "none", "550 5.7.23"),
    ("fail", "absent", "quarantine", "550 5.7.23"),
    ("fail", "absent", "reject", "550 5.7.1"),
]
# (doomed, doomed-quarantine), and what they make of it; None: the default.
SETTINGS = {
    (None, None): ("550 5.7.1", "junk"),
    ("refuse", "forward"): ("550 5.7.1", "junk"),
    ("forward", "refuse"): ("returned", "550 5.7.1"),
    ("munge", "munge"): ("munged", "munged"),
    ("hold", "hold"): ("held", "held"),
    ("refuse", "munge"): ("550 5.7.1", "munged"),
    ("munge", "hold"): ("munged", "held"),
    ("hold", "forward"): ("held", "junk"),
}


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda pair: "-".join(map(str, pair)))
def test_table(world, tmp_path, settings):
    doomed, quarantine = settings
    lines = [f"doomed {doomed}" if doomed else "", f"doomed-quarantine {quarantine}" if quarantine else "",
             "munge-from when-needed" if "munge" in settings else ""]
    stage = Stage(world, "\n".join(lines), seal(tmp_path))
    wanted = {}
    for spf, sign, policy, outcome in TABLE:
        name, data, sender, source = make_message(spf, sign, policy)
        outcome = {"doomed": SETTINGS[settings][0], "doomed-quarantine": SETTINGS[settings][1]}.get(outcome, outcome)
        wanted[name] = outcome
        stage.offer(name, data, sender, source)
    count = list(wanted.values()).count
    stage.settle(seen=count("inbox") + count("junk") + count("munged") + count("returned"), returns=count("returned"))
    attempts = stage.attempts()
    taken = {stage.subject(message) for message in stage.hop.messages}
    for name, outcome in wanted.items():
        code, text = stage.answers[name]
        message = attempts.get(name)
        verdict = message and message.verdict
        about = (name, outcome, code, text, verdict)
        if outcome.startswith("550"):
            assert code == 550 and text.startswith(outcome[4:] + " ") and message is None, about
            assert ("SPF" if "5.7.23" in outcome else "DMARC") in text and name.split("-")[-1] + ".test" in text, about
            if name.startswith("pass"):
                assert "DKIM" in text, about
                assert stage.daemon.wait_log("message-refused", why="doomed")
            continue
        assert code == 250, about
        if outcome == "held":
            assert message is None, about
            continue
        assert verdict.spf == "pass" and verdict.spf_domain == "srs.fwd.test", about
        assert verdict.place == {"junk": "junk", "returned": "refused"}.get(outcome, "inbox"), about
        assert (name in taken) == (outcome != "returned"), about
        assert stage.returned(name) == (outcome == "returned"), about
        if outcome == "munged":
            assert ("dkim", "fwd.test") in verdict.aligned and verdict.dmarc == "pass", about
        elif "valid" in name:
            assert verdict.dkim == [(name.split("-")[-1] + ".test", "pass")] and verdict.dmarc == "pass", about
        else:
            assert verdict.dmarc == "fail", about
    assert set(attempts) == {name for name, outcome in wanted.items() if outcome != "held" and outcome[:3] != "550"}
    assert len(stage.queued("held")) == count("held")


EVERYTHING = """
spf-fail tag
dmarc-reject tag
dmarc-quarantine accept
doomed forward
doomed-quarantine forward
"""


def odd_messages():
    """(name, octets, sender): where alignment is not plain."""
    for name, author, sender, sign in (
            ("sub-by-org", "sub.reject.test", "sub.reject.test", "reject.test"),
            ("sub-by-sibling", "other.reject.test", "sub.reject.test", "sub.reject.test"),
            ("sub-by-spf", "sub.reject.test", "other.reject.test", None),
            ("no-such-name", "missing.quarantine.test", "quarantine.test", None),
            ("strict-equal", "strict.test", "strict.test", "strict.test"),
            ("strict-child", "strict.test", "mail.strict.test", "mail.strict.test"),
            ("testing-spf", "testing.test", "testing.test", None),
            ("testing-dkim", "testing.test", "testing.test", "testing.test"),
            ("free-spf", "free.test", "free.test", None),
            ("free-dkim", "free.test", "free.test", "free.test"),
            ("stranger", "reject.test", "free.test", "free.test"),
            ("ours", "fwd.test", "fwd.test", None),
            ("below-ours", "sub.fwd.test", "sub.fwd.test", None)):
        data = a_message(subject=name, sender=f"anna@{author}")
        yield name, signed(data, sign) if sign else data, f"anna@{sender}"


@pytest.mark.parametrize("sign", ["no", "yes"])
def test_what_we_predict_is_what_the_hop_finds(world, tmp_path, sign):
    """Everything goes out, whatever it is: then the log's forecast is held against the hop's verdict."""
    stage = Stage(world, EVERYTHING, seal(tmp_path, sign=sign))
    for row in TABLE:
        name, data, sender, source = make_message(*row[:3])
        assert stage.offer(name, data, sender, source)[0] == 250, stage.answers[name]
    for name, data, sender in odd_messages():
        assert stage.offer(name, data, sender)[0] == 250, stage.answers[name]
    stage.settle(seen=len(stage.answers))
    for name, message in stage.attempts().items():
        verdict, line = message.verdict, stage.log(name)
        if verdict.dmarc == "pass":
            want = "pass"
        else:
            want = "fail" if verdict.dmarc == "fail" and verdict.policy != "none" else "none"
        assert line["forecast"] == want, (name, verdict, line)
        assert (want == "fail") == (verdict.place != "inbox"), (name, verdict)
    assert len(stage.attempts()) == len(stage.answers)
    assert stage.log("pass-valid-reject")["forecast"] == "pass"
    assert stage.log("pass-absent-reject")["forecast"] == "fail"
    assert stage.log("pass-absent-none")["forecast"] == "none"
    # signed by us it is aligned with names below ours; the SRS domain is not
    assert stage.log("below-ours")["forecast"] == ("pass" if sign == "yes" else "fail")


def test_the_refusal_says_what_helps(world, tmp_path):
    stage = Stage(world)
    name, data, sender, source = make_message("pass", "absent", "reject")
    code, text = stage.offer(name, data, sender, source)
    assert code == 550 and text.startswith("5.7.1 ")
    for word in ("DMARC", "reject.test", "DKIM", "forward"):
        assert word in text, text
    line = stage.daemon.wait_log("message-refused")
    assert line["why"] == "doomed" and line["code"] == "550"
    assert not stage.hop.attempts and not stage.back.messages


def test_a_recipient_can_have_it_otherwise(world, tmp_path):
    """Per domain, and several recipients of one message."""
    stage = Stage(world, extra=seal(tmp_path) + """
    domain lax.test {
        forward info to anna@dest.test
        forward postmaster to anna@dest.test
        forward abuse to anna@dest.test
        policy {
            doomed hold
        }
    }
    """)
    name, data, sender, source = make_message("pass", "absent", "reject")
    assert stage.offer(name, data, sender, source)[0] == 550
    assert stage.offer(name, data, sender, source, "info@lax.test")[0] == 250
    stage.settle(seen=0)
    assert len(stage.queued("held")) == 1 and not stage.hop.attempts


# --- munging ------------------------------------------------------------------------------


def munging(world, tmp_path, **options):
    return Stage(world, "doomed munge\ndoomed-quarantine munge\nmunge-from when-needed", seal(tmp_path), **options)


def fields(message, name):
    parsed = email.message_from_bytes(message.header() + b"\r\n", policy=email.policy.compat32)
    return [str(value) for value in parsed.get_all(name, [])]


def test_a_munged_author(world, tmp_path):
    stage = munging(world, tmp_path)
    name, data, sender, source = make_message("pass", "absent", "reject")
    assert stage.offer(name, data.replace(b"To: info", b"Reply-To: Office <office@none.test>\r\nTo: info"), sender)[0] == 250
    message = stage.hop.wait()[0]
    (author,) = fields(message, "From")
    shown, address = email.utils.parseaddr(author)
    assert shown == "Anna via fwd.test", author
    assert re.fullmatch(r"REPLY0=[A-Za-z2-7]+=[A-Za-z2-7]+=reject\.test=anna@fwd\.test", address), author
    assert fields(message, "X-Original-From") == ["Anna <anna@reject.test>"]
    (reply_to,) = fields(message, "Reply-To")
    assert [address for _, address in email.utils.getaddresses([reply_to])] == ["anna@reject.test", "office@none.test"]
    signature = fields(message, "DKIM-Signature")[0]
    assert "d=fwd.test" in signature and "s=seal" in signature
    verdict = message.verdict
    assert verdict.dkim == [("fwd.test", "pass")] and verdict.aligned == [("dkim", "fwd.test")]
    assert verdict.place == "inbox" and verdict.arc == "pass"
    assert message.sender.startswith("SRS0=") and message.data.endswith(b"\r\n\r\none line\r\n")
    assert "munged" in stage.log(name).text or "doomed" in stage.log(name).text


def test_what_is_not_doomed_is_not_munged(world, tmp_path):
    stage = munging(world, tmp_path)
    for row in (("pass", "valid", "reject"), ("fail", "valid", "reject"), ("pass", "absent", "none")):
        name, data, sender, source = make_message(*row)
        assert stage.offer(name, data, sender, source)[0] == 250
    for message in stage.hop.wait(3):
        assert fields(message, "From") == [f"Anna <anna@{stage.subject(message).split('-')[-1]}.test>"]
        assert not fields(message, "X-Original-From") and not fields(message, "Reply-To")


def test_munging_goes_with_a_chain(world, tmp_path):
    """Older signatures of a chain need not verify any more, the seals and ours do."""
    stage = munging(world, tmp_path)
    data = b"Authentication-Results: list.test; spf=pass\r\n" + a_message(subject="sealed", sender="anna@reject.test")
    data = b"".join(dkim.arc_sign(data, b"s", b"list.test", LIST.pem, b"list.test")) + data
    assert stage.offer("sealed", data, "anna@reject.test")[0] == 250, stage.answers
    verdict = stage.hop.wait()[0].verdict
    assert verdict.arc == "pass" and [domain for _, domain, _ in verdict.sealers] == [b"fwd.test", b"list.test"], verdict
    assert verdict.aligned == [("dkim", "fwd.test")] and verdict.place == "inbox"


def test_replies_reach_the_author(world, tmp_path):
    stage = munging(world, tmp_path)
    name, data, sender, source = make_message("pass", "absent", "reject")
    stage.offer(name, data, sender)
    address = email.utils.parseaddr(fields(stage.hop.wait()[0], "From")[0])[1]
    reply = a_message(subject="reply", sender="bert@free.test")
    assert stage.offer("reply", signed(reply, "free.test"), "bert@free.test", recipient=address)[0] == 250
    back = stage.back.wait()[0]
    assert back.recipients == ["anna@reject.test"] and back.sender.startswith("SRS0=")
    # any case, and the old ones
    assert stage.offer("lower", reply, "bert@free.test", recipient=address.lower())[0] == 250
    stage.back.wait(2)
    # not by guessing
    local, _, domain = address.partition("@")
    tag = local.split("=")[1]
    for forged in (local.replace(tag, ("A" if tag[0] != "A" else "B") + tag[1:]), local.replace("anna", "boss"),
                   local.replace("REPLY0", "SRS0"), local.replace("reject.test", "other.test")):
        code, text = stage.offer("forged", reply, "bert@free.test", recipient=f"{forged}@{domain}")
        assert code == 550, (forged, code, text)
    srs = stage.hop.messages[0].sender
    code, text = stage.offer("srs", reply, "bert@free.test", recipient=srs.replace("SRS0", "REPLY0").replace("srs.fwd", "fwd"))
    assert code == 550, text
    assert len(stage.back.messages) == 2


def test_what_cannot_be_munged_is_refused(world, tmp_path):
    stage = munging(world, tmp_path)
    data = a_message(subject="two", sender="anna@reject.test")
    for authors in (b"From: anna@reject.test, bert@reject.test", b"From: anna@reject.test,\r\n bert@reject.test"):
        code, text = stage.offer("two", data.replace(b"From: Anna <anna@reject.test>", authors), "anna@reject.test")
        assert code == 550 and text.startswith("5.7.1 ") and "DMARC" in text, text
    assert not stage.hop.attempts


def test_munging_without_a_key_is_a_mistake(world):
    world.start(zone=ZONE, policy="doomed munge\nmunge-from when-needed", is_started=False)
    done = world.daemon.command("check", check=False)
    assert done.returncode == 78 and "munge" in done.stdout + done.stderr, done


# --- chains in place of DMARC -------------------------------------------------------------


def list_message(name, author="reject.test", sealer="list.test", results=None):
    """What a list makes of a signed message: a footer, and a seal over what it saw."""
    data = signed(a_message(subject=name, sender=f"anna@{author}"), author)
    data = data.replace(b"one line", b"one line\r\n-- \r\nthe list")
    results = results or f"dkim=pass header.d={author}; dmarc=pass header.from={author}"
    data = f"Authentication-Results: {sealer}; {results}\r\n".encode() + data
    return b"".join(dkim.arc_sign(data, b"s", sealer.encode(), LIST.pem, sealer.encode())) + data


def test_a_trusted_list_is_let_through(world, tmp_path):
    stage = Stage(world, "arc-trust list.test", seal(tmp_path), sealers=["fwd.test", "list.test"])
    assert stage.offer("list", list_message("list"), "bounce@list.test")[0] == 250, stage.answers
    message = stage.hop.wait()[0]
    verdict = message.verdict
    assert verdict.arc == "pass" and [domain for _, domain, _ in verdict.sealers] == [b"fwd.test", b"list.test"]
    assert verdict.is_vouched and verdict.place == "inbox", verdict
    assert "arc=pass" in fields(message, "Authentication-Results")[0]
    assert " mark=arc-trusted" in stage.log("list").text and stage.log("list")["forecast"] == "vouched"
    # what does not vouch
    for name, data in (
            ("says-fail", list_message("says-fail", results="dmarc=fail header.from=reject.test")),
            ("other-author", list_message("other-author", results="dmarc=pass header.from=none.test")),
            ("changed", list_message("changed").replace(b"the list", b"the thief")),
            ("unsealed", signed(a_message(subject="unsealed", sender="anna@reject.test"), "list.test", LIST))):
        code, text = stage.offer(name, data, "bounce@list.test")
        assert code == 550 and "DMARC" in text, (name, code, text)


def test_an_unknown_list_is_not(world, tmp_path):
    stage = Stage(world, "arc-trust other.test", seal(tmp_path))
    code, text = stage.offer("list", list_message("list"), "bounce@list.test")
    assert code == 550 and text.startswith("5.7.1 ") and "DMARC" in text


def test_a_chain_whose_key_does_not_answer_is_waited_for(world, tmp_path):
    stage = Stage(world, "arc-trust x.servfail.test", seal(tmp_path))
    code, text = stage.offer("list", list_message("list", sealer="x.servfail.test"), "bounce@list.test")
    assert code == 451, text
