"""Runs the command blocks of docs/OPERATING.md as they stand, inside tests/support/private_host.

    run_document.py DOCUMENT

Around them are the example's world: its DNS, the next hop of its targets, and a `systemctl` that starts what the
installed unit says. Prints what happened as JSON.
"""
import ctypes
import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from dnslib import QTYPE, RCODE, RR  # noqa: E402
from dnslib.server import BaseResolver, DNSLogger, DNSServer  # noqa: E402

CLONE_NEWNET = 0x40000000
ZONE = """
mx.example.org. 60 IN A 192.0.2.25
example.org. 60 IN MX 10 mx.example.org.
srs.example.org. 60 IN MX 10 mx.example.org.
srs.example.org. 60 IN TXT "v=spf1 ip4:192.0.2.25 -all"
mail.example. 60 IN MX 10 in.mail.example.
in.mail.example. 60 IN A 203.0.113.5
"""
SYSTEMCTL = r"""#!/bin/bash
case $1 in
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
stop)
    pids=$(pgrep -x -f '.*postilion serve -c /etc/postilion/postilion.conf')
    kill -TERM $(head -n 1 <<<"$pids")
    for pid in $pids; do tail --pid="$pid" -f /dev/null; done ;;
esac
"""


class Zone(BaseResolver):
    def __init__(self):
        self.records = RR.fromZone(ZONE)

    def resolve(self, request, handler):
        reply = request.reply()
        named = [record for record in self.records if record.rname == request.q.qname]
        for record in named:
            if QTYPE[request.q.qtype] in (QTYPE[record.rtype], "ANY"):
                reply.add_answer(record)
        if not named:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def blocks_of(document):
    return re.findall(r"(?ms)^```sh\n(.*?)^```$", pathlib.Path(document).read_text())


def prepare():
    tools = pathlib.Path("/tmp/tools")
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}:/usr/sbin:/sbin"
    for path in (pathlib.Path("/etc/resolv.conf"), pathlib.Path("/etc/hosts")):
        path.unlink(missing_ok=True)
    pathlib.Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    pathlib.Path("/etc/hosts").write_text("127.0.0.1 localhost\n192.0.2.25 mx.example.org\n")
    for is_tcp in (False, True):
        DNSServer(Zone(), address="127.0.0.1", port=53, tcp=is_tcp,
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


def main():
    pathlib.Path("/tmp").chmod(0o1777)
    prepare()
    hop = far_host()
    told = {"blocks": [], "senders": []}
    for block in blocks_of(sys.argv[1]):
        with open("/tmp/output", "w+b") as output:  # a daemon it starts may keep it open
            done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", block], stdout=output, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, timeout=60, cwd=harness.ROOT)
        text = pathlib.Path("/tmp/output").read_text(errors="replace")
        told["blocks"].append({"block": block, "status": done.returncode, "output": text})
        if done.returncode != 0:
            break
        if "--to info@example.org" in block:
            subprocess.run(["swaks", "-s", "mx.example.org", "-f", "bob@sender.example", "-t", "abuse@example.org"],
                           stdout=subprocess.DEVNULL, timeout=60, check=True)
    told["senders"] = [message.sender for message in hop.messages]
    told["queue"] = subprocess.run(["postilion", "queue", "list"], capture_output=True, text=True).stdout
    log = pathlib.Path("/tmp/postilion.log")
    told["log"] = log.read_text(errors="replace")[-4000:] if log.exists() else ""
    print(json.dumps(told))


if __name__ == "__main__":
    main()
