"""Does what a document tells its reader to do, as it stands, inside tests/support/private_host.

    run_document.py DOCUMENT

First its blocks of commands, then every command in its sentences and tables, then every piece of configuration by
`check`. Around them are the examples' world: its DNS, the next hop of its targets, and a `systemctl` that does what the
installed unit says. Prints what happened as JSON.
"""
import base64
import ctypes
import hmac
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import document_text  # noqa: E402
import harness  # noqa: E402
from dnslib import QTYPE, RCODE, RR  # noqa: E402
from dnslib.server import BaseResolver, DNSLogger, DNSServer  # noqa: E402

CLONE_NEWNET = 0x40000000
ZONE = """
mx.example.org. 60 IN A 192.0.2.25
25.2.0.192.in-addr.arpa. 60 IN PTR mx.example.org.
inner.example.org. 60 IN A 203.0.113.5
example.org. 60 IN MX 10 mx.example.org.
srs.example.org. 60 IN MX 10 mx.example.org.
srs.example.org. 60 IN TXT "v=spf1 ip4:192.0.2.25 -all"
mail.example. 60 IN MX 10 in.mail.example.
mailbox.example. 60 IN MX 10 in.mail.example.
corp.example. 60 IN MX 10 in.mail.example.
in.mail.example. 60 IN A 203.0.113.5
"""
SYSTEMCTL = r"""#!/bin/bash
if [ "$*" = "reload postfix" ]; then # the stand-in of old_server
    for ((i = 0; i < 300; i++)); do
        grep -q '^smtp *inet ' /etc/postfix/master.cf && wanted=yes || wanted=no
        [ "$(cat /tmp/old-server)" != $wanted ] || exit 0
        sleep 0.1
    done
    exit 1
fi
case $1 in
restart)
    "$0" stop "$2" && "$0" start "$2" ;;
start | enable)
    install -d -m 750 -o postilion -g postilion /run/postilion
    command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/postilion.service)
    setsid $command >>/tmp/postilion.log 2>&1 </dev/null &
    for ((i = 0; i < 300; i++)); do
        ! postilion status >/dev/null 2>&1 || exit 0
        sleep 0.1
    done
    cat /tmp/postilion.log >&2
    exit 1 ;;
reload)
    command=$(sed -n 's/^ExecReload=//p' /usr/lib/systemd/system/postilion.service)
    eval "${command//\$MAINPID/$(pgrep -o -x -f '.*postilion serve -c /etc/postilion/postilion.conf')}" ;;
edit)
    test -f "/usr/lib/systemd/system/$2.service" ;;
stop)
    pids=$(pgrep -x -f '.*postilion serve -c /etc/postilion/postilion.conf')
    kill -TERM $(head -n 1 <<<"$pids")
    for pid in $pids; do tail --pid="$pid" -f /dev/null; done ;;
*)
    echo "systemctl: no $1 here" >&2
    exit 1 ;;
esac
"""
# The journal of the service is what it wrote.
JOURNALCTL = r"""#!/bin/bash
[ "$1 $2 $3" = "-u postilion -g" ] && exec grep -E "$4" /tmp/postilion.log
[ "$*" = "-u postilion" ] && exec sed "s/^/Nov 22 07:54:37 mx postilion[42]: /" /tmp/postilion.log
echo "journalctl: no $* here" >&2
exit 1
"""
MESSAGE = b"""Received: from mail.sender.example (mail.sender.example [192.0.2.9])
\tby mx.example.org with ESMTP id 1; Sat, 21 Nov 2026 12:00:01 +0000
From: Bob <bob@sender.example>
To: info@example.org
Subject: hello
Date: Sat, 21 Nov 2026 12:00:00 +0000
Message-ID: <hello@sender.example>

hello
"""
# What the words in capitals of a synopsis stand for; the longest beginning of a command that is here decides.
PLACES = {
    "postilion": {"FROM": "bob@sender.example", "TO": "info@example.org", "A": "192.0.2.9", "FILE": "/tmp/message.eml",
                  "NAME": "delivery.concurrency", "ADDRESS": "bob@sender.example", "DIR": "/tmp/salvaged",
                  "DESTINATION": "mail.example", "SELECTOR": "s9", "DOMAIN": "example.org",
                  "MESSAGE-ID": "hello@sender.example"},
    "postilion probe": {"ADDRESS": "info@example.org"},
    "postilion srs reverse": {"ADDRESS": "$(postilion srs forward bob@sender.example)"},
    "postilion key show": {"FILE": "/etc/postilion/s1.pem"},
    "postilion queue salvage": {"DIR": "/var/spool/postilion/salvaged"},
    "postilion srs secret": {"SECRETS": "/tmp/secrets"},
    "postilion import postfix-virtual": {"TABLE": "/tmp/virtual"},
    "postilion import aliases": {"TABLE": "/tmp/aliases"},
    "postilion import postsrsd": {"SECRETS": "/tmp/postsrsd.secret"},
}
# What people have who come from elsewhere.
POSTSRSD_SECRET = "kWPqaTVB8HgaVrXiv9Xp3A=="
OLD_FILES = {
    "/tmp/virtual": "info@example.org anna@mail.example\n",
    "/tmp/aliases": "root: admin@mail.example\n",
    "/tmp/postsrsd.secret": POSTSRSD_SECRET + "\n",
    "/etc/postsrsd.secret": POSTSRSD_SECRET + "\n",
    "/etc/default/postsrsd": "SRS_DOMAIN=srs.example.org\nSRS_SEPARATOR==\nSRS_SECRET=/etc/postsrsd.secret\nSRS_HASHLENGTH=4\n",
    "/etc/aliases": "postmaster: root\nroot: admin@mail.example\n",
    "/etc/postfix/virtual": """# who is who
example.org        virtual
info@example.org   anna@mail.example,
                   bob
postmaster@example.org admin@mail.example
abuse@example.org  admin@mail.example
""",
    "/etc/postfix/main.cf": "compatibility_level = 3.6\n",
    "/etc/postfix/master.cf": "smtp inet n - y - - smtpd\n",
    "/etc/exim4/virtual/example.net": "info: anna@mail.example\ngone: :fail: 550 has left\n",
    "/etc/mail/virtuals": "info@example.com anna@mail.example\n",
}
QUEUED = """swaks -s mx.example.org -f bob@sender.example -t abuse@example.org >/dev/null
    postilion queue list --json | /usr/bin/python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["id"])'"""
# These say by their status what they have found.
FINDERS = {"postilion doctor": (0, 1, 2)}
# What sentences call a command by; complete ones stand elsewhere in the document.
NAMES = ("postilion serve", "postilion setup", "postilion import", "postilion explain", "postilion queue salvage")
# What has to be so before it: only a stopped daemon's spool is salvaged, by its owner; a message that is held ...
BEFORE = {"postilion queue salvage": "systemctl stop postilion",
          # The history keeps what is logged a second's worth at a time: the message before this one is there, too.
          "postilion trace": """swaks -s mx.example.org -f bob@sender.example -t abuse@example.org \\
                  --header "Message-Id: <hello@sender.example>" >/dev/null
              for ((i = 0; i < 300; i++)); do ! postilion trace hello@sender.example >/dev/null 2>&1 || exit 0; sleep 0.1; done"""}
AFTER = {"postilion queue salvage": "systemctl start postilion", "postilion pause": "postilion resume {last}"}
# A piece of configuration is loaded with what it lacks of this.
REST = {
    "hostname": "hostname mx.example.org",
    "listen": "listen 0.0.0.0:25",
    "srs": "srs {\n domain srs.example.org\n secret-file /etc/postilion/srs.secret\n}",
    "seal": "seal {\n selector s1\n key-file /etc/postilion/s1.pem\n}",
    "domain": "domain example.org {\n forward postmaster to a@mail.example\n forward abuse to a@mail.example\n}",
}


class Zone(BaseResolver):
    def __init__(self, text):
        self.records = RR.fromZone(text)

    def resolve(self, request, handler):
        reply = request.reply()
        named = [record for record in self.records if record.rname == request.q.qname]
        for record in named:
            if QTYPE[request.q.qtype] in (QTYPE[record.rtype], "ANY"):
                reply.add_answer(record)
        if not named:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def prepare(zone=ZONE, resolver="127.0.0.1"):
    tools = pathlib.Path("/tmp/tools")
    tools.mkdir()
    for name, text in {"systemctl": SYSTEMCTL, "journalctl": JOURNALCTL}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    pathlib.Path("/tmp/message.eml").write_bytes(MESSAGE)
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}:/usr/sbin:/sbin"
    for path in (pathlib.Path("/etc/resolv.conf"), pathlib.Path("/etc/hosts")):
        path.unlink(missing_ok=True)
    pathlib.Path("/etc/resolv.conf").write_text(f"nameserver {resolver}\n")
    pathlib.Path("/etc/hosts").write_text("127.0.0.1 localhost\n192.0.2.25 mx.example.org\n")
    for is_tcp in (False, True):
        DNSServer(Zone(zone), address=resolver, port=53, tcp=is_tcp,
                  logger=DNSLogger(logf=lambda text: None)).start_thread()


def far_host():
    """The next hop of the targets, on a host of its own behind a cable: port 25 of this one is ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    anchor = subprocess.Popen(["sleep", "infinity"])  # stays in this network
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(f"""ip link add far type veth peer name near netns {anchor.pid}
        ip address add 203.0.113.5/24 dev far
        ip link set far up""", shell=True, check=True)
    # what is for admin is deferred: it stays in the queue until the spool is "damaged"
    hop = harness.NextHop("203.0.113.5", 25, script=lambda stage, line, session:
                          "451 4.2.1 later" if stage == "rcpt" and b"admin@" in line else None)
    if libc.setns(here, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    anchor.kill()
    subprocess.run("ip address add 203.0.113.1/24 dev near && ip link set near up", shell=True, check=True)
    return hop


def postsrsd_address(sender):
    """What postsrsd makes of a sender today."""
    local, domain = sender.split("@")
    day = int(time.time()) // 86400 % 1024
    stamp = "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[digit] for digit in (day >> 5, day & 31))
    tag = hmac.new(POSTSRSD_SECRET.encode(), (stamp + domain + local).lower().encode(), "sha1").digest()
    return f"SRS0={base64.b64encode(tag).decode()[:4]}={stamp}={domain}={local}@srs.example.org"


def old_files():
    for name, text in OLD_FILES.items():
        path = pathlib.Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def old_server():
    """A Postfix: its files, its postconf, its log, and something in its place that listens as long as master.cf says so."""
    subprocess.run(f"""useradd -r -s /bin/false postfix; groupadd -r postdrop
        cp -a {harness.PEERS}/usr/lib/postfix /usr/lib/
        cp {harness.PEERS}/usr/sbin/postconf /usr/sbin/
        echo /usr/lib/postfix >/etc/ld.so.conf.d/postfix.conf
        ldconfig""", shell=True, check=True, stdout=subprocess.DEVNULL)
    pathlib.Path("/var/log/mail.log").write_text(
        f"postfix/smtp[1]: AB12: from=<{postsrsd_address('alice@example.net')}>, to=<x@y.example>, status=sent\n")
    state = pathlib.Path("/tmp/old-server")

    def watch():
        listening = None
        while True:
            wants = re.search("(?m)^smtp +inet ", pathlib.Path("/etc/postfix/master.cf").read_text()) is not None
            if wants and listening is None:
                listening = harness.NextHop("192.0.2.25", 25)
            elif not wants and listening is not None:
                listening.stop()
                listening = None
            state.write_text("yes" if wants else "no")
            time.sleep(0.05)
    threading.Thread(target=watch, daemon=True).start()


def run(command, patience=60, stdin=subprocess.DEVNULL):
    with open("/tmp/output", "w+b") as output:  # a daemon it starts may keep it open
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", command], stdout=output, stderr=subprocess.STDOUT,
                              stdin=stdin, timeout=patience, cwd=harness.ROOT)
    return {"command": command, "status": done.returncode,
            "output": pathlib.Path("/tmp/output").read_text(errors="replace")}


class Foreground:
    """A block that ends in `postilion serve`: it works until it is told to stop."""

    def __init__(self, block):
        self.block = block
        self.log = open("/tmp/postilion.log", "ab")
        self.process = subprocess.Popen(["bash", "-e", "-c", block], stdout=self.log, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, cwd=harness.ROOT)
        try:
            harness.wait_until(lambda: self.process.poll() is not None or run("postilion status")["status"] == 0, "status")
        except AssertionError:
            pass

    def end(self):
        """SIGHUP, then SIGTERM, as the text says."""
        pid = run("pgrep -o -x -f 'postilion serve -c postilion.conf'")["output"].strip()
        if pid and self.process.poll() is None:
            os.kill(int(pid), signal.SIGHUP)
            harness.wait_until(lambda: "event=reloaded" in pathlib.Path("/tmp/postilion.log").read_text(), "the reload")
            os.kill(int(pid), signal.SIGTERM)
        self.log.close()
        return {"command": self.block, "status": self.process.wait(60),
                "output": pathlib.Path("/tmp/postilion.log").read_text(errors="replace")[-4000:]}


def run_blocks(document):
    results = []
    for block in document_text.blocks_of(document, "sh"):
        last = block.strip().splitlines()[-1]
        results.append(Foreground(block).end() if last.startswith("postilion serve") else run(block, 300))
        if results[-1]["status"] != 0:
            break
        if "--to info@example.org" in block:
            run("swaks -s mx.example.org -f bob@sender.example -t abuse@example.org")
    return results


def look_up(table, command):
    fitting = [words for words in table if command == words or command.startswith(words + " ")]
    return table[max(fitting, key=len)] if fitting else {}


def filled_in(command):
    """Without its placeholders; None when one is new."""
    places = {**PLACES["postilion"], **look_up(PLACES, command)}
    for place in document_text.placeholders_of(command):
        if place == "ID":
            places["ID"] = run(QUEUED)["output"].strip()
        if place not in places:
            return None
    return " ".join(places.get(word, word) if word in document_text.placeholders_of(command) else word
                    for word in command.split())


def is_name(command, commands, blocks):
    return command in NAMES and (any(other.startswith(command + " ") for other in commands) or command + " " in blocks)


def run_spans(document):
    spans = document_text.command_spans(document) + document_text.transcript_commands(document)
    commands = list(dict.fromkeys(command for span in spans for command in document_text.commands_of(span)))
    blocks = "\n".join(document_text.blocks_of(document, "sh"))
    results = []
    for command in commands:
        if is_name(command, commands, blocks):
            continue
        text = filled_in(command)
        if text is None:
            results.append({"command": command, "status": 1, "output": "what do its words in capitals stand for?"})
            continue
        run(look_up(BEFORE, command) or "true")
        with open("/tmp/message.eml", "rb") as message:
            results.append(run(text, 120, message))
        if results[-1]["status"] in look_up(FINDERS, command):
            results[-1]["status"] = 0
        run((look_up(AFTER, command) or "true").format(last=text.split()[-1]))
    return results


def check_configs(document):
    results = []
    spans = document_text.config_spans(document)
    for piece in [*document_text.blocks_of(document, "conf"), *spans]:
        named = re.fullmatch(r"([a-z-]+) \{ ([a-z-]*) ?\}", piece)
        if named:  # a block, or an option of one: nothing is set
            results.append(run("postilion explain-option " + ".".join(filter(None, named.groups()))))
            continue
        words = {line.split()[0] for line in piece.splitlines() if line[:1].isalpha()}
        text = piece + "\n" + "\n".join(rest for word, rest in REST.items() if word not in words)
        pathlib.Path("/tmp/piece.conf").write_text(text + "\n")
        results.append({**run("postilion check --no-dns -c /tmp/piece.conf"), "command": piece})
    return results


def files_of_examples():
    """The files that pieces of configuration name."""
    run("""touch /etc/postilion/example.org.aliases
        mkdir -p /etc/postilion/tls
        openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=mx.example.org -addext subjectAltName=DNS:mx.example.org \\
            -out /etc/postilion/tls/fullchain.pem -keyout /etc/postilion/tls/privkey.pem
        chgrp -R postilion /etc/postilion
        chmod -R o-rwx /etc/postilion""")


def begin_with_configuration(document):
    """A document that installs nothing itself: as after the first block of OPERATING.md, with its first configuration."""
    results = [run(document_text.blocks_of(harness.ROOT / "docs/OPERATING.md", "sh")[0]),
               run("postilion srs secret --add /etc/postilion/srs.secret")]
    text = document_text.blocks_of(document, "conf")[0]
    files_of_examples()
    for path in ("/etc/postilion/postilion.conf", harness.ROOT / "postilion.conf"):
        pathlib.Path(path).write_text(text)
    return [result for result in results if result["status"] != 0]


def main():
    document = sys.argv[1]
    pathlib.Path("/tmp").chmod(0o1777)
    prepare()
    old_files()
    hop = far_host()
    if pathlib.Path(document).name == "MIGRATING.md":
        old_server()
    told = {"blocks": [], "spans": [], "configs": []}
    installs = "make install" in "".join(document_text.blocks_of(document, "sh"))
    if not installs:
        told["blocks"] = begin_with_configuration(document)
    told["blocks"] = told["blocks"] or run_blocks(document)
    told["senders"] = [message.sender for message in hop.messages]
    told["queue"] = run("postilion queue list")["output"]
    if all(block["status"] == 0 for block in told["blocks"]):
        if not installs:
            run("systemctl enable --now postilion")
        told["spans"] = run_spans(document)
        files_of_examples()
        run("test -e /etc/postilion/s1.pem || postilion key make s1 --domain srs.example.org --out /etc/postilion/s1.pem")
        told["configs"] = check_configs(document)
    log = pathlib.Path("/tmp/postilion.log")
    told["log"] = log.read_text(errors="replace")[-4000:] if log.exists() else ""
    print(json.dumps(told))


if __name__ == "__main__":
    main()
