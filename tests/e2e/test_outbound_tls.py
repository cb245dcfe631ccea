"""TLS to next hops: what each policy does with each kind of server."""
import ssl

import pytest

import harness
import test_real_peers
from harness import World, a_message
from tls_hop import Certificates, TlsHop


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path / "certificates")


@pytest.fixture
def tls_hop(world, certificates):
    """Makes next hops with TLS; the usual name is that of the zone's MX."""
    made = []

    def make(address=World.DEST, name="mx.dest.test", is_signed=True, kind="ec", **options):
        options.setdefault("certificate", certificates.make(name, kind, is_signed))
        hop = TlsHop(address, world.port or 0, **options)
        world.port = hop.port
        made.append(hop)
        return hop
    yield make
    for hop in made:
        hop.stop()


def tls(certificates, level):
    return f"    tls {level}\n    tls-ca {certificates.authority}\n"


def is_clear(hop):
    """Nothing of an envelope was ever said in clear."""
    return not hop.handshakes and any(command[:4].upper() == b"MAIL" for command in hop.commands)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_opportunistic_takes_any_certificate(world, tls_hop, certificates, kind):
    hop = tls_hop(is_signed=False, name="elsewhere.test", kind=kind)
    daemon = world.start(delivery=tls(certificates, "opportunistic"))
    data = a_message(body="\r\n".join(f"line {i} " + "x" * 60 for i in range(40000)))
    world.send(data=data)
    message = hop.wait()[0]
    line = daemon.wait_log("delivered")
    assert message.tls == "TLSv1.3" and message.data.endswith(data[-2_000_000:])
    assert line["tls"] == "TLSv1.3" and line["cipher"].startswith("TLS_") and line["verified"] == "no"
    assert line["unverified"] == "self-signed certificate"
    # EHLO in clear, STARTTLS, EHLO again
    assert [command[:4] for command in hop.commands][:3] == [b"EHLO", b"EHLO", b"MAIL"]
    assert b"with ESMTP" in message.header()


def test_a_certificate_for_the_host_is_verified(world, tls_hop, certificates):
    hop = tls_hop()
    daemon = world.start(delivery=tls(certificates, "verified"))
    world.send()
    assert hop.wait()[0].tls == "TLSv1.3"
    line = daemon.wait_log("delivered")
    assert line["verified"] == "yes" and "unverified" not in line


def test_older_tls(world, tls_hop, certificates):
    hop = tls_hop()
    hop.context.maximum_version = ssl.TLSVersion.TLSv1_2
    daemon = world.start(delivery=tls(certificates, "verified"))
    world.send()
    assert hop.wait()[0].tls == "TLSv1.2"
    assert daemon.wait_log("delivered")["tls"] == "TLSv1.2"


@pytest.mark.parametrize("options, why", [
    ({"name": "elsewhere.test"}, "hostname mismatch"),
    ({"is_signed": False}, "self-signed certificate"),
    ({"manner": "hidden"}, "TLS required but not offered"),
    ({"manner": "refused"}, "TLS required but STARTTLS was refused"),
    ({"manner": "garbage"}, "handshake: wrong version number"),
    ({"manner": "gone"}, "handshake: the connection was"),
    ({"manner": "injected"}, "plaintext injected"),
])
def test_verified_defers_what_is_not(world, tls_hop, certificates, options, why):
    hop = tls_hop(**options)
    daemon = world.start(delivery=tls(certificates, "verified"))
    world.send()
    line = daemon.wait_log("deferred")
    assert why in line["reply"]
    assert line["why"] == line["class"] == "tls" and line["stage"] == "starttls"
    assert line["dsn"] == ("4.7.4" if "required" in why else "4.7.5")
    assert not hop.messages and not is_clear(hop)


@pytest.mark.parametrize("options, is_taken", [
    ({"is_signed": False, "name": "elsewhere.test"}, True),
    ({"manner": "hidden"}, False),
    ({"manner": "refused"}, False),
    ({"manner": "garbage"}, False),
])
def test_required_is_never_clear(world, tls_hop, certificates, options, is_taken):
    hop = tls_hop(**options)
    daemon = world.start(delivery=tls(certificates, "required"))
    world.send()
    if is_taken:
        assert hop.wait()[0].tls == "TLSv1.3"
    else:
        daemon.wait_log("deferred")
        assert not hop.messages and not is_clear(hop)


@pytest.mark.parametrize("manner", ["garbage", "gone"])
def test_a_broken_handshake_is_followed_by_clear_text(world, tls_hop, certificates, manner):
    hop = tls_hop(manner=manner)
    daemon = world.start(delivery=tls(certificates, "opportunistic") + "    reuse 1\n")
    world.send()
    assert hop.wait()[0].tls is None
    assert daemon.wait_log("delivered")["tls"] == "none"
    assert daemon.wait_log("tls-failed")["host"] == "mx.dest.test"
    assert hop.connections == 2
    # remembered: the next one does not try
    world.send()
    hop.wait(2)
    assert hop.starts == 1 and hop.connections == 3


@pytest.mark.parametrize("manner", ["hidden", "refused"])
def test_without_tls_opportunistic_goes_on_in_clear(world, tls_hop, certificates, manner):
    hop = tls_hop(manner=manner)
    daemon = world.start(delivery=tls(certificates, "opportunistic"))
    world.send()
    assert hop.wait()[0].tls is None
    assert daemon.wait_log("delivered")["tls"] == "none"
    assert hop.connections == 1


def test_off_never_asks(world, tls_hop, certificates):
    hop = tls_hop()
    world.start(delivery=tls(certificates, "off"))
    world.send()
    assert hop.wait()[0].tls is None and hop.starts == 0


def test_clear_text_behind_the_answer_is_never_used(world, tls_hop, certificates):
    hop = tls_hop(manner="injected")
    daemon = world.start(delivery=tls(certificates, "opportunistic"))
    world.send()
    assert "plaintext injected" in daemon.wait_log("deferred")["reply"]
    assert not hop.messages and not is_clear(hop)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(world, tls_hop, certificates, version):
    hop = tls_hop()
    hop.context.maximum_version = version
    daemon = world.start(delivery=tls(certificates, "verified") + "    reuse 1\n")
    for count in (1, 2, 3):
        world.send()
        hop.wait(count)
        daemon.wait_log("delivered", count=count)
    assert [resumed for _, resumed, _ in hop.handshakes] == [False, True, True]
    lines = daemon.log("delivered")
    assert [line.get("tls_resumed") for line in lines] == [None, "yes", "yes"]
    assert all(line["verified"] == "yes" for line in lines)


def test_a_kept_connection_stays_protected(world, tls_hop, certificates):
    hop = tls_hop()
    daemon = world.start(delivery=tls(certificates, "verified"))
    for count in (1, 2, 3):
        world.send()
        hop.wait(count)
        daemon.wait_log("delivered", count=count)
    assert hop.connections == 1 and len(hop.handshakes) == 1
    assert all(line["tls"] == "TLSv1.3" for line in daemon.log("delivered"))


def test_domains_on_the_same_hosts_keep_their_policies(world, tls_hop, certificates):
    """bank.test has the hosts of dest.test; the connection of one is not good for the other."""
    hop = tls_hop(is_signed=False)
    daemon = world.start(
        zone={"bank.test": [("MX", "10 mx.dest.test.")], "old.test": [("MX", "10 mx.dest.test.")]},
        domain="    forward info to anna@dest.test\n    forward bank to anna@bank.test\n"
               "    forward old to anna@old.test\n",
        delivery=tls(certificates, "opportunistic"),
        extra="delivery-tls bank.test verified\ndelivery-tls old.test off\n")
    world.send("old@fwd.test")
    assert hop.wait()[0].tls is None
    world.send("bank@fwd.test")
    assert "not verified" in daemon.wait_log("deferred")["reply"]
    world.send("info@fwd.test")
    # ... and what bank.test did not like is no reason to go to others in clear
    assert hop.wait(2)[1].tls == "TLSv1.3"
    assert all(message.recipients != ["anna@bank.test"] for message in hop.messages)


def test_the_host_of_a_route(world, tls_hop, certificates):
    hop = tls_hop()
    daemon = world.start(delivery=tls(certificates, "opportunistic"),
                         extra=f"route dest.test to mx.dest.test:{world.port}\ndelivery-tls dest.test verified\n")
    world.send()
    assert hop.wait()[0].tls == "TLSv1.3"
    assert daemon.wait_log("delivered")["verified"] == "yes"


def test_our_own_certificate(world, tls_hop, certificates):
    certificate, key = certificates.make("mx.fwd.test")
    hop = tls_hop(wants_certificate=certificates.authority)
    world.start(delivery=tls(certificates, "verified") + f"    tls-certificate {certificate}\n    tls-key {key}\n")
    world.send()
    assert hop.wait()[0].tls == "TLSv1.3"
    assert hop.handshakes[0][2] == "mx.fwd.test"


def test_a_server_that_wants_a_certificate_we_do_not_have(world, tls_hop, certificates):
    """In TLS 1.3 it says so only after our handshake is done."""
    hop = tls_hop(wants_certificate=certificates.authority)
    daemon = world.start(delivery=tls(certificates, "opportunistic"))
    world.send()
    assert hop.wait()[0].tls is None
    assert "certificate required" in daemon.wait_log("tls-failed")["why"]


def test_check_names_what_is_wrong(world, certificates, tmp_path):
    good, key = certificates.make("mx.fwd.test")
    other_key = certificates.make("other.test")[1]
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("no certificate\n")
    cases = [
        (f"tls-ca {tmp_path}/missing.pem", "missing.pem"),
        (f"tls-ca {damaged}", "no certificate in PEM form in the file of authorities"),
        (f"tls-certificate {good}", "this certificate has no key"),
        (f"tls-key {key}", "this key has no certificate"),
        (f"tls-certificate {good}\n    tls-key {other_key}", "the key is not the one of the certificate"),
        (f"tls-certificate {damaged}\n    tls-key {key}", "no certificate in PEM form in the certificate file"),
        ("tls maybe", "unknown word"),
    ]
    daemon = world.start(is_started=False)
    for lines, want in cases:
        daemon.write_config(delivery=f"    {lines}\n")
        result = daemon.command("check", "--no-dns", check=False)
        assert result.returncode == 78, lines
        assert want in result.stdout + result.stderr, (want, result.stdout + result.stderr)
    daemon.write_config(delivery=f"    tls-certificate {good}\n    tls-key {key}\n")
    result = daemon.command("check", "--no-dns", check=False)
    assert "expires within 14 days" in result.stdout + result.stderr
    for rule, want in [("delivery-tls a.test", "the level is missing"), ("delivery-tls a.test never", "unknown word"),
                       ("delivery-tls a..test off", "not a domain"), ("delivery-tls a.test off off", "too much"),
                       ("delivery-tls a.test off\ndelivery-tls A.test. required", "a second rule")]:
        daemon.write_config(delivery="", extra=rule)
        result = daemon.command("check", "--no-dns", check=False)
        assert result.returncode == 78 and want in result.stdout + result.stderr, (rule, result.stderr)


def test_exim_as_next_hop(world, certificates, tmp_path, monkeypatch):
    """GnuTLS on the other side."""
    certificate, key = certificates.make("mx.dest.test")
    for path in (certificate, key, certificate.parent):
        path.chmod(0o755)
    monkeypatch.setattr(test_real_peers, "EXIM", test_real_peers.EXIM.replace(
        "tls_advertise_hosts =", f"tls_advertise_hosts = *\ntls_resumption_hosts = *\ntls_certificate = {certificate}\ntls_privatekey = {key}"))
    world.port = harness.free_port(World.DEST)
    test_real_peers.let_others_in(certificate)
    exim = test_real_peers.Exim(tmp_path / "exim", world.port)
    try:
        daemon = world.start(delivery=tls(certificates, "verified") + "    reuse 1\n")
        for count in (1, 2):
            world.send()
            daemon.wait_log("delivered", count=count)
        lines = daemon.log("delivered")
        assert all(line["verified"] == "yes" and line["tls"] == "TLSv1.3" for line in lines)
        assert lines[1].get("tls_resumed") == "yes"
    finally:
        exim.stop()
