"""postilion setup: what it writes loads, starts and forwards; what it says of DNS is what DNS has; it writes over nothing."""
import json
import os
import re
import stat
import subprocess

import dns.rdatatype
import dns.zone
import pytest

import harness

USAGE, BAD_DATA, NO_USER, CANNOT_CREATE, BAD_CONFIG = 64, 65, 67, 73, 78
ADDRESS = "192.0.2.25"
REVERSE = "25.2.0.192.in-addr.arpa"
USER = ("--user", "root") if os.getuid() == 0 else ()


@pytest.fixture
def setup(tmp_path):
    def run(*arguments, status=0):
        done = subprocess.run([harness.program(), "setup", *map(str, arguments)], capture_output=True, text=True,
                              cwd=tmp_path, timeout=60)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done
    return run


@pytest.fixture
def offline(setup):
    def run(*arguments, status=0):
        return setup(*arguments, "--no-dns", "--hostname", "mx.fwd.test", "--address", ADDRESS, status=status)
    return run


def files_in(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# ---- what is written ----

def test_what_is_written_loads(offline, tmp_path):
    before = os.umask(0)
    try:
        done = offline("fwd.test", "--write", "etc", "--postmaster", "admin@dest.test", *USER)
    finally:
        os.umask(before)
    assert set(files_in(tmp_path / "etc")) == {"postilion.conf", "srs.secret", "s1.pem", "fwd.test.aliases"}
    assert done.stderr == ""
    for secret in ("srs.secret", "s1.pem"):
        assert stat.S_IMODE((tmp_path / "etc" / secret).stat().st_mode) in (0o600, 0o640)
    assert stat.S_IMODE((tmp_path / "etc/postilion.conf").stat().st_mode) == 0o644
    checked = harness.run([harness.program(), "check", "--no-dns", "-c", str(tmp_path / "etc/postilion.conf")])
    assert checked.returncode == 0 and "good, 1 domain, 2 aliases" in checked.stdout, checked.stdout + checked.stderr
    assert "postilion check -c etc/postilion.conf" in done.stdout


def test_what_is_written_forwards(offline, world, tmp_path):
    """With another port and other directories, which the machine of a test has."""
    hop = world.hop()
    daemon = world.start(is_started=False, authenticate="on")
    offline("fwd.test", "--write", daemon.directory / "etc", "--postmaster", "admin@dest.test", "--srs-domain", "srs.fwd.test", *USER)
    with open(daemon.directory / "etc/fwd.test.aliases", "a") as aliases:
        aliases.write("info: anna@dest.test\n")
    text = (daemon.directory / "etc/postilion.conf").read_text()
    text = re.sub(r"(?m)^listen .*$", "listen 127.0.0.1:0", text)
    rest = re.sub(r"(?ms)^(hostname|listen|user) [^\n]*\n|^(srs|domain) [^{]*\{.*?^\}\n", "", daemon.config.read_text())
    (daemon.directory / "etc/postilion.conf").write_text(text + rest)
    daemon.config = daemon.directory / "etc/postilion.conf"
    daemon.start()
    world.send()
    message = hop.wait(1)[0]
    assert message.sender.endswith("@srs.fwd.test") and message.recipients == ["anna@dest.test"]
    assert b"ARC-Seal: " in message.data and b"s=s1" in message.data


def test_without_a_postmaster_only_that_is_missing(offline, tmp_path):
    done = offline("fwd.test", "other.test", "--write", "etc", *USER)
    errors = re.findall(r"error: (.*)", done.stderr)
    assert errors and all("postmaster" in error for error in errors)
    assert "fill in postmaster and abuse" in done.stdout
    for name in ("fwd.test", "other.test"):
        path = tmp_path / f"etc/{name}.aliases"
        path.write_text(path.read_text().replace("#postmaster", "postmaster").replace("#abuse", "abuse"))
    checked = harness.run([harness.program(), "check", "--no-dns", "-c", str(tmp_path / "etc/postilion.conf")])
    assert checked.returncode == 0, checked.stderr


def test_nothing_that_is_there_is_touched(offline, tmp_path):
    offline("fwd.test", "--write", "etc", "--postmaster", "admin@dest.test", *USER)
    before = files_in(tmp_path / "etc")
    done = offline("fwd.test", "--write", "etc", *USER, status=CANNOT_CREATE)
    assert "postilion.conf: it is there already" in done.stderr and done.stdout == ""
    assert files_in(tmp_path / "etc") == before
    # What was cut short goes on: the secret, the key and the aliases are those that are there.
    (tmp_path / "etc/postilion.conf").unlink()
    done = offline("fwd.test", "other.test", "--write", "etc", "--postmaster", "other@dest.test", *USER)
    after = files_in(tmp_path / "etc")
    assert {name: after[name] for name in ("srs.secret", "s1.pem", "fwd.test.aliases")} == \
        {name: before[name] for name in ("srs.secret", "s1.pem", "fwd.test.aliases")}
    assert done.stdout.count("kept as it was") == 3
    shown = harness.run([harness.program(), "key", "show", str(tmp_path / "etc/s1.pem")]).stdout.strip()
    record = next(record for record in json.loads(offline("x.test", "--json").stdout)["records"] if record["type"] == "MX")
    assert record["state"] == "unknown" and shown[:40] in done.stdout


def test_without_write_nothing_is_written(offline, tmp_path):
    done = offline("fwd.test", "--postmaster", "admin@dest.test")
    assert list(tmp_path.iterdir()) == []
    assert "/etc/postilion/postilion.conf, with --write:" in done.stdout and "hostname mx.fwd.test\n" in done.stdout
    assert "postilion setup fwd.test --write /etc/postilion" in done.stdout


def test_a_domain_of_other_letters(offline, tmp_path):
    offline("Bücher.test", "--write", "etc", "--postmaster", "jörg@bücher.test", *USER, status=BAD_CONFIG)
    assert "domain xn--bcher-kva.test {" in (tmp_path / "etc/postilion.conf").read_text()
    assert (tmp_path / "etc/xn--bcher-kva.test.aliases").exists()


@pytest.mark.parametrize("arguments, status, words", [
    ((), USAGE, "the domain whose mail is forwarded is missing"),
    (("a b",), USAGE, "this is no domain name"),
    (("nodot",), USAGE, "this is no domain name"),
    (("x" * 64 + ".test",), USAGE, "this is no domain name"),
    (("fwd.test", "--postmaster", "nobody"), USAGE, "name@domain is wanted"),
    (("fwd.test", "--srs-domain", "..."), USAGE, "this is no domain name"),
    (("fwd.test", "--address", "300.1.1.1"), USAGE, "this is no IP address"),
    (("fwd.test", "--resolver", "nowhere"), USAGE, "ADDRESS or ADDRESS:PORT"),
    (("fwd.test", "--nonsense", "x"), USAGE, "unknown option"),
    (("fwd.test", "--write"), USAGE, "unknown option|the value is missing|no-dns"),
    (("fwd.test", "--write="), USAGE, "the value is missing"),
    (("fwd.test", "--write", "missing/etc"), CANNOT_CREATE, "No such file or directory"),
    (("fwd.test", "--write", "file"), CANNOT_CREATE, "directory"),
    (("fwd.test", "--write", "bad-key"), BAD_DATA, "s1.pem: "),
])
def test_bad_calls(offline, setup, tmp_path, arguments, status, words):
    (tmp_path / "file").write_text("mine\n")
    (tmp_path / "bad-key").mkdir()
    (tmp_path / "bad-key/s1.pem").write_text("no key\n")
    if arguments[-1:] == ("--write",):
        done = setup(*arguments, status=status)
    else:
        done = offline(*arguments, *(USER if "--write" in arguments else ()), status=status)
    assert re.search(words, done.stderr) and done.stdout == ""
    assert (tmp_path / "file").read_text() == "mine\n" and not (tmp_path / "bad-key/postilion.conf").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_no_such_account(offline):
    assert "systemd-sysusers" in offline("fwd.test", "--write", "etc", "--user", "no-such-account", status=NO_USER).stderr


# ---- what DNS has ----

def found(setup, resolver, zone, *arguments):
    """JSON of a call against a resolver with this zone."""
    port = resolver({"fwd.test": [("TXT", "other=1")], **zone}).port
    return json.loads(setup(*arguments, "--resolver", f"127.0.0.1:{port}", "--json").stdout)


def states(told):
    return {(record["name"], record["type"]): record["state"] for record in told["records"]}


RIGHT = {
    "mx.fwd.test": [("A", ADDRESS), ("TXT", "v=spf1 a -all")],
    "srs.fwd.test": [("MX", "10 mx.fwd.test."), ("TXT", "v=spf1 mx -all")],
    "_dmarc.fwd.test": [("TXT", "v=DMARC1; p=none")],
    REVERSE: [("PTR", "mx.fwd.test.")],
}


def test_the_records_that_are_there(setup, resolver):
    zone = {**RIGHT, "fwd.test": [("MX", "10 mx.fwd.test.")]}
    told = found(setup, resolver, zone, "fwd.test", "--hostname", "mx.fwd.test", "--address", ADDRESS)
    assert set(states(told).values()) == {"right"} and len(told["records"]) == 7


def test_the_records_that_are_not(setup, resolver):
    zone = {"fwd.test": [("MX", "10 mx.old.test.")], "mx.old.test": [("A", "192.0.2.99")],
            "srs.fwd.test": [("TXT", "v=spf1 include:_spf.old.test ~all")], "_spf.old.test": [("TXT", "v=spf1 ip4:192.0.2.99 -all")]}
    told = found(setup, resolver, zone, "fwd.test", "--hostname", "mx.fwd.test", "--address", ADDRESS)
    assert states(told) == {
        ("mx.fwd.test", "A"): "missing", (REVERSE, "PTR"): "missing", ("fwd.test", "MX"): "wrong", ("srs.fwd.test", "MX"): "missing",
        ("srs.fwd.test", "TXT"): "wrong", ("mx.fwd.test", "TXT"): "missing", ("_dmarc.fwd.test", "TXT"): "missing"}
    by_name = {(record["name"], record["type"]): record for record in told["records"]}
    assert by_name["srs.fwd.test", "TXT"]["value"] == f"v=spf1 ip4:{ADDRESS} include:_spf.old.test ~all"
    assert by_name["fwd.test", "MX"]["present"] == "10 mx.old.test"


def test_the_zone_it_prints_makes_all_of_it_right(setup, resolver, tmp_path):
    """Its lines, read by somebody else's zone parser and published: nothing is left to do, and `check` agrees."""
    done = setup("fwd.test", "--hostname", "mx.fwd.test", "--address", ADDRESS, "--no-dns", "--write", "etc",
                 "--postmaster", "a@dest.test", *USER)
    lines = [re.sub(r"^;(?=\S+\. IN PTR )", "", line) for line in done.stdout.splitlines()]
    lines = [line for line in lines if re.match(r"[\w.-]+\. IN [A-Z]+ ", line)]
    assert len(lines) == 8
    zone = dns.zone.from_text("$TTL 60\n@ IN SOA ns. root. 1 1 1 1 1\n@ IN NS ns.\n" + "\n".join(lines), origin=".", relativize=False)
    records = {}
    for name, ttl, data in zone.iterate_rdatas():
        kind = dns.rdatatype.to_text(data.rdtype)
        if kind not in ("SOA", "NS"):
            text = b"".join(data.strings).decode() if kind == "TXT" else data.to_text()
            records.setdefault(str(name).rstrip("."), []).append((kind, text))
    port = resolver(records).port
    (tmp_path / "etc/postilion.conf").unlink()
    again = setup("fwd.test", "--hostname", "mx.fwd.test", "--address", ADDRESS, "--resolver", f"127.0.0.1:{port}", "--write", "etc",
                  *USER)
    assert "DNS: 8 of 8 records are right.\n" in again.stdout
    with open(tmp_path / "etc/postilion.conf", "a") as configuration:
        configuration.write(f"resolver 127.0.0.1:{port}\n")
    checked = harness.run([harness.program(), "check", "-c", str(tmp_path / "etc/postilion.conf")])
    assert checked.returncode == 0 and "_domainkey" not in checked.stderr, checked.stderr


def test_the_name_of_the_address_is_taken(setup, resolver):
    told = found(setup, resolver, RIGHT, "fwd.test", "--address", ADDRESS)
    assert told["hostname"] == "mx.fwd.test"


def test_a_resolver_that_is_silent_is_no_answer(setup):
    port = harness.free_port()
    told = json.loads(setup("fwd.test", "--hostname", "mx.fwd.test", "--address", ADDRESS, "--resolver", f"127.0.0.1:{port}",
                            "--json").stdout)
    assert set(states(told).values()) == {"unknown"}


def test_addresses_that_are_said_stay(setup, resolver):
    """Also an IPv6 address without a name: only of those that were found it is left out."""
    told = found(setup, resolver, RIGHT, "fwd.test", "--hostname", "mx.fwd.test", "--address", ADDRESS, "--address", "2001:db8::25")
    assert told["addresses"] == [ADDRESS, "2001:db8::25"] and "source" not in told["configuration"]


# ---- what is found out, on a host of its own ----

HOST = r"""
import json, subprocess, sys
from dnslib import RR, RCODE
from dnslib.server import BaseResolver, DNSLogger, DNSServer

class Zone(BaseResolver):
    records = RR.fromZone('25.2.0.192.in-addr.arpa. 60 IN PTR mx.fwd.test.\nmx.fwd.test. 60 IN A ' + sys.argv[2] + '\n')

    def resolve(self, request, handler):
        reply = request.reply()
        for record in self.records:
            if record.rname == request.q.qname and record.rtype == request.q.qtype:
                reply.add_answer(record)
        if not reply.rr:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply

DNSServer(Zone(), address='127.0.0.1', port=53, logger=DNSLogger(logf=lambda text: None)).start_thread()
live = '/etc/letsencrypt/live/some-name'
subprocess.run(f'''rm -f /etc/resolv.conf; echo nameserver 127.0.0.1 >/etc/resolv.conf
useradd -r -s /bin/false postilion
mkdir -p {live} && chmod 700 /etc/letsencrypt/live
openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=x -addext subjectAltName=DNS:mx.fwd.test \
    -out {live}/fullchain.pem -keyout {live}/privkey.pem 2>/dev/null
{sys.argv[3]}''', shell=True, check=True)
done = subprocess.run([sys.argv[1], 'setup', 'fwd.test', '--postmaster', 'a@dest.test', '--write', '/etc/postilion', '--json', *sys.argv[4:]],
                      capture_output=True, text=True)
told = json.loads(done.stdout)
told['stderr'] = done.stderr
told['rights'] = subprocess.run('cd /etc/postilion && stat -c "%n %a %G" srs.secret s1.pem tls/privkey.pem', shell=True,
                                capture_output=True, text=True).stdout
told['check'] = subprocess.run([sys.argv[1], 'check', '--no-dns'], capture_output=True, text=True).stdout
told['readable'] = subprocess.run(['setpriv', '--reuid=postilion', '--regid=postilion', '--clear-groups', sys.argv[1], 'check', '--no-dns'],
                                  capture_output=True, text=True).returncode
print(json.dumps(told))
"""


@pytest.fixture
def host(tmp_path):
    private = [str(harness.ROOT / "tests/support/private_host"), str(tmp_path)]
    if os.getuid() != 0 or subprocess.run([*private, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine gives no namespace or overlay")

    def run(address, network, *arguments):
        done = subprocess.run([*private, "/usr/bin/python3", "-c", HOST, harness.program(), address, network, *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])
    return run


def test_everything_is_found_out(host):
    """Name, address and certificate; and what was written can be read by the account it is for."""
    told = host("192.0.2.25", "ip route add default dev lo src 192.0.2.25")
    assert (told["hostname"], told["addresses"]) == ("mx.fwd.test", [ADDRESS])
    assert told["certificate"] == "/etc/letsencrypt/live/some-name/fullchain.pem"
    assert told["rights"].split("\n")[:-1] == [f"{name} 640 postilion" for name in ("srs.secret", "s1.pem", "tls/privkey.pem")]
    assert "good, 1 domain, 2 aliases" in told["check"] and told["readable"] == 0
    assert "source" not in told["configuration"]
    assert [file["path"] for file in told["files"]] == [f"/etc/postilion/{name}" for name in (
        "srs.secret", "s1.pem", "fwd.test.aliases", "tls/fullchain.pem", "tls/privkey.pem", "postilion.conf")]


def test_ipv6_without_a_reverse_name_is_not_sent_from(host):
    told = host("192.0.2.25", """ip address add 2001:db8::25/128 dev lo
        ip route add default dev lo src 192.0.2.25
        ip -6 route add default dev lo src 2001:db8::25""")
    assert told["addresses"] == [ADDRESS]
    assert "2001:db8::25 has no reverse name yet" in told["configuration"]
    assert "delivery {\n    source 192.0.2.25\n}" in told["configuration"] and "good" in told["check"]


def test_behind_nat_dns_knows_the_address(host):
    told = host("198.51.100.7", """ip address del 192.0.2.25/32 dev lo
        ip address add 10.1.2.3/32 dev lo
        ip route add default dev lo src 10.1.2.3""", "--hostname", "mx.fwd.test")
    assert (told["hostname"], told["addresses"]) == ("mx.fwd.test", ["198.51.100.7"])
