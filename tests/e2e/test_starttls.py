"""TLS from clients: STARTTLS and implicit, certificates by kind and by name, tickets, and what must not pass."""
import os
import re
import signal
import socket
import ssl
import time

import pytest

from harness import Client, PATIENCE, a_message, lasting_port, program, run, stuff, wait_until

BANNER = "220 mx.fwd.test ESMTP postilion"


def make_certificate(directory, label, names=("mx.fwd.test",), kind="ec", days=90, issuer=None, authority=False):
    """(certificate, key) as paths; signed by `issuer`, another such pair, or by itself."""
    certificate, key, request = (directory / f"{label}.{suffix}" for suffix in ("pem", "key", "csr"))
    form = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", f"rsa:{kind}"]
    extensions = directory / f"{label}.ext"
    extensions.write_text("basicConstraints=critical,CA:TRUE\n" if authority else
                          "subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
    run(["openssl", "req", "-new", *form, "-nodes", "-keyout", str(key), "-out", str(request), "-subj", f"/CN={label}"],
        check=True)
    signer = (["-CA", str(issuer[0]), "-CAkey", str(issuer[1]), "-CAcreateserial"] if issuer
              else ["-signkey", str(key)])
    run(["openssl", "x509", "-req", "-in", str(request), "-out", str(certificate), "-days", str(days), "-extfile",
         str(extensions), *signer], check=True)
    key.chmod(0o600)
    return certificate, key


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    authority = make_certificate(directory, "authority", authority=True)
    return {
        "directory": directory,
        "authority": authority,
        "ec": make_certificate(directory, "ec", issuer=authority),
        "rsa": make_certificate(directory, "rsa", kind="2048", issuer=authority),
        "other": make_certificate(directory, "other", ["other.test", "*.wild.test"], issuer=authority),
        "new": make_certificate(directory, "new", issuer=authority),
        "old": make_certificate(directory, "old", days=-1, issuer=authority),
        "soon": make_certificate(directory, "soon", days=5, issuer=authority),
    }


def tls_block(*pairs):
    return "tls {\n" + "".join(f"    certificate {pair[0]}\n    key {pair[1]}\n" for pair in pairs) + "}"


def context_for(keys, **options):
    context = ssl.create_default_context(cafile=str(keys["authority"][0]))
    for name, value in options.items():
        if name == "ciphers":
            context.set_ciphers(value)
        else:
            setattr(context, name, value)
    return context


class SecureClient(Client):
    """A raw client that can start TLS."""

    def start_tls(self, context, name="mx.fwd.test", session=None, is_asked=True):
        if is_asked:
            self.expect("STARTTLS", 220)
        self.stream.close()
        self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)
        self.stream = self.socket.makefile("rb")
        return self

    def common_name(self):
        return dict(pair[0] for pair in self.socket.getpeercert()["subject"])["commonName"]


def implicit_port(world, number=1):
    return int(world.daemon.log("listening")[number]["address"].rsplit(":", 1)[1])


# --- what is offered ----------------------------------------------------------------------


def test_nothing_is_offered_without_a_certificate(world):
    world.start()
    with Client(world.daemon.port) as client:
        assert not any("STARTTLS" in line for line in client.expect("EHLO a.test", 250))
        client.expect("STARTTLS", 502)
        client.expect("NOOP", 250)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_message(world, keys, version):
    hop = world.hop()
    world.start(extra=tls_block(keys["ec"], keys["rsa"]))
    context = context_for(keys, minimum_version=version, maximum_version=version)
    with SecureClient(world.daemon.port) as client:
        assert "250-STARTTLS" in client.expect("EHLO clear.test", 250)
        client.start_tls(context)
        assert client.command("MAIL FROM:<anna@sender.test>")[0] == 503  # the greeting is forgotten
        assert not any("STARTTLS" in line for line in client.expect("EHLO secret.test", 250))
        client.expect("STARTTLS", 503)
        code, lines = client.message("anna@sender.test", "info@fwd.test", a_message())
        assert code == 250, lines
        protocol, cipher = client.socket.version(), client.socket.cipher()[0]
        client.expect("QUIT", 221)
        assert client.is_closed()
    received = re.sub(r"\s+", " ", hop.wait()[0].header().decode())
    assert "from secret.test (unknown [127.0.0.1])" in received
    assert f"(using {protocol} with cipher {cipher}) by mx.fwd.test with ESMTPS id" in received
    assert world.daemon.wait_log("accepted", tls=protocol, cipher=cipher, helo="secret.test")
    assert world.daemon.wait_log("session-end", tls=protocol, cipher=cipher, why="quit")


def test_names_of_protocols(world, keys):
    hop = world.hop(keywords=["SMTPUTF8", "8BITMIME"])
    world.start(extra=tls_block(keys["ec"]))
    for greeting, parameters, want in (("HELO a.test", "", "with SMTP id"), ("EHLO a.test", "", "with ESMTPS id"),
                                       ("EHLO a.test", " SMTPUTF8", "with UTF8SMTPS id")):
        with SecureClient(world.daemon.port) as client:
            client.hello().start_tls(context_for(keys))
            client.expect(greeting, 250)
            client.expect("MAIL FROM:<anna@sender.test>" + parameters, 250)
            client.expect("RCPT TO:<info@fwd.test>", 250)
            client.expect("DATA", 354)
            client.send(a_message(subject=want.split()[1]) + b".\r\n")
            assert client.reply()[0] == 250
    headers = [message.header().decode() for message in hop.wait(3)]
    for want in ("with SMTP id", "with ESMTPS id", "with UTF8SMTPS id"):
        assert any(want in header and "(using TLSv1.3" in header for header in headers), (want, headers)


def test_pipelining_and_chunks_inside(world, keys):
    hop = world.hop()
    world.start(extra=tls_block(keys["ec"]))
    body = a_message(body="x" * 70000)
    with SecureClient(world.daemon.port) as client:
        client.hello().start_tls(context_for(keys)).hello()
        client.send(b"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<info@fwd.test>\r\nRCPT TO:<sales@fwd.test>\r\nDATA\r\n")
        assert [client.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
        client.send(stuff(a_message(subject="one")) + b".\r\nRSET\r\nMAIL FROM:<anna@sender.test>\r\n"
                    b"RCPT TO:<info@fwd.test>\r\nBDAT 1000\r\n" + body[:1000] +
                    f"BDAT {len(body) - 1000} LAST\r\n".encode() + body[1000:] + b"QUIT\r\n")
        assert [client.reply()[0] for _ in range(7)] == [250, 250, 250, 250, 250, 250, 221]
        assert client.is_closed()
    assert any(message.data.endswith(b"x" * 70000 + b"\r\n") for message in hop.wait(2))


def test_openssl_s_client(world, keys):
    world.start(extra=tls_block(keys["ec"], keys["rsa"]))
    for arguments, want in ((["-sigalgs", "RSA-PSS+SHA256"], "CN = rsa"), (["-sigalgs", "ECDSA+SHA256"], "CN = ec"),
                            ([], "CN = ec"), (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "CN = rsa"),
                            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "CN = ec")):
        result = run(["openssl", "s_client", "-connect", f"127.0.0.1:{world.daemon.port}", "-starttls", "smtp", "-CAfile",
                      str(keys["authority"][0]), *arguments], input="QUIT\r\n")
        assert f"subject={want}" in result.stdout and "Verify return code: 0 (ok)" in result.stdout, result.stdout + result.stderr
        assert "Compression: NONE" in result.stdout
    result = run(["openssl", "s_client", "-connect", f"127.0.0.1:{world.daemon.port}", "-starttls", "smtp", "-tls1_1",
                  "-cipher", "DEFAULT:@SECLEVEL=0"], input="QUIT\r\n")
    assert "Cipher is (NONE)" in result.stdout


def test_certificates_by_name(world, keys):
    world.start(extra=tls_block(keys["ec"], keys["rsa"], keys["other"]))
    context = context_for(keys)
    for name, want in (("mx.fwd.test", "ec"), ("other.test", "other"), ("a.wild.test", "other"), ("OTHER.test", "other")):
        with SecureClient(world.daemon.port) as client:
            assert client.hello().start_tls(context, name).common_name() == want
    context.check_hostname = False
    for name in ("stranger.test", None):
        with SecureClient(world.daemon.port) as client:
            assert client.hello().start_tls(context, name).common_name() == "ec"
    with SecureClient(world.daemon.port) as client:  # it has no RSA certificate for that name
        rsa = context_for(keys, maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-RSA-AES128-GCM-SHA256")
        client.hello().expect("STARTTLS", 220)
        with pytest.raises(ssl.SSLError):
            client.start_tls(rsa, "other.test", is_asked=False)
    assert "no shared cipher" in world.daemon.wait_log("client-tls-failed")["why"]


# --- sessions -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumption_on_every_loop_and_after_a_reload(world, keys, version):
    world.start(extra="workers 3\n" + tls_block(keys["ec"], keys["rsa"]))
    context = context_for(keys, minimum_version=version, maximum_version=version)
    session, kept = None, []
    for number in range(8):
        if number == 6:
            world.daemon.write_config(extra="workers 3\n" + tls_block(keys["new"], keys["rsa"]))
            world.daemon.signal(signal.SIGHUP)
            world.daemon.wait_log("reloaded")
        client = SecureClient(world.daemon.port)  # the ones before stay open: each loop gets some
        kept.append(client.hello().start_tls(context, session=session).hello())
        assert client.socket.session_reused == (number > 0)
        session = client.socket.session
        assert session.has_ticket
    for client in kept:
        client.expect("QUIT", 221)
        client.close()


def test_reload_with_a_new_certificate(world, keys):
    hop = world.hop()
    world.start(extra=tls_block(keys["ec"]))
    context = context_for(keys)
    with SecureClient(world.daemon.port) as before, SecureClient(world.daemon.port) as waiting:
        before.hello().start_tls(context).hello()
        waiting.hello()
        before.envelope("anna@sender.test", "info@fwd.test")
        world.daemon.write_config(extra=tls_block(keys["new"]))
        world.daemon.signal(signal.SIGHUP)
        world.daemon.wait_log("reloaded")
        with SecureClient(world.daemon.port) as after:
            assert after.hello().start_tls(context).common_name() == "new"
        before.send(stuff(a_message()) + b".\r\n")
        assert before.reply()[0] == 250
        assert before.common_name() == "ec"
        assert waiting.start_tls(context).common_name() in ("ec", "new")
        waiting.hello().expect("QUIT", 221)
    hop.wait()
    world.daemon.write_config(extra=tls_block((keys["new"][0], keys["ec"][1])))  # a key of another
    world.daemon.signal(signal.SIGHUP)
    world.daemon.wait_log("reload-failed")
    assert "not the one of the certificate" in world.daemon.wait_log("config-error")["why"]
    with SecureClient(world.daemon.port) as client:
        assert client.hello().start_tls(context).common_name() == "new"


def test_starttls_after_it_was_taken_away(world, keys):
    world.start(extra=tls_block(keys["ec"]))
    with SecureClient(world.daemon.port) as client:
        client.hello()
        world.daemon.write_config(extra="")
        world.daemon.signal(signal.SIGHUP)
        world.daemon.wait_log("reloaded")

        def new_rules_hold():  # they are taken with a message
            client.expect("MAIL FROM:<anna@sender.test>", 250)
            client.expect("RSET", 250)
            with Client(world.daemon.port) as other:
                return not any("STARTTLS" in line for line in other.expect("EHLO a.test", 250))
        wait_until(new_rules_hold, "the new configuration")
        client.expect("MAIL FROM:<anna@sender.test>", 250)
        client.expect("RSET", 250)
        assert client.command("STARTTLS")[1] == ["454 4.7.0 TLS is not available now"]
        client.hello().expect("STARTTLS", 502)


# --- what must not pass -------------------------------------------------------------------


@pytest.mark.parametrize("behind", [b"MAIL FROM:<evil@sender.test>\r\n", b"\r\n", b"x", b"\x16\x03\x01\x02\x00\x01"],
                         ids=["command", "empty line", "octet", "handshake"])
def test_what_stands_behind_starttls_in_clear(world, keys, behind):
    world.start(extra=tls_block(keys["ec"]))
    with SecureClient(world.daemon.port) as client:
        client.hello()
        client.send(b"STARTTLS\r\n" + behind)
        code, lines = client.reply()
        assert code == 554 and lines[0].startswith("554 5.5.0 ")
        assert client.is_closed()
    assert world.daemon.wait_log("starttls-injection")["octets"] == str(len(behind))
    assert world.daemon.wait_log("session-end", why="starttls-injection")


def test_what_comes_in_clear_after_the_answer(world, keys):
    world.start(extra=tls_block(keys["ec"]))
    with SecureClient(world.daemon.port) as client:
        client.hello().expect("STARTTLS", 220)
        client.send(b"MAIL FROM:<evil@sender.test>\r\n")
        rest = client.stream.read()
        assert b"250" not in rest and not rest[:1].isdigit()  # at most an alert
    line = world.daemon.wait_log("client-tls-failed")
    assert line["why"].startswith("handshake: ") and world.daemon.wait_log("session-end", why="tls")


def test_what_was_said_before_is_forgotten(world, keys):
    world.start(extra="trust 127.0.0.8\n" + tls_block(keys["ec"]))
    with SecureClient(world.daemon.port, source="127.0.0.8") as client:
        client.hello().expect("XCLIENT ADDR=192.0.2.77 HELO=forged.test", 220)
        client.hello()
        client.expect("MAIL FROM:<evil@sender.test>", 250)
        client.expect("STARTTLS", 503)  # not inside a transaction
        client.expect("RSET", 250)
        client.expect("STARTTLS now", 501)
        client.start_tls(context_for(keys))
        assert client.command("RCPT TO:<info@fwd.test>")[0] == 503
        client.expect("EHLO own.test", 250)
        assert client.message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
        client.expect("XCLIENT ADDR=192.0.2.78", 220)  # it still is a relay of ours
        client.hello()
        assert client.message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
    world.daemon.wait_log("accepted", count=2)
    first, second = world.daemon.log("accepted")
    assert (first["client"], first["helo"], first.get("via")) == ("127.0.0.8", "own.test", None)
    assert (second["client"], second["via"], second["tls"]) == ("192.0.2.78", "127.0.0.8", "TLSv1.3")


def test_before_the_greeting(world, keys):
    world.start(extra=tls_block(keys["ec"]))
    with Client(world.daemon.port) as client:
        client.expect("STARTTLS", 503)
        client.hello().expect("NOOP", 250)


@pytest.mark.parametrize("octets", [b"\x00" * 2000, b"\x16\x03\x01\xff\xff" + b"\xff" * 100000, os.urandom(300),
                                    b"GET / HTTP/1.0\r\n\r\n", b"\x80\x2e\x01\x00\x02"],
                         ids=["zeros", "too long", "random", "http", "sslv2"])
def test_garbage_for_a_handshake(world, keys, octets):
    world.start(extra=tls_block(keys["ec"]))
    with SecureClient(world.daemon.port) as client:
        client.hello().expect("STARTTLS", 220)
        try:
            client.send(octets)
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        assert world.daemon.wait_log("client-tls-failed")["why"].startswith("handshake: ")
    with SecureClient(world.daemon.port) as client:
        client.hello().start_tls(context_for(keys)).hello()


def test_a_slow_handshake_is_cut(world, keys):
    world.start(extra=tls_block(keys["ec"]), limits="command-timeout 2s")
    with SecureClient(world.daemon.port) as client, SecureClient(world.daemon.port) as quick:
        client.hello().expect("STARTTLS", 220)
        begun = time.monotonic()
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600
        quick.hello().start_tls(context_for(keys)).hello()  # the others are not disturbed
        try:
            for octet in hello:
                client.send(bytes([octet]))
                time.sleep(0.05)
                quick.expect("NOOP", 250)
                assert time.monotonic() - begun < PATIENCE
        except OSError:
            pass
        assert 1.5 < time.monotonic() - begun < 15
    assert "timeout" in world.daemon.wait_log("client-tls-failed")["why"]


def test_a_drain_waits_for_no_handshake_for_ever(world, keys):
    world.start(extra=tls_block(keys["ec"]), limits="command-timeout 2s")
    with SecureClient(world.daemon.port) as client:
        client.hello().expect("STARTTLS", 220)
        assert world.daemon.stop() == 0


# --- listeners ----------------------------------------------------------------------------


def test_implicit_tls_and_none(world, keys):
    hop = world.hop()
    world.start(extra=tls_block(keys["ec"]) + "\nlisten 127.0.0.1:0 {\n    tls implicit\n}\n"
                "listen 127.0.0.1:0 {\n    tls off\n}\n")
    with SecureClient(implicit_port(world), greet=False) as client:
        client.start_tls(context_for(keys), is_asked=False)
        assert client.reply() == (220, [BANNER])
        assert not any("STARTTLS" in line for line in client.expect("EHLO a.test", 250))
        client.expect("STARTTLS", 503)
        assert client.message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
        client.expect("QUIT", 221)
    assert b"with ESMTPS id" in hop.wait()[0].header()
    with Client(implicit_port(world, 2)) as client:
        assert not any("STARTTLS" in line for line in client.expect("EHLO a.test", 250))
        client.expect("STARTTLS", 502)
    with Client(world.daemon.port) as client:
        assert "250-STARTTLS" in client.expect("EHLO a.test", 250)


@pytest.mark.parametrize("tls,is_at_once", [("implicit", True), ("implicit", False), ("starttls", False)])
def test_behind_a_proxy(world, keys, tls, is_at_once):
    hop = world.hop()
    world.start(extra="trust 127.0.0.8\n" + tls_block(keys["ec"]) + f"\nlisten 127.0.0.1:0 {{\n    tls {tls}\n"
                "    proxy-protocol yes\n}\n")
    header = b"PROXY TCP4 192.0.2.9 192.0.2.10 1000 25\r\n"
    with SecureClient(implicit_port(world), source="127.0.0.8", greet=False) as client:
        if is_at_once:  # the header and the first octets of the handshake in one segment
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            shaking = context_for(keys).wrap_bio(incoming, outgoing, server_hostname="mx.fwd.test")
            with pytest.raises(ssl.SSLWantReadError):
                shaking.do_handshake()
            client.send(header + outgoing.read())
            while True:
                try:
                    shaking.do_handshake()
                    client.send(outgoing.read())
                    banner = shaking.read(1000)
                    break
                except ssl.SSLWantReadError:
                    client.send(outgoing.read())
                    incoming.write(client.socket.recv(65536))
            assert banner.decode().strip() == BANNER
            return
        client.send(header)
        if tls == "implicit":
            client.start_tls(context_for(keys), is_asked=False)
            assert client.reply()[0] == 220
        else:
            assert client.reply()[0] == 220
            client.hello().start_tls(context_for(keys))
        client.hello()
        assert client.message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
    assert b"[192.0.2.9]" in hop.wait()[0].header()
    assert world.daemon.wait_log("accepted", client="192.0.2.9", via="127.0.0.8", tls="TLSv1.3")


# --- check --------------------------------------------------------------------------------


def check(daemon, extra):
    daemon.write_config(extra=extra)
    result = run([program(), "check", "--no-dns", "-c", str(daemon.config)])
    return result.returncode, result.stdout + result.stderr


def test_what_check_says(world, keys, tmp_path):
    daemon = world.start(is_started=False)
    empty, chained, disordered, locked = (tmp_path / name for name in ("empty", "chained", "disordered", "locked"))
    empty.write_text("")
    own, authority, other = (keys[name][0].read_text() for name in ("ec", "authority", "other"))
    chained.write_text(own + authority)
    disordered.write_text(own + other + authority)
    run(["openssl", "pkey", "-in", str(keys["ec"][1]), "-aes128", "-passout", "pass:abcd", "-out", str(locked)], check=True)
    key = keys["ec"][1]
    for pairs, code, want in (
            ([(chained, key)], 0, "good,"),
            ([keys["ec"]], 0, "warning: it stands alone, and this system does not know who signed it"),
            ([(disordered, key)], 0, "warning: the chain is in disorder"),
            ([keys["other"]], 0, "warning: no certificate is for the hostname mx.fwd.test"),
            ([keys["soon"]], 0, "warning: this certificate expires in 4 days"),
            ([keys["old"]], 78, "error: this certificate has expired"),
            ([(chained, keys["rsa"][1])], 78, "error: the key is not the one of the certificate"),
            ([(empty, key)], 78, "error: there is no certificate in PEM form"),
            ([(chained, empty)], 78, "error: there is no private key in PEM form"),
            ([(chained, locked)], 78, "error: the key has a pass phrase"),
            ([(tmp_path / "nowhere", key)], 78, f"error: cannot read {tmp_path}/nowhere: No such file"),
            ([(chained, tmp_path / "nowhere")], 78, f"error: cannot read {tmp_path}/nowhere: No such file")):
        got, text = check(daemon, tls_block(*pairs))
        assert got == code and want in text, (pairs, text)
        assert text.count("error:") == (code == 78), text
        if want == "good,":
            assert "warning" not in text
    got, text = check(daemon, tls_block(*[(chained, key)] * 2).replace(f"    key {key}\n", "", 1))
    assert got == 78 and "this certificate has no key" in text and "its key follows: key FILE" in text
    got, text = check(daemon, f"tls {{\n    key {key}\n}}")
    assert got == 78 and "this key has no certificate" in text
    for word in ("implicit", "starttls"):
        got, text = check(daemon, f"listen 127.0.0.1:0 {{\n    tls {word}\n}}")
        assert got == 78 and "there is no certificate for TLS" in text
    assert check(daemon, "listen 127.0.0.1:0 {\n    tls off\n}")[0] == 0
    assert check(daemon, "tls {\n}")[0] == 0
    open_key = tmp_path / "open.key"
    open_key.write_text(key.read_text())
    open_key.chmod(0o644)
    got, text = check(daemon, tls_block((chained, open_key)))
    assert got == 0 and "everybody on this machine can read" in text


def test_an_expired_certificate_stops_no_mail(world, keys):
    world.hop()
    world.start(extra=tls_block(keys["old"]))
    assert "this certificate has expired" in world.daemon.log_text()
    with SecureClient(world.daemon.port) as client:
        context = context_for(keys, check_hostname=False, verify_mode=ssl.CERT_NONE)
        client.hello().start_tls(context).hello()
        assert client.message("anna@sender.test", "info@fwd.test", a_message())[0] == 250


# --- with ourselves -----------------------------------------------------------------------


def test_from_one_of_us_to_another(world, keys, postilion):
    world.port = lasting_port(world.DEST)
    next_one = postilion(hostname="mx.dest.test", listen=f"{world.DEST}:{world.port}", next_hop_port=1, extra="workers 2\n" +
                         tls_block(keys["ec"], keys["rsa"]) + "\ndomain dest.test {\n    discard anna\n    discard admin\n"
                         "    forward postmaster to a@b.test\n    forward abuse to a@b.test\n}\n").start()
    world.start(delivery="    reuse 1\n")
    for number in range(1, 4):
        world.send()
        line = world.daemon.wait_log("delivered", count=number)
        assert line["tls"] == "TLSv1.3" and line.get("tls_resumed") == ("yes" if number > 1 else None)
        line = next_one.wait_log("accepted", count=number)
        assert line["tls"] == "TLSv1.3" and line["helo"] == "mx.fwd.test"
