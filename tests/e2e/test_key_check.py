"""postilion check: do the keys of seals stand in DNS? Against a real resolver, a silent one and none."""
import socket
import time

import pytest

import harness
from test_dkim_interop import ED25519, RSA, make_rsa

CONFIG_ERROR = 78
NAME = "s1._domainkey.fwd.test"
OTHER = make_rsa(2048)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "s1.pem"
    path.write_bytes(RSA.pem)
    path.chmod(0o600)
    return path


def seal(path, domain="fwd.test", selector="s1"):
    return f"seal {{\n    domain {domain}\n    selector {selector}\n    key-file {path}\n}}"


@pytest.fixture
def check(postilion, resolver, key_file):
    """Runs `check` with one key; `records` is what DNS has at its name, None: no such name."""
    def run(records=None, *arguments, status=0, zone=None, port=None, **settings):
        if port is None:
            zone = dict(zone or {"fwd.test": [("A", "127.0.0.1")]})
            if records is not None:
                zone[NAME] = records
            port = resolver(zone).port
        settings.setdefault("extra", seal(key_file))
        daemon = postilion(resolver_port=port, **settings)
        done = daemon.command("check", *arguments, check=False)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done
    return run


def txt(*texts):
    return [("TXT", text) for text in texts]


@pytest.mark.parametrize("record", [RSA.record, f"p={RSA.p}", f"v=DKIM1; h=sha256; s=email; t=s; p={RSA.p}"])
def test_published(check, record):
    done = check(txt(record))
    assert "_domainkey" not in done.stdout + done.stderr and "note:" not in done.stderr
    assert "good" in done.stdout and "warning" not in done.stdout


def test_published_behind_a_cname(check):
    zone = {"keys.test": txt(RSA.record), NAME: [("CNAME", "keys.test.")]}
    assert "_domainkey" not in check(zone=zone).stderr


@pytest.mark.parametrize("record, words", [
    (OTHER.record, "DNS has another key"),
    (ED25519.record, "DNS has another key"),
    ("v=DKIM1; k=rsa; p=", "revoked"),
    (f"v=DKIM1; h=sha1; p={RSA.p}", "keeps it from signing mail"),
    (f"v=DKIM1; s=tlsrpt; p={RSA.p}", "keeps it from signing mail"),
], ids=["another", "another type", "revoked", "h=", "s="])
def test_wrong(check, record, words):
    done = check(txt(record), status=CONFIG_ERROR)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(NAME)]
    assert line.startswith(f"{NAME}: error: ") and words in line
    assert f"\n  DNS:  {record}\n" in done.stderr
    assert f"\n  ours: {RSA.record}\n" in done.stderr
    assert "1 error" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("records", [None, [("A", "127.0.0.1")]], ids=["nxdomain", "nodata"])
def test_missing(check, records):
    done = check(records)
    assert f"{NAME}: warning: DNS has no record for this key" in done.stderr
    published = f'  publish: {NAME}. IN TXT ( "v=DKIM1; k=rsa; p='
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(published)]
    assert "".join(line.split('"')[1::2]) == RSA.record
    assert "good" in done.stdout and "1 warning" in done.stdout


def test_no_key_record(check):
    """The text of strangers does not reach the terminal as it is."""
    done = check(txt("v=spf1 -all \\027[2J\\\\"))
    assert f"{NAME}: warning: what DNS has is no key record" in done.stderr
    assert "  DNS:  v=spf1 -all \\027[2J\\092\n" in done.stderr
    assert f"  publish: {NAME}. IN TXT" in done.stderr


def test_several_records(check):
    done = check(txt(RSA.record, OTHER.record))
    assert f"{NAME}: warning: DNS has our key, but other TXT records" in done.stderr
    assert "DNS has another key" in check(txt(OTHER.record, "v=spf1 -all"), status=CONFIG_ERROR).stderr


@pytest.mark.parametrize("kind", ["closed", "silent", "servfail"])
def test_no_answer_is_no_error(check, key_file, kind):
    """And takes three seconds at most."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = {"closed": harness.free_port(), "silent": silent.getsockname()[1], "servfail": None}[kind]
        domain = "servfail.test" if kind == "servfail" else "fwd.test"
        start = time.monotonic()
        done = check(port=port, extra=seal(key_file, domain))
        assert time.monotonic() - start < 3 + harness.PATIENCE / 2
    assert "note: 1 key was not compared with DNS: " in done.stderr
    assert "error" not in done.stderr and "good" in done.stdout and "warning" not in done.stdout


@pytest.mark.parametrize("argument", ["--no-dns", "--dump"])
def test_without_dns(check, argument):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as watched:
        watched.bind(("127.0.0.1", 0))
        watched.settimeout(0.2)
        done = check(None, argument, port=watched.getsockname()[1])
        assert "note:" not in done.stderr
        with pytest.raises(TimeoutError):
            watched.recv(1000)


def test_nothing_is_asked_without_a_seal(check):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as watched:
        watched.bind(("127.0.0.1", 0))
        watched.settimeout(0.2)
        assert "note:" not in check(port=watched.getsockname()[1], extra="").stderr
        with pytest.raises(TimeoutError):
            watched.recv(1000)


def test_many_keys(check, key_file):
    """More than DNS facts hold at once; one of them is there, one is another."""
    domains = [f"d{number}.test" for number in range(300)]
    extra = "\n".join(f"domain {domain} {{\nforward postmaster to a@dest.test\nforward abuse to a@dest.test\n"
                      f"{seal(key_file, domain)}\n}}" for domain in domains)
    zone = {"s1._domainkey.d7.test": txt(RSA.record), "s1._domainkey.d299.test": txt(OTHER.record)}
    done = check(zone=zone, extra=extra, status=CONFIG_ERROR)
    lines = done.stderr.splitlines()
    told = {line.split(":")[0]: line.split(": ")[1] for line in lines if line.startswith("s1._domainkey.d")}
    assert told == {f"s1._domainkey.{domain}": "error" if domain == "d299.test" else "warning"
                    for domain in domains if domain != "d7.test"}
    assert "1 error, 298 warnings" in done.stderr
