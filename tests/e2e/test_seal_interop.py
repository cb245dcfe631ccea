"""Our signatures beside dkimpy: what we sign it verifies, chains that both seal in turns pass, and a chain
that broke is closed by a seal over our own set. Through seal_driver, without the daemon."""
import base64
import random
import re
import subprocess

import dkim
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

import harness

NOW = 1_790_000_000
DOMAIN = "fwd.example.org"
RESULTS = "mx.example.org; spf=pass smtp.mailfrom=a@author.example;\r\n\tdmarc=pass header.from=author.example"
MESSAGE = (b"Received: from a.example.net (a.example.net [192.0.2.1])\r\n\tby mx.example.org; "
           b"Fri, 11 Jul 2003 21:01:54 -0700\r\nFrom: Alice <alice@author.example>\r\nTo: bob@example.net\r\n"
           b"Subject:  folded  \r\n\t and   blank \r\nDate: Fri, 11 Jul 2003 21:00:37 -0700\r\n"
           b"Message-ID: <1@author.example>\r\nMIME-Version: 1.0\r\nReferences: <0@author.example>\r\n\r\n"
           b"Hello  there, \tall.\r\n\r\n two  blanks \r\nlong " + b"x" * 2000 + b"\r\n\xe4\xf6\xfc\r\n\r\n\r\n")


class Key:
    """A key pair: the PEM that we read, and the record in DNS."""

    def __init__(self, private, kind):
        self.public = private.public_key()
        self.pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption())
        if kind == "rsa":
            octets = self.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        else:
            octets = self.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.record = f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode()}"


RSA = Key(rsa.generate_private_key(65537, 2048), "rsa")
OTHER = Key(rsa.generate_private_key(65537, 2048), "rsa")
ED25519 = Key(ed25519.Ed25519PrivateKey.generate(), "ed25519")
RECORDS = {f"r._domainkey.{DOMAIN}": RSA.record, f"e._domainkey.{DOMAIN}": ED25519.record,
           "arc._domainkey.other.example": OTHER.record}


def dnsfunc(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    record = RECORDS.get(name.rstrip("."))
    return record and record.encode()


@pytest.fixture(scope="module")
def key_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name, key in (("r", RSA), ("e", ED25519)):
        (folder / name).write_bytes(key.pem)
    return {name: f"key={name}:{folder / name}" for name in "re"}


def seal(message, key_files, add, keys="r", records=None):
    """The message with our fields on top."""
    records = RECORDS if records is None else records
    done = subprocess.run([harness.program("seal_driver"), f"domain={DOMAIN}", f"now={NOW}", f"add={add}",
                           f"results={RESULTS}", *[key_files[key] for key in keys],
                           *[part for pair in records.items() for part in pair]],
                          input=message, capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout.endswith(message)
    return done.stdout


def verify_dkim(message, index=0):
    try:
        return dkim.DKIM(message).verify(idx=index, dnsfunc=dnsfunc)
    except dkim.ValidationError:
        return False


def verify_arc(message):
    return dkim.arc_verify(message, dnsfunc=dnsfunc)[0]


# --- DKIM ---

@pytest.mark.parametrize("body", [b"", b"\r\n\r\n", b"x\r\n", b"x", b" \t \r\n", b"a \r\n\r\n b\t\tc\r\n \r\n"])
@pytest.mark.parametrize("keys", ["r", "e", "re", "er"])
def test_dkimpy_verifies_our_signatures(key_files, keys, body):
    message = seal(MESSAGE.split(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, key_files, "dkim", keys)
    assert message.count(b"DKIM-Signature:") == len(keys)
    for index in range(len(keys)):
        assert verify_dkim(message, index), message


def test_what_is_added_or_changed_breaks_them(key_files):
    message = seal(MESSAGE, key_files, "dkim", "re")
    assert verify_dkim(b"X-Anything: x\r\nReceived: y\r\n" + message)
    for name in (b"From", b"Subject", b"To", b"Date", b"Message-ID"):
        for index in range(2):
            assert not verify_dkim(name + b": x@example.com\r\n" + message, index)
    assert not verify_dkim(message + b"more\r\n")
    assert not verify_dkim(message.replace(b"1.0", b"2.0"))
    assert not verify_dkim(message.replace(b"<0@", b"<1@"))


# --- random messages ---

WORDS = [b"word", b"a", "ü".encode(), b"\xe4\xf6", b":", b"; b=x", b"<1@example>", b'"q"', b"z" * 1200]
GAPS = [b" ", b"  ", b"\t", b"\r\n ", b"\r\n\t", b" \r\n\t "]
NAMES = [b"Subject", b"TO", b"date", b"Message-ID", b"Cc", b"cc", b"Reply-To", b"MIME-Version", b"Content-Type", b"Received",
         b"X-Anything", b"References", b"List-Id"]
PARTS = [b"\r\n", b"\r\n", b" ", b"\t", b"  ", b"text", b"\xff\xfe", b".", b"\r\n\r\n", b"L" * 3000]


def random_message(chance):
    fields = [b"From: \"Ann\"\r\n <ann@author.example>\r\n"]
    for _ in range(chance.randrange(14)):
        value = b"".join(chance.choice(GAPS) + chance.choice(WORDS) for _ in range(chance.randrange(8)))
        fields.append(chance.choice(NAMES) + b":" + value + b"\r\n")
    chance.shuffle(fields)
    body = b"".join(chance.choice(PARTS) for _ in range(chance.choice([0, 5, 50])))
    return b"".join(fields) + b"\r\n" + body + (b"\r\n" if body else b"") + b"\r\n" * chance.randrange(3)


@pytest.mark.parametrize("number", range(25))
def test_random_messages(key_files, number):
    chance = random.Random(number)
    message = seal(random_message(chance), key_files, "both", "re")
    assert verify_dkim(message, 0) and verify_dkim(message, 1), message
    assert verify_arc(message) == b"pass", message
    end = message.index(b"\r\n\r\n") + 4
    start = message.index(b"<ann@")
    for place in [start + 1] + [chance.randrange(end, len(message)) for _ in range(6 if end < len(message) else 0)]:
        if message[place] in b" \t\r\n":
            continue
        changed = message[:place] + (b"Y" if message[place] == ord("Z") else b"Z") + message[place + 1:]
        assert not verify_dkim(changed, 0) and not verify_dkim(changed, 1), (place, message)
        assert verify_arc(changed) != b"pass", (place, message)


# --- chains ---

def dkimpy_seal(message, cv):
    pytest.importorskip("authres", reason="dkimpy needs it to seal")
    results = f"Authentication-Results: other.example; arc={cv}; dmarc=pass header.from=author.example\r\n".encode()
    private = serialization.load_pem_private_key(OTHER.pem, None)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    lines = dkim.arc_sign(results + message, b"arc", b"other.example", pem, b"other.example", timestamp=NOW)
    assert lines, "dkimpy did not seal"
    return b"".join(lines) + message



def alternate(key_files, count, ours_first):
    message = MESSAGE
    for instance in range(1, count + 1):
        if (instance % 2 == 1) == ours_first:
            message = seal(message, key_files, "arc")
        else:
            message = dkimpy_seal(message, "none" if instance == 1 else "pass")
    return message


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_chains_sealed_in_turns_pass(key_files, count, ours_first):
    message = alternate(key_files, count, ours_first)
    result, sets, why = dkim.arc_verify(message, dnsfunc=dnsfunc)
    assert result == b"pass", (result, sets, why)
    assert len(sets) == count
    assert re.search(rb"^ARC-Seal: i=%d;|^ARC-Seal: .*i=%d;" % (count, count), message)
    if count == 50:
        assert seal(message, key_files, "arc") == message, "a full chain gets nothing"


def relaxed(field):
    name, value = field.split(b":", 1)
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip().lower() + b":" + value + b"\r\n"


def fields_of(message):
    return re.findall(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", message[:message.index(b"\r\n\r\n") + 2])


def seal_covers(covered, own_seal):
    """Is the signature of this ARC-Seal one over the covered fields and itself?"""
    before, value = re.fullmatch(rb"(.*;\s+b=)(.*)", own_seal, re.DOTALL).groups()
    try:
        RSA.public.verify(base64.b64decode(re.sub(rb"\s", b"", value)),
                          b"".join(map(relaxed, covered)) + relaxed(before)[:-2],
                          padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_passing_chain_is_covered_whole(key_files, count):
    message = alternate(key_files, count, count % 2 == 1)
    sets = fields_of(message)[:3 * count]
    in_order = [field for first in range(3 * count - 3, -1, -3) for field in reversed(sets[first:first + 3])]
    # dkimpy writes its sets in the same order: seal, signature, results.
    assert [field.split(b":")[0] for field in in_order[:3]] == [
        b"ARC-Authentication-Results", b"ARC-Message-Signature", b"ARC-Seal"]
    assert seal_covers(in_order[:-1], in_order[-1])
    assert re.search(rb"cv=none;" if count == 1 else rb"cv=pass;", in_order[-1])


def breakages(message):
    yield "body", message + b"changed\r\n"
    yield "signed field", message.replace(b"Alice", b"Malice")
    fields = fields_of(message)
    yield "no seal of 1", message.replace(fields[3], b"")
    yield "no results of 2", message.replace(fields[2], b"")
    yield "a set twice", fields[0] + message


@pytest.mark.parametrize("place", ["body", "signed field", "no seal of 1", "no results of 2", "a set twice"])
def test_a_broken_chain_is_closed_by_our_set_alone(key_files, place):
    broken = dict(breakages(alternate(key_files, 2, True)))[place]
    message = seal(broken, key_files, "arc")
    own_seal, signature, results = fields_of(message)[:3]
    assert re.match(rb"ARC-Seal: i=3; .*cv=fail;", own_seal, re.DOTALL), own_seal
    assert results == b"ARC-Authentication-Results: i=3;\r\n\t" + RESULTS.encode() + b"\r\n" or (
        results == b"ARC-Authentication-Results: i=3; " + RESULTS.encode() + b"\r\n")
    assert seal_covers([results, signature], own_seal)
    assert verify_arc(message) != b"pass"
    assert seal(message, key_files, "arc") == message, "a closed chain gets nothing more"


def test_closed_by_another(key_files):
    message = dkimpy_seal(seal(MESSAGE, key_files, "arc") + b"changed\r\n", "fail")
    assert seal(message, key_files, "arc") == message


def test_a_chain_that_cannot_be_known_gets_nothing(key_files):
    message = dkimpy_seal(MESSAGE, "none")
    records = {**RECORDS, "arc._domainkey.other.example": "!tempfail"}
    assert seal(message, key_files, "arc", records=records) == message


def test_without_an_rsa_key_there_is_no_set(key_files):
    assert seal(MESSAGE, key_files, "arc", "e") == MESSAGE
    both = seal(MESSAGE, key_files, "both", "er")
    assert verify_arc(both) == b"pass" and b"ARC-Seal: i=1; a=rsa-sha256" in both
