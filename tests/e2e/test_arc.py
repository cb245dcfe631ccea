"""ARC and our own signatures through the running daemon, beside dkimpy: the chains it makes we validate,
the sets and signatures we make it verifies."""
import base64
import json
import re

import dkim
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from dkim.canonicalization import Relaxed

import harness
from enforcing_hop import CLIENT, Enforcer, Judge, resolver_port
from harness import Client, a_message, wait_until
from test_dkim_interop import Key, make_rsa
from test_real_peers import exim, sink  # noqa: F401 (fixtures)

HERE = "127.0.0.1"
AUTHOR, OURS, OTHER = make_rsa(2048), make_rsa(2048), make_rsa(2048)
OURS_ED = Key(ed25519.Ed25519PrivateKey.generate(), "ed25519")
SEALERS = ["one.test", "two.test", "three.test"]
SEALER = make_rsa(1024)


def txt(text):
    return [("TXT", text)]


ZONE = {
    "sender.test": [*txt(f"v=spf1 ip4:{HERE} -all"), ("MX", "10 mx.sender.test.")],
    "_dmarc.sender.test": txt("v=DMARC1; p=none"),
    "s._domainkey.sender.test": txt(AUTHOR.record),
    **{f"s._domainkey.{name}": txt(SEALER.record) for name in (*SEALERS, *(f"n{i}.many.test" for i in range(12)))},
    "srs.fwd.test": txt(f"v=spf1 ip4:{CLIENT} -all"),
    "mx.fwd.test": txt(f"v=spf1 ip4:{CLIENT} -all"),
    "seal._domainkey.fwd.test": txt(OURS.record),
    "ed._domainkey.fwd.test": txt(OURS_ED.record),
}

ODD = (b"Received: from a (b [192.0.2.1])\r\n\tby c; Sat, 21 Nov 2026 11:00:00 +0000\r\n"
       b"X-Folded:  one \r\n\t two\r\n  three \t\r\nFrom: =?utf-8?q?Anna?= <anna@sender.test>\r\n"
       b"To: info@fwd.test\r\nSubject: raw \xf0\xd2\xc9\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
       b"Message-ID: <odd@sender.test>\r\nX-Long: " + b"y" * 1500 + b"\r\n\r\n.\r\n..\r\n \t trailing \t \r\n"
       + b"\xe4" * 1200 + b"\r\n\r\n\r\n")


def write_key(path, key):
    path.write_bytes(key.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
    path.chmod(0o600)
    return path


def seal(tmp_path, arc="yes", sign="no", keys=(("seal", OURS),)):
    pairs = "\n".join(f"selector {selector}\n key-file {write_key(tmp_path / selector, key)}" for selector, key in keys)
    return f"seal {{\n domain fwd.test\n {pairs}\n arc {arc}\n dkim {sign}\n}}\n"


def signed(data):
    return dkim.sign(data, b"s", b"sender.test", AUTHOR.pem, include_headers=[b"from", b"to", b"subject"]) + data


def add_set(data, number, domain, results=None, key=SEALER):
    """One more set, as the host mxN of a domain makes it."""
    name = f"mx{number}.{domain}"
    results = results or ("arc=pass; " if number > 1 else "") + "dkim=pass header.d=sender.test"
    data = f"Authentication-Results: {name}; {results}\r\n".encode() + data
    found = dkim.arc_sign(data, b"s", domain.encode(), key.pem, name.encode())
    assert len(found) == 3, found
    return b"".join(found) + data


def chain(count, data=None, domains=SEALERS):
    data = data or signed(a_message())
    for number in range(1, count + 1):
        data = add_set(data, number, domains[(number - 1) % len(domains)])
    return data


@pytest.fixture(scope="module")
def chains():
    return {count: chain(count) for count in (1, 2, 3)}


def arc_sets(data):
    """{instance: {"AAR": [field], "AMS": [field], "AS": [field]}}, fields whole, without the last CRLF."""
    names = {b"arc-authentication-results": "AAR", b"arc-message-signature": "AMS", b"arc-seal": "AS"}
    found = {}
    for field in re.split(rb"\r\n(?![ \t])", data.split(b"\r\n\r\n", 1)[0]):
        name = names.get(field.split(b":")[0].strip().lower())
        if name:
            instance = int(re.search(rb"[:;\s]i\s*=\s*(\d+)", field).group(1))
            found.setdefault(instance, {"AAR": [], "AMS": [], "AS": []})[name].append(field)
    return found


def tags(field):
    value = re.sub(rb"\s+", b"", field.split(b":", 1)[1])
    return dict(tag.split(b"=", 1) for tag in value.split(b";") if tag)


def seal_covers(data, instance, others):
    """Does the seal of one set verify over exactly these sets and its own? By hand: dkimpy has no word
    for it."""
    sets = arc_sets(data)
    fields = [sets[i][kind][0] for i in [*others, instance] for kind in ("AAR", "AMS", "AS")]
    last = re.sub(rb"([;\s]b\s*=)[^;]*", rb"\1", fields[-1])
    pairs = [field.split(b":", 1) for field in [*fields[:-1], last]]
    octets = b"".join(name + b":" + value for name, value in
                      Relaxed.canonicalize_headers([(name, b" " + value + b"\r\n") for name, value in pairs]))
    try:
        OURS.private.public_key().verify(base64.b64decode(tags(fields[-1])[b"b"]), octets[:-2], padding.PKCS1v15(),
                                         hashes.SHA256())
        return True
    except Exception:
        return False


class Stage:
    def __init__(self, world, extra, zone=None):
        self.world = world
        self.enforcer = Enforcer()
        self.hop = world.hop(script=self.enforcer)
        world.start(zone={**ZONE, **(zone or {})}, authenticate="on", extra=extra)
        self.judge = self.enforcer.judge = Judge(resolver_port(world))

    def send(self, data, sender="anna@sender.test"):
        """Offers a message that is to be taken; returns it as it is at the next hop."""
        before = len(self.hop.messages)
        with Client(self.world.daemon.port) as client:
            code, lines = client.hello().message(sender, "info@fwd.test", data)
            assert code == 250, lines
            client.send("QUIT\r\n")
        message = self.hop.wait(before + 1)[before]
        assert message.data.endswith(data), "changed"
        message.ours = message.data[:-len(data)]
        return message


def results(message):
    header = re.sub(rb"\r\n[ \t]+", b" ", message.header()).decode("ascii", "replace")
    return re.search(r"(?mi)^Authentication-Results: (mx\.fwd\.test;[^\r]*)", header).group(1)


def arc_result(message):
    """The part of our results that is about ARC."""
    parts = [part.strip() for part in results(message).split(";") if part.strip().startswith("arc=")]
    assert len(parts) == 1, results(message)
    return parts[0]


def check_our_set(message, instance, cv):
    """The one set we added, by its form."""
    ours = arc_sets(message.ours)
    assert list(ours) == [instance], list(ours)
    assert {kind: len(fields) for kind, fields in ours[instance].items()} == {"AAR": 1, "AMS": 1, "AS": 1}
    (aar,), (ams,), (seal_field,) = (ours[instance][kind] for kind in ("AAR", "AMS", "AS"))
    assert message.ours.index(seal_field) < message.ours.index(ams) < message.ours.index(aar)
    about_seal, about_message = tags(seal_field), tags(ams)
    assert about_seal[b"cv"].decode() == cv and b"h" not in about_seal
    for one in (about_seal, about_message):
        assert (one[b"d"], one[b"s"], one[b"a"], one[b"i"]) == (b"fwd.test", b"seal", b"rsa-sha256", b"%d" % instance)
    names = about_message[b"h"].lower().split(b":")
    assert b"from" in names and not {b"authentication-results", b"received", b"return-path"} & set(names)
    assert not [name for name in names if name.startswith(b"arc-")]
    assert (b"dkim-signature" in names) == (b"\r\nDKIM-Signature:" in b"\r\n" + message.data)
    said = re.sub(rb"\s+", b"", aar.split(b";", 1)[1]).decode()
    assert said.rstrip(";") == re.sub(r"\s+", "", results(message)).rstrip(";")


# --- chains -------------------------------------------------------------------------------


def test_no_chain(world, tmp_path):
    stage = Stage(world, seal(tmp_path))
    for data in (a_message(), signed(a_message()), ODD, signed(ODD)):
        message = stage.send(data)
        assert arc_result(message).startswith("arc=none")
        check_our_set(message, 1, "none")
        assert message.verdict.arc == "pass", message.verdict
        assert message.verdict.sealers[0][1] == b"fwd.test"
        if data.startswith(b"DKIM"):
            assert message.verdict.dkim == [("sender.test", "pass")]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_chains_of_dkimpy(world, tmp_path, chains, count):
    stage = Stage(world, seal(tmp_path))
    message = stage.send(chains[count])
    text = arc_result(message)
    assert text.startswith("arc=pass") and "smtp.remote-ip=127.0.0.1" in text, text
    for domain in SEALERS[:count]:
        assert domain in text, text
    check_our_set(message, count + 1, "pass")
    assert message.verdict.arc == "pass", message.verdict
    assert [domain for _, domain, _ in message.verdict.sealers] == [
        b"fwd.test", *(name.encode() for name in reversed(SEALERS[:count]))]
    assert message.verdict.dkim == [("sender.test", "pass")]
    assert seal_covers(message.data, count + 1, []) is False


def test_a_chain_of_49_and_of_50(world, tmp_path):
    """The fiftieth set is ours; there is no fifty-first."""
    stage = Stage(world, seal(tmp_path))
    long = chain(49)
    message = stage.send(long)
    assert arc_result(message).startswith("arc=pass")
    check_our_set(message, 50, "pass")
    assert message.verdict.arc == "pass" and len(message.verdict.sealers) == 50
    message = stage.send(add_set(long, 50, "two.test"))
    assert arc_result(message).startswith("arc=pass")
    assert not arc_sets(message.ours) and message.verdict.arc == "pass"


def test_too_many_keys(world, tmp_path):
    """A chain may not make us look up as many keys as it likes."""
    stage = Stage(world, seal(tmp_path))
    for count, want in ((10, "pass"), (11, "fail")):
        message = stage.send(chain(count, domains=[f"n{i}.many.test" for i in range(12)]))
        assert arc_result(message).startswith(f"arc={want}"), count
        check_our_set(message, count + 1, want)


def broken_chains(data, count):
    """(what, octets, is the number of sets still plain)"""
    sets = arc_sets(data)
    yield "body", data.replace(b"one line", b"one lime"), True
    yield "subject", data.replace(b"Subject: hello", b"Subject: hallo"), True
    yield "second From", b"From: x@evil.test\r\n" + data, True
    for number in range(1, count + 1):
        (aar,), (ams,), (seal_field,) = (sets[number][kind] for kind in ("AAR", "AMS", "AS"))
        yield f"results {number}", data.replace(aar, aar.replace(b"dkim=pass", b"dkim=fail")), True
        yield f"message signature {number}", data.replace(ams, re.sub(rb" t=\d", b" t=9", ams)), True
        yield f"seal {number}", data.replace(seal_field, re.sub(rb" t=\d", b" t=9", seal_field)), True
        cv = b"cv=pass" if number == 1 else b"cv=none"
        yield f"cv {number}", data.replace(seal_field, re.sub(rb"cv=\w+", cv, seal_field)), True
        yield f"no key {number}", data.replace(seal_field, seal_field.replace(b"s=s;", b"s=t;")), True
        for name, field in (("results", aar), ("message signature", ams), ("seal", seal_field)):
            yield f"no {name} {number}", data.replace(field + b"\r\n", b""), False
            yield f"two {name} {number}", field + b"\r\n" + data, False
    if count > 1:
        for field in (field[0] for field in sets[1].values()):
            data = data.replace(field + b"\r\n", b"")
        yield "a gap", data, False


@pytest.mark.parametrize("count", [1, 2, 3])
def test_broken_chains(world, tmp_path, chains, count):
    stage = Stage(world, seal(tmp_path))
    for what, data, is_countable in broken_chains(chains[count], count):
        assert data != chains[count], what
        if what == "second From":
            continue  # refused before anybody looks at chains
        message = stage.send(data)
        text = arc_result(message)
        assert text.startswith("arc=fail"), (what, text)
        added = arc_sets(message.ours)
        assert len(added) <= 1, what
        if is_countable:
            assert added, what
        for instance in added:
            if is_countable:
                assert instance == count + 1, (what, instance)
            check_our_set(message, instance, "fail")
            assert seal_covers(message.ours, instance, []), what
        assert message.verdict.arc == "fail", (what, message.verdict)


def test_a_closed_chain_gets_nothing(world, tmp_path, chains):
    stage = Stage(world, seal(tmp_path))
    for data in (add_set(chains[1].replace(b"one line", b"two line"), 2, "two.test", "arc=fail; dkim=fail"),
                 add_set(chains[2], 3, "three.test", "arc=fail; dkim=fail")):
        message = stage.send(data)
        assert arc_result(message).startswith("arc=fail")
        assert not arc_sets(message.ours) and b"ARC-" not in message.ours


def test_what_we_do_not_know_we_do_not_seal(world, tmp_path):
    stage = Stage(world, seal(tmp_path))
    message = stage.send(add_set(signed(a_message()), 1, "x.servfail.test"))
    assert arc_result(message).startswith("arc=temperror")
    assert not arc_sets(message.ours)
    assert message.verdict.dkim == [("sender.test", "pass")]


def test_without_a_seal_chains_are_stated_and_left_alone(world, tmp_path, chains):
    stage = Stage(world, f"include {tmp_path}/*.none")  # keys may come from there at a reload
    for count in (1, 2, 3):
        message = stage.send(chains[count])
        assert arc_result(message).startswith("arc=pass") and not arc_sets(message.ours)
        assert message.verdict.arc == "pass" and message.verdict.dkim == [("sender.test", "pass")]
    stage.world.daemon.write_config(extra=seal(tmp_path, arc="no"))
    stage.world.daemon.signal(1)
    stage.world.daemon.wait_log("reloaded")
    message = stage.send(chains[2])
    assert not arc_sets(message.ours) and message.verdict.arc == "pass"


def test_through_us_twice(world, tmp_path):
    """What we send out comes in again elsewhere: our own chain goes on."""
    stage = Stage(world, seal(tmp_path))
    first = stage.send(signed(a_message()))
    data = first.data[first.data.index(b"ARC-Seal:"):]  # without our loop mark
    message = stage.send(data.replace(b"Authentication-Results: mx.fwd.test;", b"X-Results: ", 1))
    assert arc_result(message).startswith("arc=pass")
    check_our_set(message, 2, "pass")
    assert message.verdict.arc == "pass" and len(message.verdict.sealers) == 2


def test_forged_results_under_a_seal(world, tmp_path):
    """Our own set says what we found, whatever the message says of itself."""
    stage = Stage(world, seal(tmp_path))
    forged = b"Authentication-Results: mx.fwd.test; dmarc=pass header.from=bank.test\r\n"
    data = signed(a_message())
    with Client(stage.world.daemon.port) as client:
        assert client.hello().message("anna@sender.test", "info@fwd.test", forged + data)[0] == 250
    message = stage.hop.wait()[0]
    assert b"bank.test" not in message.data and message.verdict.arc == "pass"
    assert message.data.endswith(data)


def test_a_changed_octet_of_ours_is_seen(world, tmp_path):
    """That dkimpy's pass means something: each signed part matters to it."""
    stage = Stage(world, seal(tmp_path))
    message = stage.send(signed(a_message()))
    for old, new in ((b"one line", b"two line"), (b"Subject: hello", b"Subject: hullo"), (b"spf=pass", b"spf=fail"),
                     (b"cv=none", b"cv=pass"), (b"To: info", b"To: inbo"), (b"<hello@", b"<hullo@")):
        assert old in message.data
        verdict = stage.judge.judge("mx.fwd.test", message.sender, message.data.replace(old, new, 1))
        assert verdict.arc == "fail", old


# --- our own DKIM signatures --------------------------------------------------------------

BOTH = (("seal", OURS), ("ed", OURS_ED))


def test_our_signatures(world, tmp_path):
    stage = Stage(world, seal(tmp_path, sign="yes", keys=BOTH))
    for data in (a_message(), signed(a_message()), ODD, signed(ODD)):
        message = stage.send(data)
        theirs = [("sender.test", "pass")] if data.startswith(b"DKIM") else []
        assert message.verdict.dkim == [("fwd.test", "pass")] * 2 + theirs
        assert message.verdict.arc == "pass"
        ours = re.sub(rb"\r\n[ \t]+", b" ", message.ours)
        fields = [tags(line) for line in ours.split(b"\r\n") if line.startswith(b"DKIM-Signature:")]
        assert {(field[b"a"], field[b"s"]) for field in fields} == {(b"rsa-sha256", b"seal"), (b"ed25519-sha256", b"ed")}
        for field in fields:
            names = field[b"h"].lower().split(b":")
            for name in (b"from", b"subject", b"to", b"date", b"message-id"):  # oversigned
                assert names.count(name) == data.split(b"\r\n\r\n")[0].lower().count(b"\n" + name + b":") + \
                    data.lower().startswith(name + b":") + 1, name
            assert not {b"l", b"x", b"z"} & set(field) and field[b"c"] == b"relaxed/relaxed"
        for name in (b"From", b"Subject", b"To", b"Date", b"Message-ID"):
            verdict = stage.judge.judge("mx.fwd.test", message.sender, name + b": x@sender.test\r\n" + message.data)
            assert ("fwd.test", "pass") not in verdict.dkim, name


@pytest.mark.parametrize("keys", [BOTH, BOTH[:1], BOTH[1:]], ids=["both", "rsa", "ed25519"])
def test_bounces_are_signed(world, tmp_path, keys):
    back = world.hop(world.SENDER)
    hop = world.hop(script=lambda stage, line, session: "550 5.1.1 nobody" if stage == "rcpt" else None)
    world.start(zone=ZONE, authenticate="on", extra=seal(tmp_path, arc="no", keys=keys))
    world.send(data=signed(a_message()))
    bounce = back.wait()[0]
    verdict = Judge(resolver_port(world)).judge("mx.fwd.test", "", bounce.data)
    assert verdict.dkim == [("fwd.test", "pass")] * len(keys), verdict
    assert not hop.messages and bounce.sender == ""


def exim_octets(header, body):
    """What arrived, from Exim's spool: fields with their lengths in front; the first is its own."""
    header, fields = header.encode("utf-8", "surrogateescape"), []
    while match := re.match(rb"(\d{3,})(.) ", header):
        start = match.end()
        fields.append(header[start:start + int(match.group(1))])
        header = header[start + int(match.group(1)):]
    return b"".join(fields).replace(b"\n", b"\r\n") + b"\r\n" + body.replace(b"\n", b"\r\n")


def test_through_exim(world, tmp_path, exim):  # noqa: F811
    """What dkimpy makes of our signatures behind a real server."""
    world.start(zone=ZONE, authenticate="on", extra=seal(tmp_path, sign="yes", keys=BOTH))
    for data in (signed(a_message()), signed(a_message("long", body="line\r\n" * 5000)), chain(2)):
        world.send(data=data)
    world.daemon.wait_log("delivered", count=3)
    judge = Judge(resolver_port(world))
    for sender, _, header, body in wait_until(lambda: len(exim.messages()) == 3 and exim.messages(), "three messages"):
        verdict = judge.judge("mx.fwd.test", sender, exim_octets(header, body))
        assert verdict.dkim == [("fwd.test", "pass")] * 2 + [("sender.test", "pass")], verdict
        assert verdict.arc == "pass" and verdict.dmarc == "pass" and verdict.place == "inbox", verdict


def test_into_postfix(world, tmp_path, sink):  # noqa: F811
    """Postfix's smtp-sink keeps what it read."""
    world.start(zone=ZONE, authenticate="on", extra=seal(tmp_path, sign="yes", keys=BOTH))
    world.send(data=signed(ODD))
    world.daemon.wait_log("delivered")
    (path,) = sink.iterdir()
    octets = path.read_bytes().replace(b"\r\n", b"\n")
    octets = re.sub(rb"\A(X-[A-Za-z-]+: .*\n|Received: from .*\n(?:[ \t].*\n)*)*?(?=X-Postilion-Loop|ARC-|DKIM-)", b"", octets)
    octets = octets.rstrip(b"\n") + b"\n\n\n"  # the file ends with one more
    verdict = Judge(resolver_port(world)).judge("mx.fwd.test", "x@srs.fwd.test", octets.replace(b"\n", b"\r\n"))
    assert verdict.dkim == [("fwd.test", "pass")] * 2 + [("sender.test", "pass")], verdict
    assert verdict.arc == "pass", verdict


# --- keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("publish", ["right", "other", "nothing", "garbage"])
def test_check_compares_the_key_with_dns(world, tmp_path, publish):
    record = {"right": OURS.record, "other": OTHER.record, "garbage": "p p p", "nothing": None}[publish]
    zone = {name: records for name, records in ZONE.items() if name != "seal._domainkey.fwd.test"}
    if record:
        zone["seal._domainkey.fwd.test"] = txt(record)
    world.start(zone=zone, extra=seal(tmp_path), is_started=False)
    done = world.daemon.command("check", check=False)
    text = done.stdout + done.stderr
    assert (publish == "right") == ("seal._domainkey.fwd.test" not in text), text


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_key_of_our_own_making(world, tmp_path, kind):
    """What `key make` prints, published as it is, is what verifies."""
    file = tmp_path / "made.key"
    done = harness.run([harness.program(), "key", "make", "made", "--domain", "fwd.test", "--type", kind,
                        "--out", str(file)])
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o077 == 0
    name, _, rest = done.stdout.partition(" ")
    parts = re.findall(r'"([^"]*)"', rest)
    assert name.strip() == "made._domainkey.fwd.test." and parts and max(map(len, parts)) <= 255, done.stdout
    arc = "yes" if kind == "rsa" else "no"  # sets are made with RSA
    extra = f"seal {{\n domain fwd.test\n selector made\n key-file {file}\n arc {arc}\n dkim yes\n}}\n"
    stage = Stage(world, extra, zone={"made._domainkey.fwd.test": txt("".join(parts))})
    verdict = stage.send(signed(a_message())).verdict
    assert verdict.dkim == [("fwd.test", "pass"), ("sender.test", "pass")], verdict
    assert verdict.arc == ("pass" if kind == "rsa" else "none"), verdict


def test_log_and_command_say_the_same(world, tmp_path, chains):
    stage = Stage(world, seal(tmp_path))
    stage.send(chains[2])
    assert stage.world.daemon.wait_log("accepted")["arc"] == "pass"
    file = tmp_path / "message"
    file.write_bytes(chains[2])
    done = harness.run([harness.program(), "auth", "message", str(file), "--ip", HERE, "--helo", "client.test",
                        "--from", "anna@sender.test", "--resolver", f"127.0.0.1:{resolver_port(world)}", "--json"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arc"]["result"] == "pass", done.stdout
