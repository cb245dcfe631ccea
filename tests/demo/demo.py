"""make demo: mail through postilion on loopback, with real parts: forwarded and sealed, bounced, refused.

A real DNS server (dnsmasq) serves the demo zone, a real client (swaks) sends a DKIM-signed message,
a small next hop shows what arrives. dkimpy verifies what left. Exit status 0 when all of it worked.
"""
import base64
import os
import pathlib
import pwd
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def show(text, lines=60):
    for line in text.splitlines()[:lines]:
        print(f"    {line}")


def make_key():
    """The sender's."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM,
                                serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


def make_seal_key(directory):
    """Ours: the record `postilion key make` prints goes into the zone."""
    words = ["key", "make", "demo", "--domain", "srs.fwd.demo", "--out", str(directory / "seal.pem")]
    result = subprocess.run([harness.program(), *words], capture_output=True, text=True, timeout=30)
    if result.returncode != 0:
        raise SystemExit(f"postilion key make: {result.stderr}")
    show(f"postilion {' '.join(words[:-1])} seal.pem")
    show(result.stdout.splitlines()[0][:76] + " ...")
    return "".join(re.findall(r'"([^"]*)"', result.stdout.splitlines()[0]))


def start_dns(directory, port, keys):
    """dnsmasq with the demo zone and nothing else."""
    config = directory / "dnsmasq.conf"
    config.write_text("\n".join([
        "no-resolv", "no-hosts", "no-daemon", "bind-interfaces", "listen-address=127.0.0.1",
        f"port={port}", "pid-file=", f"user={pwd.getpwuid(os.getuid()).pw_name}",
        "mx-host=mailbox.demo,mx.mailbox.demo,10", "address=/mx.mailbox.demo/127.0.0.2",
        "mx-host=sender.demo,mx.sender.demo,10", "address=/mx.sender.demo/127.0.0.3",
        *(f"txt-record={name}," + ",".join(text[i:i + 250] for i in range(0, len(text), 250))
          for name, text in keys.items()),
        "txt-record=sender.demo,v=spf1 ip4:127.0.0.1 -all",
        "txt-record=srs.fwd.demo,v=spf1 ip4:127.0.0.1 -all",
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


def header_of(message):
    return message.data.split(b"\r\n\r\n")[0].decode(errors="replace").replace("\r", "")


def swaks(port, sender, recipient, data, show_all=False, wanted=0):
    """Returns the dialogue. `wanted` 26: the content is refused."""
    words = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "mail.sender.demo",
             "--from", sender, "--to", recipient, "--data", "-", "--suppress-data"]
    result = subprocess.run(words, input=data, capture_output=True, text=True, timeout=30)
    lines = result.stdout.splitlines()
    if not show_all:  # from MAIL to the answer to the final dot
        first = next((i for i, line in enumerate(lines) if "MAIL FROM" in line), 0)
        last = next((i for i, line in enumerate(lines) if "QUIT" in line), len(lines))
        lines = lines[first:last]
    show("\n".join(lines))
    if result.returncode != wanted:
        raise SystemExit(f"swaks: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def verify_forwarded(forwarded, keys, directory, dns_port):
    """By dkimpy, and by our own command, as the next hop would."""
    import dkim

    def look_up(name, timeout=5):
        return keys[name.decode().rstrip(".")].encode()

    message = forwarded.data
    is_signed = dkim.verify(message, dnsfunc=look_up)
    chain = dkim.arc_verify(message, dnsfunc=look_up)[0]
    show(f"dkimpy: the sender's DKIM signature: {'valid' if is_signed else 'BROKEN'}\n"
         f"dkimpy: the ARC chain: {chain.decode()}")
    (directory / "forwarded.eml").write_bytes(message)
    words = ["auth", "message", "forwarded.eml", "--ip", "127.0.0.1", "--helo", "mx.fwd.demo",
             "--from", forwarded.sender, "--resolver", f"127.0.0.1:{dns_port}"]
    report = subprocess.run([harness.program(), *words], cwd=directory, capture_output=True,
                            text=True, timeout=30).stdout
    show(f"postilion {' '.join(words[:3])} --ip 127.0.0.1 --from '{forwarded.sender}':")
    show(report.split("\n\n")[0])
    return is_signed and chain == b"pass" and "arc=pass" in report and "spf=pass" in report


def message_from_bob(number):
    return (b"From: Bob <bob@sender.demo>\r\nTo: info@fwd.demo\r\nSubject: Hello\r\n"
            b"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%d@sender.demo>\r\n\r\n"
            b"A line of text.\r\n" % number)


def refuse_gone(stage, line, session):
    if stage == "rcpt" and b"gone@" in line:
        return "550 5.1.1 <gone@mailbox.demo> no such mailbox"
    return None


def run(daemon, mailbox, sender, sign, verify):
    """What is shown, in its order. True: all of it was as it should be."""
    say("1. A client sends a DKIM-signed message to info@fwd.demo:")
    swaks(daemon.port, "bob@sender.demo", "info@fwd.demo", sign(message_from_bob(1)), True)
    forwarded = mailbox.wait(1)[0]
    say("2. What the next hop of mailbox.demo had received before the client read its 250:")
    show("envelope before: MAIL FROM:<bob@sender.demo> RCPT TO:<info@fwd.demo>\n"
         f"envelope after:  MAIL FROM:<{forwarded.sender}> RCPT TO:<{forwarded.recipients[0]}>")
    show("header before:   from DKIM-Signature down; after:")
    show(header_of(forwarded))
    is_sealed = verify(forwarded)

    say("3. The mailbox sends a bounce to that SRS address:")
    swaks(daemon.port, "<>", forwarded.sender,
          "From: MAILER-DAEMON@mailbox.demo\r\nTo: " + forwarded.sender +
          "\r\nSubject: Undeliverable\r\nAuto-Submitted: auto-replied\r\n\r\nfull\r\n")
    returned = sender.wait(1)[0]
    say("4. What the original sender's mail server received:")
    show(f"MAIL FROM:<{returned.sender}> RCPT TO:<{returned.recipients[0]}>")
    show(header_of(returned))

    say("5. The next hop refuses: the client hears it, no bounce is ever written, the target stays hidden:")
    refusal = swaks(daemon.port, "bob@sender.demo", "former@fwd.demo", sign(message_from_bob(2)),
                    wanted=26)
    say("6. No signature, p=reject: SPF passes here and could not there, so the sender is told now:")
    doomed = swaks(daemon.port, "bob@sender.demo", "info@fwd.demo", message_from_bob(3).decode(),
                   wanted=26)

    daemon.wait_log("delivered", count=2)
    daemon.wait_log("message-refused", count=2)
    say("7. The log:")
    show(daemon.log_text().strip())
    return (is_sealed and b"dmarc=pass" in forwarded.header() and b"ARC-Seal: i=1" in forwarded.header()
            and forwarded.sender.startswith("SRS0=") and returned.sender == ""
            and returned.recipients == ["bob@sender.demo"]
            and "550 5.1.1" in refusal and "gone" not in refusal and "550 5.7.1 DMARC" in doomed
            and len(daemon.log("accepted", how="delivered")) == 2)


def main():
    import dkim
    directory = pathlib.Path(tempfile.mkdtemp(prefix="postilion-demo-"))
    say("0. A key to seal with, and its record for the zone of srs.fwd.demo:")
    private, record = make_key()
    keys = {"demo._domainkey.sender.demo": record,
            "demo._domainkey.srs.fwd.demo": make_seal_key(directory)}
    dns_port, hop_port = harness.free_port(), harness.free_port("127.0.0.2")
    (directory / "srs.secret").write_text(base64.b64encode(os.urandom(24)).decode() + "\n")
    (directory / "srs.secret").chmod(0o600)
    os.environ.update(DEMO_DIRECTORY=str(directory), DEMO_DNS_PORT=str(dns_port),
                      DEMO_NEXT_HOP_PORT=str(hop_port),
                      DEMO_USER=pwd.getpwuid(os.getuid()).pw_name)
    mailbox = harness.NextHop("127.0.0.2", hop_port, refuse_gone)
    sender = harness.NextHop("127.0.0.3", hop_port)
    resolver = start_dns(directory, dns_port, keys)
    daemon = harness.Postilion(directory)
    daemon.config = ROOT / "conf/demo.conf"

    def sign(message):
        return (dkim.sign(message, b"demo", b"sender.demo", private) + message).decode()

    def verify(forwarded):
        return verify_forwarded(forwarded, keys, directory, dns_port)

    try:
        wait_for_dns(dns_port)
        daemon.start()
        is_good = run(daemon, mailbox, sender, sign, verify)
        say("It works." if is_good else "Something is wrong.")
        return 0 if is_good else 1
    finally:
        daemon.stop()
        resolver.terminate()
        resolver.wait()
        mailbox.stop()
        sender.stop()
        subprocess.run(["rm", "-rf", str(directory)], check=True)


sys.exit(main())
