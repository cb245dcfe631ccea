"""DKIM beside dkimpy: what it signs we verify, what the samples of the RFCs say we say too, and
each way to be wrong has its result. Through dkim_driver, without the daemon."""
import base64
import hashlib
import os
import re
import subprocess

import dkim
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

import harness

DOMAIN = "example.com"
BODY = b"Hello  there, \tall.\r\n\r\n two  blanks \r\nlong " + b"x" * 2000 + b"\r\n\xe4\xf6\xfc\r\n\r\n\r\n"
HEADER = [
    b"Received: from a.example.net (a.example.net [192.0.2.1])\r\n\tby mx.example.com; "
    b"Fri, 11 Jul 2003 21:01:54 -0700\r\n",
    b"From: Alice <alice@example.com>\r\n",
    b"To: bob@example.net\r\n",
    b"Subject:  folded  \r\n\t and   blank \r\n",
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\n",
    b"Message-ID: <1@example.com>\r\n",
]
MESSAGE = b"".join(HEADER) + b"\r\n" + BODY


class Key:
    """A key pair in all the forms needed here."""

    def __init__(self, private, kind):
        self.private = private
        self.kind = kind
        public = private.public_key()
        if kind == "rsa":
            self.pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                             serialization.NoEncryption())
            octets = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        else:
            self.pem = base64.b64encode(private.private_bytes(
                serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()))
            octets = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.p = base64.b64encode(octets).decode()
        self.record = f"v=DKIM1; k={kind}; p={self.p}"

    @property
    def algorithm(self):
        return "rsa-sha256" if self.kind == "rsa" else "ed25519-sha256"

    def sign(self, octets, digest="sha256"):
        if self.kind == "ed25519":
            return self.private.sign(hashlib.sha256(octets).digest())
        return self.private.sign(octets, padding.PKCS1v15(), hashes.SHA1() if digest == "sha1" else hashes.SHA256())


def make_rsa(bits):
    return Key(rsa.generate_private_key(65537, bits), "rsa")


RSA = make_rsa(2048)
ED25519 = Key(ed25519.Ed25519PrivateKey.generate(), "ed25519")
KEYS = {"rsa": RSA, "ed25519": ED25519}


class Verdict:
    def __init__(self, line):
        self.result, self.domain, self.selector, self.algorithm, self.start, testing, self.why = line.split("\t")
        self.is_testing = testing == "testing"

    def __repr__(self):
        return f"<{self.result} d={self.domain} s={self.selector} {self.algorithm} {self.why}>"


def run(message, answers=(), *settings):
    """(names wanted, verdicts). answers: (name, text) pairs."""
    done = subprocess.run([harness.program("dkim_driver"), *settings, *[part for pair in answers for part in pair]],
                          input=message, capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 0, (done.returncode, done.stderr)
    lines = done.stdout.decode().splitlines()
    return ([line[7:] for line in lines if line.startswith("wanted ")],
            [Verdict(line) for line in lines if not line.startswith("wanted ")])


def verify(message, answers=(), *settings):
    """The only verdict."""
    verdicts = run(message, answers, *settings)[1]
    assert len(verdicts) == 1, verdicts
    return verdicts[0]


def key_name(selector="s", domain=DOMAIN):
    return f"{selector}._domainkey.{domain}"


# --- a signer of our own, that can sign what dkimpy would not ---

def relaxed_header(field):
    name, value = field.split(b":", 1)
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip().lower() + b":" + value + b"\r\n"


def relaxed_body(body):
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and lines[-1] == b"":
        lines.pop()
    return b"\r\n".join(lines) + (b"\r\n" if lines else b"")


def sign(key=RSA, body=BODY, header=None, selector="s", domain=DOMAIN, extra="", tags=None, names=None, digest="sha256",
         length=None, break_body=False, break_header=False):
    """A message signed relaxed/relaxed. tags replaces tags by name; None removes one."""
    header = HEADER if header is None else header
    names = ["from", "to", "subject"] if names is None else names
    canonical = relaxed_body(body)
    if length is not None:
        canonical = canonical[:length]
    values = {"v": "1", "a": key.kind + "-" + digest, "c": "relaxed/relaxed", "d": domain, "s": selector,
              "h": ":".join(names), "bh": base64.b64encode(hashlib.new(digest, canonical).digest()).decode()}
    values.update(tags or {})
    text = "; ".join(f"{name}={value}" for name, value in values.items() if value is not None)
    field = f"DKIM-Signature: {text}; {extra}b=".encode()
    left = list(header)
    signed = b""
    for name in names:
        for at in range(len(left) - 1, -1, -1):
            if left[at].split(b":", 1)[0].strip().lower() == name.encode():
                signed += relaxed_header(left.pop(at))
                break
    signature = key.sign(signed + relaxed_header(field)[:-2], digest)
    if break_header:
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    if break_body:
        body = b"x" + body
    return field + base64.b64encode(signature) + b"\r\n" + b"".join(header) + b"\r\n" + body


# --- dkimpy signs, we verify ---

@pytest.mark.parametrize("body", [BODY, b"", b"\r\n\r\n", b"x\r\n", b"x", b" \t \r\n"])
@pytest.mark.parametrize("body_form", [b"simple", b"relaxed"])
@pytest.mark.parametrize("header_form", [b"simple", b"relaxed"])
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_dkimpy_signs(kind, header_form, body_form, body):
    key = KEYS[kind]
    message = b"".join(HEADER) + b"\r\n" + body
    field = dkim.sign(message, b"s", DOMAIN.encode(), key.pem, canonicalize=(header_form, body_form),
                      signature_algorithm=key.algorithm.encode())
    answers = [(key_name(), key.record)]
    verdict = verify(field + message, answers)
    assert (verdict.result, verdict.why) == ("pass", "")
    assert (verdict.domain, verdict.selector, verdict.algorithm) == (DOMAIN, "s", key.algorithm)
    assert re.search(rb"[; \t\n]b=([^;]*)", field).group(1).replace(b"\r\n ", b"").startswith(verdict.start.encode())
    assert verify(field + message, answers, "cut=1").result == "pass"
    assert verify(field + message + b"more\r\n", answers).result == "fail"
    assert verify(field + message.replace(b"Alice", b"Malice"), answers).why == "signature did not verify"


def test_a_nameless_signature_form_is_simple():
    message = sign(tags={"c": "relaxed"}, body=b"x\r\n")
    assert verify(message, [(key_name(), RSA.record)]).result == "pass"


@pytest.mark.parametrize("bits", [1024, 1025, 3072])
def test_other_key_sizes_pass(bits):
    key = make_rsa(bits)
    assert verify(sign(key), [(key_name(), key.record)]).result == "pass"


def lines(text):
    return text.replace("\n", "\r\n").encode()


RFC6376_KEY = ("v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"
               "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi"
               "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB")
DINNER = """From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
"""


def test_sample_of_rfc6376():
    verdict = verify(lines("""DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
        4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
""" + DINNER), [(key_name("brisbane"), RFC6376_KEY)])
    assert (verdict.result, verdict.start) == ("pass", "AuUoFEfD")


def test_samples_of_rfc8463():
    wanted, verdicts = run(lines("""DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
""" + DINNER), [
        (key_name("brisbane", "football.example.com"), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
        (key_name("test", "football.example.com"),
         "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY"
         "/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kr"
         "yOTIKT+l/K4w3QIDAQAB")])
    assert wanted == ["brisbane._domainkey.football.example.com", "test._domainkey.football.example.com"]
    assert [(verdict.result, verdict.algorithm) for verdict in verdicts] == [
        ("pass", "ed25519-sha256"), ("pass", "rsa-sha256")]


# --- each way to be wrong ---

NOW = 1_790_000_000

# what is special: (arguments of sign, result, part of why)
SIGNATURES = {
    "good": ({}, "pass", ""),
    "body changed": ({"break_body": True}, "fail", "body hash did not verify"),
    "signature changed": ({"break_header": True}, "fail", "signature did not verify"),
    "rsa-sha1": ({"digest": "sha1"}, "permerror", "rsa-sha1"),
    "expired": ({"tags": {"x": str(NOW - 301)}}, "fail", "expired"),
    "expired, within the drift": ({"tags": {"x": str(NOW - 299)}}, "pass", ""),
    "x= before t=": ({"tags": {"t": str(NOW), "x": str(NOW - 100)}}, "permerror", ""),
    "x= equals t=": ({"tags": {"t": str(NOW), "x": str(NOW)}}, "permerror", ""),
    "x= negative": ({"tags": {"x": "-1"}}, "permerror", "cannot be read"),
    "t= no number": ({"tags": {"t": "abc"}}, "permerror", "cannot be read"),
    "x= the largest number": ({"tags": {"x": str(2**64 - 1)}}, "permerror", ""),
    "t= in the future": ({"tags": {"t": str(NOW + 301)}}, "permerror", "future"),
    "t= in the future, within the drift": ({"tags": {"t": str(NOW + 299)}}, "pass", ""),
    "t= at the beginning of time": ({"tags": {"t": "100"}}, "permerror", ""),
    "l= larger than the body": ({"extra": "l=99999999; "}, "permerror", "exceeds"),
    "l= negative": ({"extra": "l=-1; "}, "permerror", ""),
    "l= over 2^64": ({"extra": f"l={2**64}; "}, "permerror", ""),
    "l= read as negative": ({"extra": f"l={2**63}; "}, "policy", "l="),
    "l=0": ({"extra": "l=0; ", "length": 0}, "policy", "l="),
    "l=5": ({"extra": "l=5; ", "length": 5}, "policy", "l="),
    "l= of all of the body": ({"extra": f"l={len(relaxed_body(BODY))}; "}, "pass", ""),
    "l= of all but one": ({"extra": f"l={len(relaxed_body(BODY)) - 1}; ", "length": len(relaxed_body(BODY)) - 1}, "policy", "l="),
    "unknown version": ({"tags": {"v": "2"}}, "permerror", ""),
    "no version": ({"tags": {"v": None}}, "permerror", ""),
    "unknown algorithm": ({"tags": {"a": "rsa-sha512"}}, "permerror", ""),
    "no algorithm": ({"tags": {"a": None}}, "permerror", ""),
    "unknown form of header": ({"tags": {"c": "lax/relaxed"}}, "permerror", ""),
    "unknown form of body": ({"tags": {"c": "relaxed/lax"}}, "permerror", ""),
    "no h=": ({"tags": {"h": None}}, "permerror", ""),
    "empty h=": ({"tags": {"h": ""}}, "permerror", ""),
    "From not signed": ({"names": ["to", "subject"]}, "permerror", ""),
    "no d=": ({"tags": {"d": None}}, "permerror", ""),
    "empty d=": ({"tags": {"d": ""}}, "permerror", ""),
    "no s=": ({"tags": {"s": None}}, "permerror", ""),
    "empty s=": ({"tags": {"s": ""}}, "permerror", ""),
    "no bh=": ({"tags": {"bh": None}}, "permerror", ""),
    "empty bh=": ({"tags": {"bh": ""}}, "permerror", ""),
    "i= of another domain": ({"extra": "i=a@example.net; "}, "permerror", ""),
    "i= of a subdomain": ({"extra": "i=a@mail.example.com; "}, "pass", ""),
    "unknown q=": ({"extra": "q=ldap; "}, "pass", ""),
    "quote in d=": ({"tags": {"d": 'ex.test"x'}}, "permerror", ""),
    "slash in d=": ({"tags": {"d": "ex/te.st"}}, "permerror", ""),
    "path in s=": ({"tags": {"s": "../x"}}, "permerror", "host name"),
    "quote in s=": ({"tags": {"s": 'r"x'}}, "permerror", "host name"),
    "comment in s=": ({"tags": {"s": "r(x)"}}, "permerror", "host name"),
    "empty label in s=": ({"tags": {"s": "a..b"}}, "permerror", "host name"),
    "label too long": ({"tags": {"s": "a" * 64}}, "permerror", "host name"),
    "name too long": ({"tags": {"s": ".".join(["a" * 60] * 4)}}, "permerror", "host name"),
    "last dot in d=": ({"tags": {"d": "example.com."}}, "permerror", "host name"),
    "no tag at all": ({"tags": dict.fromkeys(["v", "a", "c", "d", "s", "h", "bh"])}, "permerror", ""),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_signature(case):
    arguments, result, why = SIGNATURES[case]
    verdict = verify(sign(**arguments), [(key_name(), RSA.record)], f"now={NOW}")
    assert verdict.result == result and why in verdict.why, verdict
    assert (verdict.why == "") == (result == "pass")
    assert re.fullmatch(r"[A-Za-z0-9._-]*", verdict.domain) and re.fullmatch(r"[A-Za-z0-9._-]*", verdict.selector)


P = RSA.p
# what is special: (records or a status, result, part of why)
RECORDS = {
    "no such name": ("!nxdomain", "permerror", "not found"),
    "no such record": ("!nodata", "permerror", "not found"),
    "no answer": ("!tempfail", "temperror", "no answer"),
    "never asked": (None, "temperror", "no answer"),
    "revoked": ("v=DKIM1; p=", "permerror", "revoked"),
    "without v=": (f"p={P}", "pass", ""),
    "v= last": (f"p={P}; v=DKIM1", "pass", ""),
    "g=": (f"v=DKIM1; g=*; p={P}", "pass", ""),
    "another version": (f"v=DKIM2; p={P}", "permerror", ""),
    "not for mail": (f"v=DKIM1; s=web; p={P}", "permerror", ""),
    "for all services": (f"v=DKIM1; s=web:*; p={P}", "pass", ""),
    "another hash": (f"v=DKIM1; h=sha1; p={P}", "permerror", ""),
    "both hashes": (f"v=DKIM1; h=sha1:sha256; p={P}", "pass", ""),
    "unknown key type": (f"v=DKIM1; k=dsa; p={P}", "permerror", ""),
    "another key type": (f"v=DKIM1; k=ed25519; p={P}", "permerror", ""),
    "garbage": ("garbage", "permerror", ""),
    "empty": ("", "permerror", ""),
    "p= no base64": ("v=DKIM1; p=!!!", "permerror", ""),
    "p= no key": ("v=DKIM1; p=" + base64.b64encode(b"nothing").decode(), "permerror", ""),
    "no p=": ("v=DKIM1; k=rsa", "permerror", ""),
    "another key": (make_rsa(1024).record, "fail", ""),
    "two records": ([RSA.record, RSA.record], "permerror", "not one"),
    "1,024 octets": (RSA.record + "; n=" + "x" * (1024 - len(RSA.record) - 4), "pass", ""),
    "1,025 octets": (RSA.record + "; n=" + "x" * (1025 - len(RSA.record) - 4), "permerror", "too long"),
    "10,000 octets": (RSA.record + "; n=" + "x" * 10000, "permerror", "too long"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_key_record(case):
    records, result, why = RECORDS[case]
    records = [records] if isinstance(records, str) else records or []
    verdict = verify(sign(), [(key_name(), record) for record in records])
    assert verdict.result == result and why in verdict.why, verdict
    assert (verdict.domain, verdict.selector, verdict.algorithm) == (DOMAIN, "s", "rsa-sha256")


@pytest.mark.parametrize("bits", [512, 768, 1017, 1023])
def test_weak_key(bits):
    key = make_rsa(bits)
    verdict = verify(sign(key), [(key_name(), key.record)])
    assert verdict.result == "policy" and "too small" in verdict.why, verdict


def test_testing_key():
    verdict = verify(sign(), [(key_name(), f"v=DKIM1; t=y; p={P}")])
    assert (verdict.result, verdict.is_testing) == ("pass", True)
    assert not verify(sign(), [(key_name(), RSA.record)]).is_testing


def test_key_that_allows_no_subdomain():
    answers = [(key_name(), f"v=DKIM1; t=s; p={P}")]
    assert verify(sign(extra="i=a@mail.example.com; "), answers).result == "permerror"
    assert verify(sign(extra="i=a@example.com; "), answers).result == "pass"


def test_ed25519_key_must_say_so():
    assert verify(sign(ED25519), [(key_name(), f"v=DKIM1; p={ED25519.p}")]).result == "permerror"
    assert verify(sign(ED25519), [(key_name(), ED25519.record)]).result == "pass"


# --- several signatures ---

def add_signatures(count, message=None, **arguments):
    """Signatures of different selectors on top of each other: s0 below, the last one on top."""
    message = message or MESSAGE
    fields = []
    for number in range(count):
        signed = sign(selector=f"s{number}", **arguments)
        fields.append(signed[:signed.index(b"\r\n") + 2])
    return b"".join(reversed(fields)) + message


def test_signatures_are_judged_one_by_one():
    broken = sign(selector="broken", break_header=True)
    field = broken[:broken.index(b"\r\n") + 2]
    _, verdicts = run(field + add_signatures(3), [(key_name("s0"), RSA.record), (key_name("s1"), "!tempfail"),
                                                  (key_name("s2"), "!nxdomain"), (key_name("broken"), RSA.record)])
    assert [(v.selector, v.result) for v in verdicts] == [
        ("broken", "fail"), ("s2", "permerror"), ("s1", "temperror"), ("s0", "pass")]


def test_same_key_twice_is_asked_once():
    message = sign()
    field = message[:message.index(b"\r\n") + 2]
    wanted, verdicts = run(field + message, [(key_name(), RSA.record)])
    assert wanted == [key_name()]
    assert [v.result for v in verdicts] == ["pass", "pass"]


def test_only_the_first_eight_are_tried():
    wanted, verdicts = run(add_signatures(12), [(key_name(f"s{n}"), RSA.record) for n in range(12)])
    assert [v.selector for v in verdicts] == [f"s{n}" for n in range(11, 3, -1)]
    assert len(wanted) == 8 and {v.result for v in verdicts} == {"pass"}


def test_a_giant_signature_does_not_hurt_the_others():
    giant = b"DKIM-Signature: v=1; z=" + b"x" * 100_000 + b"\r\n"
    _, verdicts = run(giant + sign(), [(key_name(), RSA.record)])
    assert [v.result for v in verdicts] == ["neutral", "pass"]


def test_different_lengths_are_limited():
    fields = []
    for number in range(5):
        signed = sign(selector=f"s{number}", extra=f"l={number}; ", length=number)
        fields.append(signed[:signed.index(b"\r\n") + 2])
    wanted, verdicts = run(b"".join(fields) + sign(), [(key_name(f"s{n}"), RSA.record) for n in range(5)]
                           + [(key_name(), RSA.record)])
    assert [v.result for v in verdicts] == ["policy", "policy", "neutral", "neutral", "neutral", "pass"]
    assert len(wanted) == 3


def test_text_behind_a_signed_length():
    body = b"signed\r\n"
    message = sign(body=body, extra=f"l={len(body)}; ")
    assert verify(message, [(key_name(), RSA.record)]).result == "pass"
    assert verify(message + b"and a footer\r\n", [(key_name(), RSA.record)]).result == "policy"
    assert verify(message + b"\r\n\r\n", [(key_name(), RSA.record)]).result == "pass"


# --- headers made to hurt ---

@pytest.mark.parametrize("count", range(1, 12))
def test_every_field_signed_and_one_more(count):
    """The library writes behind its array then; without room there the process dies."""
    others = [b"X-%d: y\r\n" % number for number in range(count)]
    names = ["from", *[f"x-{number}" for number in range(count)], "dkim-signature", "subject"]
    message = sign(header=[HEADER[1], *others], names=names)
    assert verify(message, [(key_name(), RSA.record)]).result in ("pass", "fail")


HEADERS = {
    "NUL": ([HEADER[1], b"Subject: x\0EVIL\r\n"], "NUL"),
    "bare CR": ([HEADER[1], b"Subject: x\rEVIL: y\r\n"], "bare"),
    "bare LF": ([HEADER[1], b"Subject: x\nEVIL: y\r\n"], "bare"),
    "1,001 fields": ([HEADER[1], *[b"X: y\r\n"] * 1000], "too many"),
    "over 256 KB": ([HEADER[1], *[b"X: " + b"y" * 990 + b"\r\n"] * 270], "too long"),
    "no From": ([HEADER[2]], "From"),
    "From is an empty group": ([b"From: friends:;\r\n"], "From"),
    "From is empty": ([b"From: \r\n"], "From"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header(case):
    header, why = HEADERS[case]
    message = sign(header=header)
    verdict = verify(message, [(key_name(), RSA.record)])
    assert verdict.result == "permerror" and why in verdict.why, verdict


ODD_HEADERS = {
    "two From fields": [HEADER[1], b"From: mallory@example.net\r\n"],
    "blank before the colon": [b"From : a@example.com\r\n", b"To  : b@example.net\r\n"],
    "field of nothing": [HEADER[1], b"X:\r\n", b"Y: \r\n \t\r\n"],
    "field of 100 KB": [HEADER[1], b"To: " + b"x" * 100_000 + b"\r\n"],
    "8-bit": [HEADER[1], b"Subject: \xe4\xff\x80 caf\xc3\xa9\r\n"],
    "1,000 fields": [HEADER[1], *[b"X: y\r\n"] * 998],
    "controls": [HEADER[1], b"Subject: \x01 \x1b \x7f\r\n"],
}


@pytest.mark.parametrize("case", ODD_HEADERS)
def test_odd_header_passes(case):
    message = sign(header=ODD_HEADERS[case])
    assert verify(message, [(key_name(), RSA.record)]).result == "pass"


@pytest.mark.parametrize("field", [b"To\t: x\r\n", b"Subject: x\x0by\r\n", b"Subject: x\x0cy\r\n"])
def test_what_the_library_reads_in_its_own_way(field):
    """TAB before the colon, VT and FF: not as RFC 6376 says, but on the safe side."""
    assert verify(sign(header=[HEADER[1], field]), [(key_name(), RSA.record)]).result == "fail"


def test_not_signed():
    assert run(MESSAGE) == ([], [])
    assert run(b"") == ([], [])
    assert run(b"\r\n" + MESSAGE) == ([], [])


def test_header_only():
    message = sign(body=b"")
    assert message.endswith(b"\r\n\r\n")
    assert verify(message, [(key_name(), RSA.record)]).result == "pass"
    assert verify(message[:-2], [(key_name(), RSA.record)]).result == "pass"


def cpu_seconds(message, answers):
    start = os.times()
    run(message, answers)
    end = os.times()
    return end.children_user + end.children_system - start.children_user - start.children_system


def test_floods_stay_cheap():
    body = (b"x" * 70 + b"\r\n") * 70_000  # 5 MB
    plain = cpu_seconds(sign(body=body), [(key_name(), RSA.record)])
    fields = []
    for number in range(100):
        signed = sign(selector=f"s{number}", extra=f"l={number + 1}; ", length=number + 1)
        fields.append(signed[:signed.index(b"\r\n") + 2])
    answers = [(key_name(f"s{n}"), RSA.record) for n in range(8)]
    flood = cpu_seconds(b"".join(fields) + b"".join(HEADER) + b"\r\n" + body, answers)
    assert flood < 6 * plain + 0.2, (flood, plain)
    names = ["from"] + ["x"] * 1500
    fields = []
    for number in range(8):
        signed = sign(selector=f"s{number}", header=ODD_HEADERS["1,000 fields"], names=names)
        fields.append(signed[:signed.index(b"\r\n") + 2])
    wide = b"".join(fields) + b"".join(ODD_HEADERS["1,000 fields"][:-10]) + b"\r\n" + BODY
    assert cpu_seconds(wide, answers) < 1
