"""make demo: one message through postilion and its bounce back, on loopback, with real parts.

A real DNS server (dnsmasq) serves the demo zone, a real client (swaks) sends a DKIM-signed message,
a small next hop shows what arrives. Exit status 0 when all of it worked.
"""
import base64
import os
import pathlib
import pwd
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def show(text, lines=40):
    for line in text.splitlines()[:lines]:
        print(f"    {line}")


def make_key():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM,
                                serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, base64.b64encode(public).decode()


def start_dns(directory, port, public_key):
    """dnsmasq with the demo zone and nothing else."""
    key = f"v=DKIM1; k=rsa; p={public_key}"
    parts = ",".join(key[i:i + 250] for i in range(0, len(key), 250))
    config = directory / "dnsmasq.conf"
    config.write_text("\n".join([
        "no-resolv", "no-hosts", "no-daemon", "bind-interfaces", "listen-address=127.0.0.1",
        f"port={port}", "pid-file=", f"user={pwd.getpwuid(os.getuid()).pw_name}",
        "mx-host=mailbox.demo,mx.mailbox.demo,10", "address=/mx.mailbox.demo/127.0.0.2",
        "mx-host=sender.demo,mx.sender.demo,10", "address=/mx.sender.demo/127.0.0.3",
        f"txt-record=demo._domainkey.sender.demo,{parts}",
        "txt-record=sender.demo,v=spf1 ip4:127.0.0.1 -all",
        "txt-record=_dmarc.sender.demo,v=DMARC1; p=reject",
        "host-record=mail.sender.demo,127.0.0.1",
        "local=/demo/", "local=/in-addr.arpa/", ""]))
    return subprocess.Popen(["dnsmasq" if not os.path.exists("/usr/sbin/dnsmasq")
                             else "/usr/sbin/dnsmasq", "-C", str(config)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_dns(port):
    import socket
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07mailbox\x04demo\x00\x00\x0f\x00\x01"
    end = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        while time.monotonic() < end:
            try:
                probe.sendto(query, ("127.0.0.1", port))
                return len(probe.recv(512)) > len(query)
            except OSError:
                continue
    raise SystemExit("dnsmasq does not answer")


def header_of(message, count=14):
    return message.data.split(b"\r\n\r\n")[0].decode(errors="replace").replace("\r", "")


def swaks(port, sender, recipient, data):
    words = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "mail.sender.demo",
             "--from", sender, "--to", recipient, "--data", "-", "--suppress-data"]
    result = subprocess.run(words, input=data, capture_output=True, text=True, timeout=30)
    show(result.stdout)
    if result.returncode != 0:
        raise SystemExit(f"swaks: {result.returncode}\n{result.stdout}{result.stderr}")


def main():
    import dkim
    directory = pathlib.Path(tempfile.mkdtemp(prefix="postilion-demo-"))
    private, public = make_key()
    dns_port, hop_port = harness.free_port(), harness.free_port("127.0.0.2")
    (directory / "srs.secret").write_text(base64.b64encode(os.urandom(24)).decode() + "\n")
    (directory / "srs.secret").chmod(0o600)
    os.environ.update(DEMO_DIRECTORY=str(directory), DEMO_DNS_PORT=str(dns_port),
                      DEMO_NEXT_HOP_PORT=str(hop_port),
                      DEMO_USER=pwd.getpwuid(os.getuid()).pw_name)
    mailbox = harness.NextHop("127.0.0.2", hop_port)
    sender = harness.NextHop("127.0.0.3", hop_port)
    resolver = start_dns(directory, dns_port, public)
    daemon = harness.Postilion(directory)
    daemon.config = ROOT / "conf/demo.conf"
    try:
        wait_for_dns(dns_port)
        daemon.start()
        message = (b"From: Bob <bob@sender.demo>\r\nTo: info@fwd.demo\r\nSubject: Hello\r\n"
                   b"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@sender.demo>\r\n\r\n"
                   b"A line of text, signed by the sender.\r\n")
        signed = dkim.sign(message, b"demo", b"sender.demo", private) + message

        say("1. A client sends a signed message to info@fwd.demo:")
        swaks(daemon.port, "bob@sender.demo", "info@fwd.demo", signed.decode())
        forwarded = mailbox.wait(1)[0]
        say("2. What the next hop of mailbox.demo received:")
        show("envelope before: MAIL FROM:<bob@sender.demo> RCPT TO:<info@fwd.demo>\n"
             f"envelope after:  MAIL FROM:<{forwarded.sender}> RCPT TO:<{forwarded.recipients[0]}>")
        show(header_of(forwarded))
        valid = dkim.verify(forwarded.data, dnsfunc=lambda name, timeout=5:
                            f"v=DKIM1; k=rsa; p={public}".encode())
        show(f"the sender's DKIM signature: {'valid' if valid else 'BROKEN'}")

        say("3. The mailbox sends a bounce to that SRS address:")
        bounce = ("From: MAILER-DAEMON@mailbox.demo\r\nTo: " + forwarded.sender +
                  "\r\nSubject: Undeliverable\r\nAuto-Submitted: auto-replied\r\n\r\nfull\r\n")
        swaks(daemon.port, "<>", forwarded.sender, bounce)
        returned = sender.wait(1)[0]
        say("4. What the original sender's mail server received:")
        show(f"MAIL FROM:<{returned.sender}> RCPT TO:<{returned.recipients[0]}>")
        show(header_of(returned))
        daemon.wait_log("delivered", count=2)
        say("5. The log:")
        show(daemon.log_text().strip(), 30)
        good = (valid and b"dmarc=pass" in forwarded.header() and forwarded.sender.startswith("SRS0=") and returned.sender == ""
                and returned.recipients == ["bob@sender.demo"])
        say("It works." if good else "Something is wrong.")
        return 0 if good else 1
    finally:
        daemon.stop()
        resolver.terminate()
        resolver.wait()
        mailbox.stop()
        sender.stop()
        subprocess.run(["rm", "-rf", str(directory)], check=True)


sys.exit(main())
