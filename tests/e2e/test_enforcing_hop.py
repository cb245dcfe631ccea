"""The next hop that enforces, by itself: what it is asked to prove must not hang on its own mistakes."""
import dkim
import pytest

from enforcing_hop import CLIENT, Enforcer, Judge, organization, tree_walk
from harness import Client, a_message
from test_dkim_interop import make_rsa

KEY, OTHER_KEY = make_rsa(1024), make_rsa(1024)
ZONE = {
    **{f"{name}.test": [("TXT", f"v=spf1 ip4:{CLIENT} -all")]
       for name in ("reject", "quarantine", "none", "strict", "fwd", "mail.reject", "mail.strict")},
    "closed.test": [("TXT", "v=spf1 -all")],
    "_dmarc.reject.test": [("TXT", "v=DMARC1; p=reject; sp=quarantine; np=reject")],
    "_dmarc.quarantine.test": [("TXT", "v=DMARC1; p=quarantine")],
    "_dmarc.none.test": [("TXT", "v=DMARC1; p=none")],
    "_dmarc.strict.test": [("TXT", "v=DMARC1; p=reject; adkim=s; aspf=s")],
    "_dmarc.testing.test": [("TXT", "v=DMARC1; p=reject; t=y")],
    "_dmarc.two.test": [("TXT", "v=DMARC1; p=reject"), ("TXT", "v=DMARC1; p=none")],
    "_dmarc.bank.test": [("TXT", "v=DMARC1; p=reject; psd=y")],
    "_dmarc.giant.bank.test": [("TXT", "v=DMARC1; p=quarantine")],
    "_dmarc.b.c.d.e.f.g.h.test": [("TXT", "v=DMARC1; p=none")],
    "_dmarc.cut.reject.test": [("TXT", "v=DMARC1; p=none; psd=n")],
    **{f"s._domainkey.{name}.test": [("TXT", KEY.record)] for name in ("reject", "strict", "quarantine", "list", "hop")},
}


@pytest.fixture
def judge(resolver):
    return Judge(resolver(ZONE).port, sealers=["list.test"])


def signed(data, domain, key=KEY):
    return dkim.sign(data, b"s", domain.encode(), key.pem, include_headers=[b"from", b"subject"]) + data


def sealed(data, domain, results):
    data = f"Authentication-Results: {domain}; {results}\r\n".encode() + data
    return b"".join(dkim.arc_sign(data, b"s", domain.encode(), KEY.pem, domain.encode())) + data


def test_where_messages_land(judge):
    other = "x@fwd.test"  # passes SPF, as somebody else
    for author, sender, sign, want in (
            ("a@reject.test", "a@reject.test", None, "pass inbox"),
            ("a@reject.test", "a@mail.reject.test", None, "pass inbox"),
            ("a@reject.test", other, None, "fail refused"),
            ("a@reject.test", "", None, "fail refused"),
            ("a@reject.test", other, "reject.test", "pass inbox"),
            ("a@reject.test", other, "list.test", "fail refused"),
            ("a@mail.reject.test", other, None, "fail junk"),       # sp=
            ("a@gone.reject.test", other, None, "fail refused"),    # np=
            ("a@quarantine.test", other, None, "fail junk"),
            ("a@quarantine.test", other, "quarantine.test", "pass inbox"),
            ("a@none.test", other, None, "fail inbox"),
            ("a@strict.test", "a@strict.test", None, "pass inbox"),
            ("a@strict.test", "a@mail.strict.test", None, "fail refused"),
            ("a@mail.strict.test", other, "strict.test", "fail refused"),
            ("a@testing.test", other, None, "fail junk"),
            ("a@two.test", other, None, "none inbox"),
            ("a@two.test", "a@closed.test", None, "none refused"),  # SPF alone
            ("a@none.test", "a@closed.test", None, "fail inbox")):
        data = a_message(sender=author)
        verdict = judge.judge("mx.fwd.test", sender, signed(data, sign) if sign else data)
        assert f"{verdict.dmarc} {verdict.place}" == want, (author, sender, sign, verdict)


def test_signatures(judge):
    data = a_message(sender="a@reject.test")
    good, wrong = signed(data, "reject.test"), signed(data, "reject.test", OTHER_KEY)
    for message, want in ((good, ["pass"]), (wrong, ["fail"]), (good.replace(b"one line", b"two line"), ["fail"]),
                          (good.replace(b"Subject: hello", b"Subject: hallo"), ["fail"]),
                          (signed(data, "nokey.test"), ["fail"]), (signed(wrong, "reject.test"), ["pass", "fail"])):
        verdict = judge.judge("mx.fwd.test", "x@fwd.test", message)
        assert [result for _, result in verdict.dkim] == want, verdict
        assert verdict.place == ("inbox" if "pass" in want else "refused")


def test_tree_walks(judge):
    for start, places, org in (
            ("a.mail.reject.test", ["reject.test"], "reject.test"),
            ("x.cut.reject.test", ["cut.reject.test"], "cut.reject.test"),
            ("x.giant.bank.test", ["giant.bank.test", "bank.test"], "giant.bank.test"),
            ("x.mega.bank.test", ["bank.test"], "mega.bank.test"),
            ("bank.test", ["bank.test"], "bank.test"),
            ("a.b.c.d.e.f.g.h.cut.reject.test", ["cut.reject.test"], "cut.reject.test"),
            ("b.c.d.e.f.g.h.test", ["b.c.d.e.f.g.h.test"], "b.c.d.e.f.g.h.test"),
            ("a.b.c.d.e.f.g.h.test", [], "a.b.c.d.e.f.g.h.test"),   # nine labels jump to seven
            ("nothing.test", [], "nothing.test")):
        found = tree_walk(judge.names, start)
        assert list(found) == places and organization(found, start) == org, start


def test_vouchers(judge):
    broken = signed(a_message(sender="a@reject.test"), "reject.test").replace(b"one line", b"one line, and a footer")
    yes, no = "dmarc=pass header.from=reject.test", "dmarc=fail header.from=reject.test"
    for data, want in ((broken, "refused"), (sealed(broken, "list.test", yes), "inbox"),
                       (sealed(broken, "list.test", no), "refused"), (sealed(broken, "hop.test", yes), "refused"),
                       (sealed(broken, "list.test", "dmarc=pass header.from=other.test"), "refused"),
                       (sealed(broken, "list.test", yes).replace(b"footer", b"virus"), "refused"),
                       (sealed(sealed(broken, "hop.test", yes), "list.test", "arc=pass; " + no), "refused"),
                       (sealed(sealed(broken, "list.test", yes), "list.test", "arc=pass; " + no), "inbox")):
        verdict = judge.judge("mx.fwd.test", "x@fwd.test", data)
        assert verdict.place == want, verdict


def test_it_answers_so(judge, next_hop):
    enforcer = Enforcer(judge)
    hop = next_hop(script=enforcer)
    for author, code in (("a@reject.test", 550), ("a@quarantine.test", 250), ("a@none.test", 250)):
        with Client(hop.port) as client:
            assert client.hello().message("x@fwd.test", "b@dest.test", a_message(sender=author))[0] == code
    assert [message.verdict.place for message in hop.attempts] == ["refused", "junk", "inbox"]
    assert [message.verdict.place for message in hop.wait(2)] == ["junk", "inbox"]
