"""ARC beside dkimpy: chains it seals pass with us, and broken at any place they fail. Through arc_driver,
without the daemon."""
import re
import subprocess

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import harness

pytest.importorskip("authres", reason="dkimpy needs it to seal")

NOW = 1_790_000_000
BODY = b"Hello  there, \tall.\r\n\r\n two  blanks \r\nlong " + b"x" * 2000 + b"\r\n\xe4\xf6\xfc\r\n\r\n\r\n"
MESSAGE = (b"From: Alice <alice@author.example>\r\nTo: bob@example.net\r\nSubject:  folded  \r\n\t and   blank \r\n"
           b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@author.example>\r\n\r\n" + BODY)


def make_key():
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    octets = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, "v=DKIM1; k=rsa; p=" + "".join(octets.decode().splitlines()[1:-1])


PEM, RECORD = make_key()


def domain_of(instance):
    return f"hop{instance % 5}.example"


ANSWERS = [(f"arc._domainkey.{domain_of(number)}", RECORD) for number in range(5)]


def seal(message, instance, cv=None):
    """The message with one more set on top, by dkimpy."""
    domain = domain_of(instance)
    cv = cv or ("none" if instance == 1 else "pass")
    results = f"Authentication-Results: {domain}; arc={cv}; dmarc=pass header.from=author.example\r\n".encode()
    lines = dkim.arc_sign(results + message, b"arc", domain.encode(), PEM, domain.encode(), timestamp=NOW)
    assert lines, "dkimpy did not seal"
    return b"".join(lines) + message


def chain(count):
    message = MESSAGE
    for instance in range(1, count + 1):
        message = seal(message, instance)
    return message


CHAINS = {count: chain(count) for count in (1, 2, 3)}


class Verdict:
    def __init__(self, lines):
        self.wanted = [line[7:] for line in lines if line.startswith("wanted ")]
        self.sealers = [line[7:] for line in lines if line.startswith("sealer ")]
        self.result, newest, closed, self.voucher, self.why = lines[-1].split("\t")
        self.newest = int(newest)
        self.is_closed = closed == "closed"

    def __repr__(self):
        return f"<{self.result} i={self.newest} {self.why}>"


def run(message, *settings, answers=ANSWERS):
    done = subprocess.run([harness.program("arc_driver"), f"now={NOW}", *settings,
                           *[part for pair in answers for part in pair]],
                          input=message, capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return Verdict(done.stdout.decode().splitlines())


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_chain_of_dkimpy_passes(count):
    message = CHAINS.get(count) or chain(count)
    verdict = run(message)
    assert verdict.result == "pass" and verdict.why == "", verdict
    assert verdict.newest == count and not verdict.is_closed
    assert verdict.sealers == [f"{number} {domain_of(number)} arc" for number in range(1, count + 1)]
    assert sorted(verdict.wanted) == sorted({f"arc._domainkey.{domain_of(number)}" for number in range(1, count + 1)})
    assert run(message, "cut=1").result == "pass"


def test_without_a_chain():
    verdict = run(MESSAGE)
    assert (verdict.result, verdict.newest, verdict.wanted) == ("none", 0, [])


def test_dkimpy_says_the_same():
    records = {name + ".": record for name, record in ANSWERS}
    for message in CHAINS.values():
        assert dkim.arc_verify(message, dnsfunc=lambda name, timeout=5: records[name.decode()].encode())[0] == b"pass"


# --- broken at each place ---

def change(octet):
    """Another octet of the same kind, so that what was broken is a value, not its form."""
    if octet in b"0123456789":
        return b"0123456789"[(octet - 47) % 10]
    if chr(octet).isalpha() and octet < 128:
        return octet ^ 1 if chr(octet ^ 1).isalpha() else octet ^ 2
    return ord("#")


def signed_end(message):
    return message.index(b"\r\n\r\n") + 4


def places():
    """(name, position) in the chain of three: some octets of every field and of the body."""
    message, found = CHAINS[3], []
    position, number = 0, 0
    for line in re.findall(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", message[:signed_end(message) - 2]):
        name = line.split(b":")[0].decode()
        start = len(name) + 2
        for share in (0.0, 0.35, 0.7):
            at = start + int((len(line) - start - 3) * share)
            while line[at] in b" \t\r\n":
                at -= 1
            found.append((f"{number}-{name}-{share}", position + at))
        position += len(line)
        number += 1
    body = signed_end(message)
    return found + [("body", body), ("body-middle", body + 900), ("body-end", len(message) - 10)]


# Older message signatures are not verified, but the seals above hold them.
@pytest.mark.parametrize("place", places(), ids=lambda place: place[0])
def test_broken_chain_fails(place):
    message = bytearray(CHAINS[3])
    message[place[1]] = change(message[place[1]])
    assert run(bytes(message)).result == "fail", bytes(message[max(0, place[1] - 20):place[1] + 20])


@pytest.mark.parametrize("index", range(9))
def test_chain_without_one_field_fails(index):
    message = CHAINS[3]
    header = message[:signed_end(message) - 2]
    fields = re.findall(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", header)
    of_arc = [number for number, field in enumerate(fields) if field.startswith(b"ARC-")]
    del fields[of_arc[index]]
    verdict = run(b"".join(fields) + b"\r\n" + BODY)
    assert (verdict.result, verdict.why) == ("fail", "an ARC set is not complete"), verdict
    assert verdict.wanted == []


def test_chain_cut_from_the_top_passes_as_what_it_is():
    """Whoever takes the newest sets away whole leaves an older chain: that is how ARC is."""
    message = CHAINS[3]
    second = message[[m.start() for m in re.finditer(rb"^ARC-Seal: i=2", message, re.M)][0]:]
    verdict = run(second)
    assert (verdict.result, verdict.newest) == ("pass", 2), verdict


def test_closed_chain():
    verdict = run(seal(CHAINS[2], 3, cv="fail"))
    assert (verdict.result, verdict.newest, verdict.is_closed) == ("fail", 3, True), verdict


def test_51st_set_fails():
    message = re.sub(rb"^(ARC-[A-Za-z-]+: i)=3;", rb"\1=51;", CHAINS[3], flags=re.M)
    verdict = run(message)
    assert verdict.result == "fail" and verdict.why == "more ARC sets than allowed", verdict


# --- keys and trust ---

@pytest.mark.parametrize("answer, result, why", [
    ("!nxdomain", "fail", "key not found"),
    ("!nodata", "fail", "key not found"),
    ("!tempfail", "temperror", "no answer for a key"),
    (None, "temperror", "no answer for a key"),
    ("v=DKIM1; p=", "fail", "key revoked"),
    ("v=spf1 -all", "fail", "no DKIM key record"),
    (make_key()[1], "fail", "a seal did not verify"),
])
def test_key_of_the_first_sealer(answer, result, why):
    answers = [pair for pair in ANSWERS if pair[0] != f"arc._domainkey.{domain_of(1)}"]
    answers += [(f"arc._domainkey.{domain_of(1)}", answer)] if answer is not None else []
    verdict = run(CHAINS[3], answers=answers)
    assert (verdict.result, verdict.why) == (result, why), verdict


def test_who_vouches():
    assert run(CHAINS[1], "author=author.example", "trust=hop1.example").voucher == "hop1.example"
    assert run(CHAINS[1], "author=AUTHOR.example", "trust=hop1.example").voucher == "hop1.example"
    assert run(CHAINS[1], "author=other.example", "trust=hop1.example").voucher == ""
    assert run(CHAINS[2], "author=author.example", "trust=hop1.example").voucher == "", "the newest is not trusted"
    assert run(CHAINS[2], "author=author.example", "trust=hop2.example").voucher == "hop2.example"
