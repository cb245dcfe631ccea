"""What other people's programs find when they look at our TLS: testssl.sh, swaks, openssl s_client."""
import json
import os
import signal
import subprocess

import pytest

from harness import PATIENCE, run
from test_starttls import implicit_port, keys, tls_block  # noqa: F401 (a fixture)

PROTOCOLS = {"SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered",
             "TLS1_2": "offered", "TLS1_3": "offered with final"}
CIPHERS = {"cipherlist_NULL": "not offered", "cipherlist_aNULL": "not offered", "cipherlist_EXPORT": "not offered",
           "cipherlist_LOW": "not offered", "cipherlist_3DES_IDEA": "not offered", "cipherlist_STRONG": "offered"}
ATTACKS = {"PFS": "offered", "heartbleed": "not vulnerable", "ROBOT": "not vulnerable", "CRIME_TLS": "not vulnerable",
           "secure_renego": "supported", "secure_client_renego": "not vulnerable"}
CERTIFICATES = {"certs_list_ordering_problem": "no", "cert_chain_of_trust": "passed", "cert_trust": "Ok via SAN",
                "certs_countServer": "2", "cert_commonName": ""}
NOT_OURS = {"cert_revocation"}  # there is no such server here


def look_at(port, report, authority, *arguments):
    """What testssl.sh finds: [(what, how bad, in words)]."""
    words = ["testssl", *arguments, "--ip", "127.0.0.1", "-n", "none", "--color", "0", "--warnings", "off", "--quiet", "--fast",
             "--openssl-timeout", "20", "--connect-timeout", "20", "--add-ca", str(authority), "--jsonfile", str(report),
             f"mx.fwd.test:{port}"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          cwd=report.parent, start_new_session=True) as looking:
        try:
            said, _ = looking.communicate(timeout=PATIENCE * 10)
        except subprocess.TimeoutExpired:
            os.killpg(looking.pid, signal.SIGKILL)  # with all the programs it has started
            raise
    assert report.exists(), said
    return [(finding["id"].split(" <")[0], finding["severity"], finding["finding"])
            for finding in json.loads(report.read_text())]


def judge(findings, wanted):
    """What is wanted was looked at, and says so; nothing at all is worse than LOW."""
    assert set(wanted) <= {what for what, _, _ in findings}, findings
    for what, severity, text in findings:
        assert text.startswith(wanted.get(what, "")), (what, severity, text)
        assert severity not in ("MEDIUM", "HIGH", "CRITICAL") or what in NOT_OURS, (what, severity, text)


@pytest.fixture
def server(world, keys, tmp_path):
    """A daemon with a chain for each kind of key, and a second listener with implicit TLS."""
    chains = []
    for kind in ("ec", "rsa"):
        chains.append((tmp_path / f"{kind}.chain", keys[kind][1]))
        chains[-1][0].write_text(keys[kind][0].read_text() + keys["authority"][0].read_text())
    world.start(extra=tls_block(*chains) + "\nlisten 127.0.0.1:0 {\n    tls implicit\n}\n")
    return world.daemon


def test_testssl_finds_nothing_wrong(server, keys, tmp_path):
    findings = look_at(server.port, tmp_path / "report", keys["authority"][0], "--starttls", "smtp", "--protocols", "--std",
                       "--pfs", "--renegotiation", "--robot", "--heartbleed", "--compression", "--server-defaults")
    judge(findings, {**PROTOCOLS, **CIPHERS, **ATTACKS, **CERTIFICATES})
    assert {text for what, _, text in findings if what == "cert_commonName"} == {"ec", "rsa"}


def test_testssl_finds_nothing_wrong_with_implicit_tls(world, server, keys, tmp_path):
    judge(look_at(implicit_port(world), tmp_path / "report", keys["authority"][0], "--protocols"), PROTOCOLS)


# --- swaks --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["--tls", "--tls-on-connect"])
def test_swaks_sends_by_tls(world, keys, how):
    hop = world.hop()
    world.start(extra=tls_block(keys["ec"]) + "\nlisten 127.0.0.1:0 {\n    tls implicit\n}\n")
    port = world.daemon.port if how == "--tls" else implicit_port(world)
    words = ["swaks", "--server", "127.0.0.1", "--port", str(port), how, "--tls-verify", "--tls-sni", "mx.fwd.test", "--from",
             "anna@sender.test", "--to", "info@fwd.test", "--header", "Subject: sealed"]
    result = run([*words, "--tls-ca-path", str(keys["authority"][0])])
    assert result.returncode == 0 and " ~> ." in result.stdout and "TLS started with cipher TLSv1.3" in result.stdout, \
        result.stdout + result.stderr
    header = hop.wait()[0].header()
    assert b"Subject: sealed" in header and b"with ESMTPS id" in header and b"(using TLSv1.3 with cipher" in header
    result = run([*words, "--tls-ca-path", str(keys["other"][0])])  # an authority that did not sign it
    assert result.returncode == 29 and len(hop.messages) == 1, result.stdout + result.stderr


# --- openssl s_client ---------------------------------------------------------------------


def s_client(port, keys, *arguments, said="QUIT\r\n"):
    result = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-starttls", "smtp", "-CAfile",
                  str(keys["authority"][0]), *arguments], input=said)
    return result.stdout + result.stderr


def test_every_cipher_has_forward_secrecy(server, keys):
    """Of all that openssl can do with TLS 1.2, one after the other."""
    names = run("openssl ciphers -s -tls1_2 ALL:@SECLEVEL=0").stdout.strip().split(":")
    taken = [name for name in names
             if f"Cipher is {name}\n" in s_client(server.port, keys, "-tls1_2", "-cipher", f"{name}:@SECLEVEL=0")]
    assert "AES256-GCM-SHA384" in names and len(names) > 20
    assert len(taken) >= 8 and all(name.startswith("ECDHE-") for name in taken), taken


def test_no_certificate_is_asked_of_a_client(server, keys):
    for version in ("-tls1_2", "-tls1_3"):
        said = s_client(server.port, keys, "-msg", version, "-cert", str(keys["other"][0]), "-key", str(keys["other"][1]))
        assert "<<< TLS 1." in said and ", Certificate\n" in said, said  # so it tells what comes
        assert "CertificateRequest" not in said and "Verify return code: 0 (ok)" in said, said


def test_names_by_s_client(world, keys):
    world.start(extra=tls_block(keys["ec"], keys["rsa"], keys["other"]))
    for name, want in (("mx.fwd.test", "ec"), ("other.test", "other"), ("a.wild.test", "other"), ("stranger.test", "ec"),
                       ("../../etc/passwd", "ec"), ("%n%n%n%n", "ec"), ("a" * 255, "ec"), ("mx.fwd.test\\", "ec")):
        assert f"subject=CN = {want}\n" in s_client(world.daemon.port, keys, "-servername", name), name


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_does_not_outlive_the_process(world, keys, tmp_path, version):
    world.start(extra=tls_block(keys["ec"]))
    ticket = tmp_path / "ticket"
    # -ign_eof: a ticket of TLS 1.3 comes behind the handshake, and is there before the answer to QUIT
    arguments = [version, "-ign_eof"]
    assert ", Cipher is" in s_client(world.daemon.port, keys, *arguments, "-sess_out", str(ticket))
    assert "Reused, TLSv1." in s_client(world.daemon.port, keys, *arguments, "-sess_in", str(ticket))
    assert world.daemon.stop() == 0
    world.daemon.start()
    assert "New, TLSv1." in s_client(world.daemon.port, keys, *arguments, "-sess_in", str(ticket))


def test_renegotiation_is_declined(server, keys):
    # s_client asks for it when a line is R
    said = s_client(server.port, keys, "-tls1_2", said="R\nNOOP\r\nQUIT\r\n")
    assert "RENEGOTIATING" in said and "no renegotiation" in said, said
