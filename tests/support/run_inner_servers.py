"""Mail through postilion to the servers behind it of docs/INNER-SERVER.md, inside tests/support/private_host.

    run_inner_servers.py DOCUMENT PEERS

Every piece of configuration is taken from the document as it stands; what an installation has beside it is here. The
servers are Debian's own, laid over this host at their own places. Prints what happened as JSON.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import document_text
import run_document
from run_document import harness

OUTSIDE, MX, NEIGHBOUR, INNER = "192.0.2.9", "192.0.2.25", "10.0.0.9", "10.0.0.5"
ZONE = """
mx.example.org. 60 IN A 192.0.2.25
srs.example.org. 60 IN MX 10 mx.example.org.
srs.example.org. 60 IN TXT "v=spf1 ip4:192.0.2.25 -all"
sender.example. 60 IN TXT "v=spf1 ip4:192.0.2.9 -all"
spoofed.example. 60 IN A 192.0.2.77
_dmarc.spoofed.example. 60 IN TXT "v=DMARC1; p=quarantine"
"""
USERS = """
useradd -r -s /bin/false postfix
groupadd -r postdrop
useradd -r -s /bin/false policyd-spf
useradd -r -s /bin/false dovecot
useradd -r -s /bin/false dovenull
useradd -r -s /bin/false vmail
useradd -r -s /bin/false Debian-exim
"""
POSTFIX = """
compatibility_level = 3.6
maillog_file = /var/log/mail.log
myhostname = inner.example.org
mydestination =
inet_interfaces = 10.0.0.5
inet_protocols = ipv4
alias_maps =
virtual_mailbox_base = /srv/postfix
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
"""
POLICY_SERVICE = "policyd-spf unix - n n - 0 spawn user=policyd-spf argv=/usr/bin/policyd-spf\n"
EXIM = """
primary_hostname = inner.example.org
local_interfaces = 10.0.0.5
log_file_path = /var/log/exim4/%slog
tls_advertise_hosts =
acl_smtp_rcpt = acl_check_rcpt
{main}
begin acl
acl_check_rcpt:
{acl}
begin routers
mailboxes:
  driver = accept
  domains = +local_domains
  local_parts = info : exim
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = /srv/exim/$local_part_data
  create_directory
  maildir_format
  user = nobody
  group = nogroup
  return_path_add
begin retry
begin rewrite
begin authenticators
"""
DOVECOT = """
log_path = /var/log/dovecot.log
mail_location = maildir:/srv/dovecot/%n
ssl = no
disable_plaintext_auth = no
postmaster_address = postmaster@example.org
passdb {
    driver = passwd-file
    args = username_format=%n /etc/dovecot/users
}
userdb {
    driver = static
    args = uid=vmail gid=vmail home=/srv/dovecot/%n
}
"""


def write(path, text):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text)


class Inside:
    """A host of its own at 10.0.0.5, behind a cable whose near end is 10.0.0.1."""

    def __init__(self):
        self.anchor = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        ours = os.readlink("/proc/self/ns/net")
        harness.wait_until(lambda: os.readlink(f"/proc/{self.anchor.pid}/ns/net") != ours, "the network inside")
        subprocess.run(f"""set -e
            ip link add near type veth peer name far netns {self.anchor.pid}
            ip address add 10.0.0.1/24 dev near
            ip address add {NEIGHBOUR}/24 dev near
            ip address add {OUTSIDE}/32 dev lo
            ip link set near up""", shell=True, check=True)
        self.run(f"ip link set lo up && ip address add {INNER}/24 dev far && ip link set far up")

    def words(self, command):
        return ["nsenter", "-t", str(self.anchor.pid), "-n", "sh", "-c", command]

    def run(self, command):
        done = subprocess.run(self.words(command), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, command + done.stdout + done.stderr

    def start(self, command):
        return subprocess.Popen(self.words("exec " + command), stdin=subprocess.DEVNULL, start_new_session=True,
                                stdout=open("/tmp/inner.out", "ab"), stderr=subprocess.STDOUT)


def lay_over(peers):
    """As after `apt install`; nothing runs."""
    for tree in (peers, peers / "inner"):
        for part in ("usr", "etc"):
            if (tree / part).is_dir():
                subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{tree / part}/.", f"/{part}/"], check=True)
    subprocess.run(["sh", "-e", "-c", USERS], check=True)
    pathlib.Path("/etc/ld.so.conf.d/postfix.conf").write_text("/usr/lib/postfix\n")
    subprocess.run(["ldconfig"], check=True)


def start_postfix(inside, main, skips):
    """Either of the two ways to leave us out is enough: by the table, or by the policy service's own list."""
    for name in ("mailboxes", "postilion.cidr"):
        pathlib.Path("/etc/postfix", name).unlink(missing_ok=True)
    write("/etc/postfix/main.cf", POSTFIX + main)
    write("/etc/postfix/mailboxes", "info@internal.example.org info/\npostfix@internal.example.org postfix/\n")
    write("/etc/postfix/postilion.cidr", document_text.block_of(DOCUMENT, "postilion.cidr") if skips == "table" else "")
    shutil.copy(PEERS / "inner/etc/postfix-policyd-spf-python/policyd-spf.conf", "/etc/postfix-policyd-spf-python")
    if skips == "service":
        write("/etc/postfix-policyd-spf-python/policyd-spf.conf", document_text.block_of(DOCUMENT, "policyd-spf.conf"))
    services = []
    for line in pathlib.Path("/usr/share/postfix/master.cf.dist").read_text().splitlines():
        fields = line.split()
        if line and line[0] not in "# " and len(fields) >= 8 and fields[7] != "pipe":
            fields[4] = "n"
            services.append(" ".join(fields))
    write("/etc/postfix/master.cf", "\n".join(services) + "\n" + POLICY_SERVICE)
    write("/etc/postfix/dynamicmaps.cf", "")
    queue = pathlib.Path("/var/spool/postfix")
    for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "pid",
                 "private", "public", "saved", "trace"):
        (queue / name).mkdir(parents=True, exist_ok=True)
        shutil.chown(queue / name, "root" if name == "pid" else "postfix", "postdrop" if name in ("maildrop", "public") else "root")
        (queue / name).chmod({"maildrop": 0o1730, "public": 0o2710, "pid": 0o755}.get(name, 0o700))
    for path in (queue, pathlib.Path("/srv/postfix")):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
    shutil.chown("/srv/postfix", "nobody")
    pathlib.Path("/var/lib/postfix").mkdir(exist_ok=True)
    shutil.chown("/var/lib/postfix", "postfix")
    return [inside.start("/usr/lib/postfix/sbin/master -d")]


def start_exim(inside):
    write("/etc/exim4/exim4.conf", EXIM.format(main=document_text.block_of(DOCUMENT, "exim.main"),
                                               acl=document_text.block_of(DOCUMENT, "exim.acl")))
    for path, user in (("/srv/exim", "nobody"), ("/var/spool/exim4", "Debian-exim"), ("/run/exim4", "Debian-exim"), ("/var/log/exim4", "Debian-exim")):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        shutil.chown(path, user)
    return [inside.start("/usr/sbin/exim4 -bdf -q5m")]


def start_dovecot(inside):
    write("/etc/dovecot/dovecot.conf", DOVECOT + document_text.block_of(DOCUMENT, "dovecot.conf"))
    write("/etc/dovecot/users", "info:{plain}x\ndovecot:{plain}x\n")
    write("/etc/dovecot/sieve/postilion.sieve", document_text.block_of(DOCUMENT, "postilion.sieve"))
    subprocess.run(["sievec", "/etc/dovecot/sieve/postilion.sieve"], check=True, capture_output=True)
    pathlib.Path("/srv/dovecot").mkdir(exist_ok=True)
    shutil.chown("/srv/dovecot", "vmail")
    daemon = inside.start("/usr/sbin/dovecot -F")
    main = document_text.block_of(DOCUMENT, "main.cf") + document_text.block_of(DOCUMENT, "dovecot.main.cf")
    return [daemon, *start_postfix(inside, main, "service")]


class Story:
    """What clients hear, outside and inside, and what lies in the mailboxes then."""

    def __init__(self, name):
        self.name = name
        self.told = {}

    def message(self, label, recipient, sender="bob@sender.example", extra="", source=OUTSIDE, server=MX):
        data = (f"{extra}From: {sender}\r\nTo: {recipient}\r\nSubject: {label}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
                f"Message-ID: <{label}@{self.name}.example>\r\n\r\nhello\r\n")
        with harness.Client(25, server, source=source) as client:
            lines = [client.command("EHLO mail.sender.example")[1],
                     client.command(f"MAIL FROM:<{sender}>")[1], client.command(f"RCPT TO:<{recipient}>")[1]]
            if lines[-1][0].startswith("2"):
                client.expect("DATA", 354)
                client.send(data + ".\r\n")
                lines.append(client.reply()[1])
        self.told[label] = [line for reply in lines[1:] for line in reply]
        return lines[0]

    def tell(self):
        mine = f"{self.name}@example.org"
        ours = self.message("hello", mine)
        self.message("unknown", f"nobody-{self.name}@example.org")
        self.message("bounce", mine, sender="")
        self.message("forged", mine, extra="Authentication-Results: mx.example.org; dmarc=fail\r\n")
        self.message("spoofed", mine, sender="eve@spoofed.example")
        # From another host inside, as if postilion had sent it: their SPF test is there, and refuses it.
        srs = subprocess.run(["postilion", "srs", "forward", "bob@sender.example"], capture_output=True, text=True)
        theirs = self.message("strange", f"{self.name}@internal.example.org", sender=srs.stdout.strip(), source=NEIGHBOUR, server=INNER)
        # What our own address may not do: relay.
        self.message("relay", "somebody@strange.example", source="10.0.0.1", server=INNER)
        self.told["sizes"] = [line[4:] for hello in (ours, theirs) for line in hello if line[4:].startswith("SIZE")]
        box = pathlib.Path("/srv") / self.name / self.name
        wanted = {"hello", "bounce", "forged", "spoofed"}
        try:
            harness.wait_until(lambda: wanted <= {message["subject"] for message in self.stored(box)}, "mail", 20)
        except AssertionError:
            pass
        self.told["stored"] = self.stored(box)
        return self.told

    def stored(self, box):
        found = []
        for path in sorted(box.rglob("new/*")):
            text = path.read_text(errors="replace")
            subject = next(line for line in text.splitlines() if line.startswith("Subject: "))
            found.append({"subject": subject[9:], "folder": path.parent.parent.name, "text": text})
        return found


def is_up():
    try:
        with harness.Client(25, INNER, greet=False) as client:
            return client.reply()[0] == 220
    except OSError:
        return False


def logs():
    text = ""
    for path in ("/tmp/inner.out", "/var/log/mail.log", "/var/log/exim4/mainlog", "/var/log/dovecot.log", "/tmp/postilion.log"):
        if pathlib.Path(path).exists():
            text += f"--- {path}\n" + pathlib.Path(path).read_text(errors="replace")[-6000:]
    return text


def main():
    told = {}
    pathlib.Path("/tmp").chmod(0o1777)
    lay_over(PEERS)
    inside = Inside()
    run_document.prepare(ZONE, "10.0.0.1")
    told["begin"] = run_document.begin_with_configuration(DOCUMENT)
    run_document.run("systemctl enable --now postilion")
    told["check"] = run_document.run("postilion check --no-dns")
    for name, start in (("postfix", lambda: start_postfix(inside, document_text.block_of(DOCUMENT, "main.cf"), "table")),
                        ("exim", lambda: start_exim(inside)), ("dovecot", lambda: start_dovecot(inside))):
        processes = start()
        try:
            harness.wait_until(is_up, name)
            told[name] = Story(name).tell()
        except (AssertionError, OSError) as error:
            told[name] = {"failed": repr(error)}
        told[name]["log"] = logs()
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)  # a server's children go on with their clients
            process.wait(20)
        pathlib.Path("/tmp/inner.out").unlink(missing_ok=True)
        pathlib.Path("/var/log/mail.log").unlink(missing_ok=True)
    print(json.dumps(told))


if __name__ == "__main__":
    DOCUMENT, PEERS = sys.argv[1], pathlib.Path(sys.argv[2])
    main()
