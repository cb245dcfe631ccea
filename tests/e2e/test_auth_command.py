"""postilion auth spf|message: what the checks say, evaluated by hand against a real resolver."""
import json
import socket
import subprocess
import threading
import time

import dkim
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rrset
import pytest

import harness
import test_spf_suites as suites
from test_dkim_interop import make_rsa

USAGE, NO_INPUT = 64, 66

ZONE = {
    "sender.test": [("TXT", "v=spf1 include:_spf.provider.test ip4:192.0.2.1 -all exp=why.sender.test"),
                    ("A", "192.0.2.1")],
    "why.sender.test": [("TXT", "%{i} is not ours, \"%{l}\"")],
    "_spf.provider.test": [("TXT", "v=spf1 a:out.provider.test include:deep.provider.test ?all")],
    "deep.provider.test": [("TXT", "v=spf1 ip4:192.0.2.33 -all")],
    "out.provider.test": [("A", "192.0.2.20"), ("A", "192.0.2.21")],
    "mute.test": [("TXT", "v=spf1 -all")],
    "helo.test": [("TXT", "v=spf1 ip4:192.0.2.5 -all"), ("A", "192.0.2.5")],
    "broken.test": [("TXT", "v=spf1 ip4:1.2.3 -all")],
    "_dmarc.sender.test": [("TXT", "v=DMARC1; p=reject")],
    "bare.test": [("A", "192.0.2.9")],
}

MESSAGE = (b"From: Anna <anna@sender.test>\r\nTo: info@fwd.test\r\nSubject: hello\r\n"
           b"Date: Fri, 11 Jul 2025 21:00:37 +0000\r\nMessage-ID: <1@sender.test>\r\n\r\n"
           b"Hello there.\r\n\r\nA second paragraph.\r\n")


@pytest.fixture(scope="module")
def key():
    return make_rsa(2048)


@pytest.fixture
def server(resolver, key):
    zone = dict(ZONE)
    zone["sel._domainkey.sender.test"] = [("TXT", key.record)]
    return resolver(zone)


def auth(*arguments, port=None, status=0, **options):
    """Without any configuration file."""
    command = [harness.program(), "auth", *arguments]
    if port is not None:
        command += ["--resolver", f"127.0.0.1:{port}"]
    result = subprocess.run(command, capture_output=True, timeout=60, **options)
    assert result.returncode == status, (result.stdout, result.stderr)
    return result


def spf(server, ip, sender, helo="mail.sender.test"):
    """The JSON object, and the text for people."""
    arguments = ["spf", "--ip", ip, "--helo", helo, "--from", sender]
    output = auth(*arguments, "--json", port=server.port).stdout.decode()
    assert output.endswith("}\n") and output.count("\n") == 1
    return json.loads(output), auth(*arguments, port=server.port).stdout.decode()


def asked(found):
    return [(lookup["type"], lookup["name"], lookup["status"]) for lookup in found["lookups"]]


def test_spf_fail_with_explanation(server):
    found, text = spf(server, "192.0.2.99", "anna@sender.test")
    assert found["result"] == "fail"
    assert found["explanation"] == '192.0.2.99 is not ours, "anna"'
    assert found["mechanism"] == "-all"
    assert found["domain"] == "sender.test"
    assert {("TXT", "sender.test", "ok"), ("TXT", "_spf.provider.test", "ok"), ("A", "out.provider.test", "ok"),
            ("TXT", "deep.provider.test", "ok"), ("TXT", "why.sender.test", "ok")} <= set(asked(found))
    assert len(asked(found)) == len(set(asked(found)))
    [addresses] = [lookup for lookup in found["lookups"] if lookup["name"] == "out.provider.test"]
    assert sorted(addresses["records"]) == ["192.0.2.20", "192.0.2.21"]
    assert [(record["depth"], record["domain"]) for record in found["records"]] == [
        (0, "sender.test"), (1, "_spf.provider.test"), (2, "deep.provider.test")]
    assert text.startswith("result       fail\n")
    assert '\nexplanation  192.0.2.99 is not ours, "anna"\n' in text
    assert "\nmechanism    -all\n" in text
    assert "\n    _spf.provider.test: v=spf1 a:out.provider.test include:deep.provider.test ?all\n" in text
    assert "\n      deep.provider.test: v=spf1 ip4:192.0.2.33 -all\n" in text
    assert "\n  A     out.provider.test  ok\n          192.0.2.2" in text


@pytest.mark.parametrize("ip, sender, helo, result, mechanism", [
    ("192.0.2.1", "anna@sender.test", "x.test", "pass", "ip4:192.0.2.1"),
    ("::ffff:192.0.2.1", "anna@sender.test", "x.test", "pass", "ip4:192.0.2.1"),
    ("192.0.2.21", "<anna@sender.test>", "x.test", "pass", "include:_spf.provider.test"),
    ("192.0.2.33", "sender.test", "x.test", "pass", "include:_spf.provider.test"),
    ("192.0.2.99", "a@mute.test", "x.test", "fail", "-all"),
    ("192.0.2.5", "", "helo.test", "pass", "ip4:192.0.2.5"),
    ("192.0.2.6", "<>", "helo.test", "fail", "-all"),
    ("192.0.2.9", "a@bare.test", "x.test", "none", ""),
    ("192.0.2.9", "a@missing.test", "x.test", "none", ""),
    ("192.0.2.9", "a@broken.test", "x.test", "permerror", ""),
    ("192.0.2.9", "a@servfail.test", "x.test", "temperror", ""),
    ("192.0.2.9", "a@[192.0.2.9]", "x.test", "none", ""),
    ("192.0.2.9", 'a b"\x01@c@mute.test', "x.test", "fail", "-all"),
    ("2001:db8::1", "@mute.test", "\xfc", "fail", "-all"),
])
def test_spf_results(server, ip, sender, helo, result, mechanism):
    found, text = spf(server, ip, sender, helo)
    assert (found["result"], found["mechanism"]) == (result, mechanism)
    assert found["explanation"] == ""
    assert "explanation" not in text
    if result in ("none", "permerror", "temperror"):
        assert found["why"] and f"why          {found['why']}\n" in text


def test_spf_text_is_printable(resolver):
    server = resolver({"odd.test": [("TXT", "v=spf1 x=\\027[31m\\228 -all")]})
    found, text = spf(server, "192.0.2.1", "a@odd.test")
    assert "\x1b" not in text and "\\x1b[31m\\xe4" in text
    assert any("\x1b[31m\ufffd" in record for lookup in found["lookups"] for record in lookup["records"])


def test_no_dns_is_temperror(server):
    """Neither a closed port nor a server that says nothing makes it fail or hang."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        for port in (harness.free_port(), silent.getsockname()[1]):
            start = time.monotonic()
            output = auth("spf", "--ip", "192.0.2.1", "--helo", "x.test", "--from", "a@mute.test", "--json",
                          port=port).stdout
            assert time.monotonic() - start < 25
            found = json.loads(output)
            assert found["result"] == "temperror" and found["explanation"] == ""
            assert asked(found) == [("TXT", "mute.test", "tempfail")]


@pytest.mark.parametrize("arguments, status", [
    ([], USAGE), (["nonsense"], USAGE), (["spf"], USAGE), (["spf", "--ip"], USAGE),
    (["spf", "--ip", "1.2.3", "--from", "a@b.test"], USAGE),
    (["spf", "--ip", "192.0.2.1"], USAGE),
    (["spf", "--ip", "192.0.2.1", "--from", "a@b.test", "more"], USAGE),
    (["spf", "--ip", "192.0.2.1", "--from", "a@b.test", "--resolver", "nowhere"], USAGE),
    (["spf", "--ip", "192.0.2.1", "--form", "a@b.test"], USAGE),
    (["message", "--ip", "192.0.2.1", "--from", "a@b.test"], USAGE),
    (["message", "/nonexistent", "--ip", "192.0.2.1", "--from", "a@b.test"], NO_INPUT),
    (["message", "/", "--ip", "192.0.2.1", "--from", "a@b.test"], NO_INPUT),
])
def test_mistakes(arguments, status):
    result = auth(*arguments, port=9 if "--resolver" not in arguments else None, status=status)
    assert result.stdout == b"" and result.stderr != b""


def signed(key, message=MESSAGE):
    header = dkim.sign(message, b"sel", b"sender.test", key.pem, include_headers=[b"from", b"subject", b"date"])
    return header + message


def check_message(server, data, ip="192.0.2.1", sender="anna@sender.test", path="-", **options):
    arguments = ["message", path, "--ip", ip, "--helo", "sender.test", f"--from={sender}"]
    if path == "-":
        options["input"] = data
    found = json.loads(auth(*arguments, "--json", port=server.port, **options).stdout)
    text = auth(*arguments, port=server.port, **options).stdout.decode()
    field = found["authentication-results"]
    assert field.startswith("Authentication-Results: localhost;\r\n\t") and field.endswith("\r\n")
    assert text.startswith(field.replace("\r\n", "\n"))
    return found, field


def test_message(server, key, tmp_path):
    data = signed(key)
    found, field = check_message(server, data)
    assert found["spf"]["result"] == "pass" and found["spf-helo"]["result"] == "pass"
    [signature] = found["dkim"]
    assert (signature["result"], signature["domain"], signature["selector"], signature["algorithm"]) == (
        "pass", "sender.test", "sel", "rsa-sha256")
    assert found["from"] == {"result": "one-domain", "domains": ["sender.test"], "why": ""}
    assert (found["dmarc"]["result"], found["dmarc"]["published"]) == ("pass", "reject")
    assert found["iprev"]["result"] == "permerror"  # nobody serves names for 192.0.2.0/24
    assert ("TXT", "sel._domainkey.sender.test", "ok") in asked(found)
    assert ("TXT", "_dmarc.sender.test", "ok") in asked(found)
    assert "spf=pass (ip4:192.0.2.1) smtp.mailfrom=anna@sender.test;" in field
    assert "dkim=pass header.d=sender.test header.s=sel header.a=rsa-sha256" in field
    assert "header.from=sender.test" in field and "polrec.p=reject" in field
    # the same from a file, with the line ends of this system, and out of a mailbox
    path = tmp_path / "message"
    for octets in (data, data.replace(b"\r\n", b"\n"), b"From anna Fri Jul 11\n" + data):
        path.write_bytes(octets)
        assert check_message(server, None, path=str(path))[1] == field


def test_message_spoiled(server, key):
    found, field = check_message(server, signed(key).replace(b"second", b"other"), ip="192.0.2.99")
    assert found["dkim"][0]["result"] == "fail"
    assert found["spf"]["explanation"] == '192.0.2.99 is not ours, "anna"'
    assert (found["dmarc"]["result"], found["dmarc"]["policy"]) == ("fail", "reject")
    assert "dkim=fail" in field and "dmarc=fail" in field


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\nbody", b"no header", b"From: a@sender.test", b"From: a@sender.test\n\n"])
def test_message_without_much(server, data):
    found, field = check_message(server, data)
    assert found["dkim"] == [] and "dkim=none" in field
    assert found["from"]["domains"] == (["sender.test"] if b"From" in data else [])


def test_configured_resolver(postilion, server):
    """With a configuration its resolver and its names are used."""
    daemon = postilion(resolver_port=server.port)
    arguments = ["spf", "--ip", "192.0.2.5", "--helo", "helo.test", "--from", "", "--json"]
    assert json.loads(daemon.command("auth", *arguments).stdout)["result"] == "pass"
    path = daemon.directory / "message"
    path.write_bytes(MESSAGE)
    output = daemon.command("auth", "message", str(path), "--ip", "192.0.2.1", "--helo", "x.test",
                            "--from", "anna@sender.test").stdout
    assert output.startswith("Authentication-Results: mx.fwd.test;\n\t"), output
    assert "dmarc=pass" in output


class ZoneServer:
    """Serves the zone of a scenario (test_spf_suites.Zone) over UDP; a time-out is SERVFAIL."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.zone = None
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            octets, client = self.socket.recvfrom(65535)
            if not octets:
                return
            self.socket.sendto(self.answer(dns.message.from_wire(octets)), client)

    def answer(self, query):
        [question] = query.question
        name = b".".join(question.name.labels).decode("latin-1").rstrip(".")
        status, values = self.zone.answer(name, suites.TYPE_NAMES[question.rdtype])
        response = dns.message.make_response(query, recursion_available=True)
        if status == "tempfail":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif status == "nxdomain":
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif values:
            response.answer.append(dns.rrset.from_rdata_list(
                question.name, 60, [self.record(question.rdtype, value) for value in values]))
        return response.to_wire(max_size=65535)

    @staticmethod
    def record(kind, value):
        if kind == suites.TYPES["TXT"]:
            parts = [suites.octets(part) for part in (value if isinstance(value, list) else [value])] or [b""]
            strings = [part[i:i + 255] for part in parts for i in range(0, len(part), 255) or [0]]
            wire = b"".join(bytes([len(string)]) + string for string in strings)
            return dns.rdata.from_wire(dns.rdataclass.IN, kind, wire, 0, len(wire))
        if kind == suites.TYPES["MX"]:
            text = f"{value[0]} {str(value[1]).rstrip('.')}."
        elif kind == suites.TYPES["PTR"]:
            text = f"{str(value).rstrip('.')}."
        else:
            text = str(value)
        return dns.rdata.from_text(dns.rdataclass.IN, kind, text)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(harness.PATIENCE)
        self.socket.close()


@pytest.fixture
def zone_server():
    made = ZoneServer()
    yield made
    made.stop()


@pytest.mark.parametrize("suite, count", [("rfc7208-tests.yml.gz", 203), ("rfc4408-tests.yml.gz", 191)])
def test_suites_by_command(zone_server, suite, count):
    """The conformance suites through program, resolver and network."""
    wrong, cases = [], 0
    for scenario in suites.scenarios(suite):
        zone_server.zone = suites.Zone(scenario["zonedata"])
        for name, case in scenario["tests"].items():
            cases += 1
            found = json.loads(auth("spf", "--ip", case["host"], b"--helo=" + suites.octets(case.get("helo") or ""),
                                    b"--from=" + suites.octets(case.get("mailfrom") or ""), "--json",
                                    port=zone_server.port).stdout)
            wrong += filter(None, [suites.complaint(name, case, (found["result"], found["explanation"]))])
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong)
    assert cases == count
