"""Signed mail of twenty domains for the benchmark, and what DNS says about them.

Each sends 4 KB, signed by dkimpy with rsa-sha256, 2048 bits, relaxed/relaxed; SPF names the addresses the
load comes from, DMARC says p=reject. Keys and messages are made once and kept."""
import base64
import subprocess

import dkim

DOMAINS = 20
SIZE = 4096
CLIENT = "192.0.2.10"  # for a peer that takes clients on loopback for its own
LINE = b"The quick brown fox jumps over the lazy dog, 0123456789 times a day.\r\n"


def txt(name, value):
    parts = " ".join(f'"{value[at:at + 250]}"' for at in range(0, len(value), 250))
    return f"    local-data: '{name}. 3600 IN TXT {parts}'\n"


def make_key(path):
    if not path.exists():
        part = path.with_suffix(".part")
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", part, "2048"], check=True, capture_output=True)
        part.rename(path)
    return subprocess.run(["openssl", "rsa", "-in", path, "-pubout", "-outform", "DER"], check=True,
                          capture_output=True).stdout


def unsigned(domain):
    head = "".join(line + "\r\n" for line in (
        f"From: Sender <s@{domain}>", "To: User <user@fwd.test>", f"Subject: benchmark message from {domain}",
        "Date: Sat, 21 Nov 2026 12:00:00 +0000", f"Message-ID: <load@{domain}>", "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8", "")).encode()
    return head + LINE * ((SIZE - len(head) - 600) // len(LINE))


def prepare(directory):
    """Writes N.eml for each domain into the directory and returns lines for unbound."""
    directory.mkdir(parents=True, exist_ok=True)
    zone = "".join(f"    local-data: 'mail.sender.test. 3600 IN A {client}'\n"
                   for client in [f"127.1.0.{i}" for i in range(1, 17)] + [CLIENT])
    zone += txt("mail.sender.test", "v=spf1 a -all")
    for number in range(DOMAINS):
        domain = f"sender{number}.test"
        public = make_key(directory / f"{number}.pem")
        message = directory / f"{number}.eml"
        if not message.exists():
            content = unsigned(domain)
            field = dkim.sign(content, b"bench", domain.encode(), (directory / f"{number}.pem").read_bytes(),
                              canonicalize=(b"relaxed", b"relaxed"))
            message.write_bytes(field + content)
        zone += txt(domain, f"v=spf1 ip4:127.1.0.0/16 ip4:{CLIENT} -all")
        zone += txt(f"bench._domainkey.{domain}", "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode())
        zone += txt(f"_dmarc.{domain}", "v=DMARC1; p=reject")
        zone += f"    local-data: '{domain}. 3600 IN MX 10 mail.sender.test.'\n"
    return zone
