"""postilion key make|show: keys for seals. What it prints is read by other people's code: dnspython
reads the zone, cryptography the key, dkimpy verifies with the record."""
import os
import re
import stat
import subprocess

import dkim
import dns.rdatatype
import dns.zone
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import harness

USAGE, BAD_DATA, NO_INPUT, CANNOT_CREATE = 64, 65, 66, 73


@pytest.fixture
def key(tmp_path):
    def run(*arguments, status=0):
        result = subprocess.run([harness.program(), "key", *map(str, arguments)], capture_output=True,
                                cwd=tmp_path, timeout=60, text=True)
        assert result.returncode == status, (result.stdout, result.stderr)
        return result
    return run


def record_of(zone_text, name, origin="example.org."):
    """The TXT record as a name server that loads this text would give it; and its strings."""
    zone = dns.zone.from_text(f"@ 60 IN SOA ns.{origin} root.{origin} 1 1 1 1 1\n@ IN NS ns.example.com.\n$TTL 60\n"
                              + zone_text, origin=origin)
    strings = zone.find_rdataset(name, dns.rdatatype.TXT)[0].strings
    return b"".join(strings).decode(), strings


def tags_of(record):
    return dict(part.strip().split("=", 1) for part in record.split(";"))


def load(path):
    return serialization.load_pem_private_key(path.read_bytes(), None)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_make(key, tmp_path, kind):
    before = os.umask(0)
    try:
        result = key("make", "s1", "--domain", "example.org", "--type", kind)
    finally:
        os.umask(before)
    path = tmp_path / "s1.example.org.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    private = load(path)
    record, strings = record_of(result.stdout, "s1._domainkey")
    tags = tags_of(record)
    assert list(tags) == ["v", "k", "p"] and tags["v"] == "DKIM1" and tags["k"] == kind
    if kind == "rsa":
        assert isinstance(private, rsa.RSAPrivateKey) and private.key_size == 2048
        assert len(strings) == 2 and len(strings[0]) == 255
    else:
        assert isinstance(private, ed25519.Ed25519PrivateKey) and len(strings) == 1
    assert result.stdout.splitlines()[0].startswith("s1._domainkey.example.org. IN TXT ( \"v=DKIM1; ")
    comments = result.stdout.splitlines()[1:]
    assert all(line.startswith(";") for line in comments)
    for words in (r"seal \{", r"domain +example\.org", r"selector +s1", r"key-file +s1\.example\.org\.pem"):
        assert re.search(words, result.stdout), words
    assert result.stderr == ""


def test_rsa_is_the_default_and_dkimpy_verifies_with_the_record(key, tmp_path):
    record, _ = record_of(key("make", "s1", "--out", "my.key").stdout, "s1._domainkey")
    message = b"From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n"
    pem = load(tmp_path / "my.key").private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                                  serialization.NoEncryption())
    signature = dkim.sign(message, b"s1", b"example.org", pem)

    def published(name, timeout=5):
        assert name == b"s1._domainkey.example.org."
        return record.encode()
    assert dkim.verify(signature + message, dnsfunc=published)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_show_says_what_make_said(key, kind):
    made = key("make", "s1", "--domain=example.org", "--type=" + kind).stdout.splitlines()[0]
    show = key("show", "s1.example.org.pem", "--selector", "s1", "--domain", "example.org")
    assert show.stdout == made + "\n" and show.stderr == ""
    record, _ = record_of(made, "s1._domainkey")
    assert key("show", "s1.example.org.pem").stdout == record + "\n"
    relative = key("show", "s1.example.org.pem", "--selector", "s1").stdout
    assert record_of(relative, "s1._domainkey")[0] == record


def test_a_key_is_never_written_over(key, tmp_path):
    key("make", "s1")
    before = (tmp_path / "s1.pem").read_bytes()
    result = key("make", "s1", status=CANNOT_CREATE)
    assert "s1.pem: it is there already" in result.stderr and result.stdout == ""
    assert (tmp_path / "s1.pem").read_bytes() == before
    os.symlink("nowhere.pem", tmp_path / "link.pem")
    key("make", "link", status=CANNOT_CREATE)
    assert not (tmp_path / "nowhere.pem").exists()
    assert "No such file" in key("make", "s1", "--out", "no/such/s1.pem", status=CANNOT_CREATE).stderr


def test_names(key, tmp_path):
    upper = key("make", "S1", "--domain", "Example.ORG.").stdout
    assert upper.startswith("s1._domainkey.example.org. IN") and (tmp_path / "s1.example.org.pem").exists()
    assert key("make", "2026.mx-1", "--domain", "bücher.example", "--type", "ed25519").stdout.startswith(
        "2026.mx-1._domainkey.xn--bcher-kva.example. IN")
    for selector in ("", "-s", "s-", "s..1", "s1.", ".s1", "s_1", "a b", "s/../1", "x" * 64, "ü"):
        if not selector.startswith("--"):
            assert key("make", selector, status=USAGE).stdout == "", selector
    for domain in ("", "org", "a b.org", "a_b.org", "-a.org", "a..org", "x" * 64 + ".org", "a.org/x"):
        assert key("make", "s2", "--domain", domain, status=USAGE).stdout == "", domain
    long = ".".join(["x" * 60] * 4)
    assert "too long" in key("make", "s2", "--domain", long, status=USAGE).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2026.mx-1.xn--bcher-kva.example.pem", "s1.example.org.pem"]


@pytest.mark.parametrize("words", [
    [], ["make"], ["show"], ["destroy", "s1"], ["make", "s1", "s2"], ["make", "s1", "--type", "dsa"],
    ["make", "s1", "--domain"], ["make", "s1", "--selector", "s2"], ["make", "s1", "--out="],
    ["show", "f", "--type", "rsa"], ["show", "f", "--domain", "example.org"], ["make", "s1", "--what=x"]])
def test_usage(key, tmp_path, words):
    result = key(*words, status=USAGE)
    assert "usage: postilion key make SELECTOR" in result.stderr and result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_key(key, tmp_path):
    path = tmp_path / "some.pem"
    assert "No such file" in key("show", path, status=NO_INPUT).stderr
    for private, why in ((rsa.generate_private_key(65537, 1024), "2048"), (ec.generate_private_key(ec.SECP256R1()), "neither")):
        path.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        path.chmod(0o600)
        assert why in key("show", path, status=BAD_DATA).stderr
    path.write_bytes(os.urandom(1000))
    assert "PEM" in key("show", path, status=BAD_DATA).stderr


def test_show_warns_of_an_open_file(key, tmp_path):
    key("make", "s1")
    (tmp_path / "s1.pem").chmod(0o644)
    result = key("show", "s1.pem")
    assert "warning: anybody" in result.stderr and result.stdout.startswith("v=DKIM1; k=rsa; p=")


def test_help(key):
    assert key("--help").stdout.startswith("usage: postilion key make SELECTOR|show FILE")
