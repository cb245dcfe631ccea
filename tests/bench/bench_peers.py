"""What is measured by bench.py and crowd_cells.py: programs that forward, each with its processes and files."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

import signed_mail

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POSTILION_BUILD", ROOT / "build")).resolve()
PEERS = pathlib.Path(os.environ.get("POSTILION_PEERS", ROOT / "build" / "peers")).resolve()
WORK = BUILD / "bench"
DISK = WORK / "disk"
COUNTS = WORK / "counts"
MODE = os.environ.get("BENCH_MODE", "store")
QUICK = os.environ.get("BENCH_QUICK", "0") not in ("", "0")
SINK_PORT = 2526
ALIASES = 1000
CLOCK_TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def wait_for(condition, what, log, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            text = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            sys.exit(f"bench: waited in vain for {what}; {log} ends so:\n{text}")
        time.sleep(0.005)


def greets(port, first=b""):
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5) as connection:
            connection.settimeout(2)
            connection.sendall(first)
            return connection.recv(3) == b"220"
    except OSError:
        return False


# --- what processes cost ------------------------------------------------------------------------

def family(roots):
    """{pid: (CPU seconds with those of children that have ended, resident octets)}"""
    stats, waiting = {}, list(roots)
    while waiting:
        pid = waiting.pop()
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            continue  # it has just ended, and its parent has its CPU time
        stats[pid] = sum(int(field) for field in fields[11:15]) / CLOCK_TICK, int(fields[21]) * PAGE
        waiting += [int(child) for child in children.split()]
    return stats


class MemoryWatch(threading.Thread):
    """The highest sum of resident memory over all processes of a peer, looked at twice a second."""

    def __init__(self, peer):
        super().__init__(daemon=True)
        self.peer = peer
        self.peak = 0
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.5):
            self.peak = max(self.peak, self.peer.resident())

    def stop(self):
        self.done.set()
        self.join()
        self.peak = max(self.peak, self.peer.resident())
        return self.peak


class Peer:
    """Something that forwards: name, port, and the processes it began with."""

    load_options = ()
    rewrites = True  # the envelope sender, by SRS

    def __init__(self, name, port):
        self.name = name
        self.port = port
        self.directory = DISK / name
        self.log = WORK / f"{name}.log"
        self.log.unlink(missing_ok=True)
        self.processes = []

    def spawn(self, *command, env=None):
        output = open(self.log, "ab")
        self.processes.append(subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, **(env or {})}, start_new_session=True))
        return self.processes[-1]

    def family(self):
        return family(process.pid for process in self.processes)

    def cpu(self):
        return sum(cpu for cpu, _ in self.family().values())

    def resident(self):
        return sum(resident for _, resident in self.family().values())

    def proportional(self):
        """As resident, each shared page counted once."""
        total = 0
        for pid in self.family():
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(text.split("\nPss:")[1].split()[0]) * 1024
        return total

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self.processes = []


class Postilion(Peer):
    def __init__(self, name="postilion", port=2525, aliases=ALIASES, authenticate="off", mode=MODE, pair=None):
        super().__init__(name, port)
        self.aliases = aliases
        self.authenticate = authenticate
        self.mode = mode
        self.tls = f"tls {{\n    certificate {pair[0]}\n    key {pair[1]}\n}}" if pair else ""

    def configure(self):
        self.directory.mkdir(parents=True)
        secret = self.directory / "secret"
        secret.write_text("benchsecretbenchsecret\n")
        secret.chmod(0o600)
        aliases = "".join(f"u{i}: u{i}@dest.test\n" for i in range(self.aliases))
        (self.directory / "aliases").write_text(
            aliases + "postmaster: u0@dest.test\nabuse: u0@dest.test\n")
        (self.directory / "postilion.conf").write_text("\n".join([
            "hostname mx.fwd.test", f"listen 127.0.0.1:{self.port}", "user root",
            f"spool {self.directory}/spool", f"state {self.directory}/state",
            f"control {self.directory}/control.sock", "resolver 127.0.0.1:53",
            f"srs {{\n    domain fwd.test\n    secret-file {secret}\n}}",
            f"domain fwd.test {{\n    aliases {self.directory}/aliases\n}}",
            f"route * to 127.0.0.1:{SINK_PORT}",
            f"policy {{\n    authenticate {self.authenticate}\n    forwards-per-hour 0\n}}",
            f"delivery {{\n    mode {self.mode}\n}}", self.tls,
            "limits {\n    per-client 5000\n    connections 12000\n}", ""]))
        return self

    def start(self):
        self.spawn(BUILD / "postilion", "serve", "-c", self.directory / "postilion.conf")
        wait_for(lambda: greets(self.port), "postilion's greeting", self.log)
        return self


class Postfix(Peer):
    """Unpacked from its package, never installed; SRS by postsrsd."""

    extra = ""
    first_line = b""
    srs_ports = 10001, 10002

    def __init__(self, name="postfix", port=2527):
        super().__init__(name, port)
        self.environment = {"LD_LIBRARY_PATH": str(PEERS / "usr/lib/postfix"),
                            "MAIL_CONFIG": str(self.directory / "etc")}

    def configure(self):
        etc, queue = self.directory / "etc", self.directory / "queue"
        etc.mkdir(parents=True)
        (self.directory / "data").mkdir()
        shutil.chown(self.directory / "data", "postfix", "postfix")
        self.make_queue(queue)
        (etc / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {self.directory}/data
command_directory = {PEERS}/usr/sbin
daemon_directory = {PEERS}/usr/lib/postfix/sbin
shlib_directory = {PEERS}/usr/lib/postfix
meta_directory = {etc}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME
maillog_file = {self.log}
maillog_file_prefixes = {WORK}
myhostname = mx.fwd.test
mydestination = localhost
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
biff = no
append_dot_mydomain = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
virtual_alias_domains = fwd.test
virtual_alias_maps = hash:{etc}/virtual
relayhost = [127.0.0.1]:{SINK_PORT}
sender_canonical_maps = tcp:127.0.0.1:{self.srs_ports[0]}
sender_canonical_classes = envelope_sender
recipient_canonical_maps = tcp:127.0.0.1:{self.srs_ports[1]}
recipient_canonical_classes = envelope_recipient,header_recipient
{self.extra}""")
        (etc / "master.cf").write_text(self.services())
        (etc / "dynamicmaps.cf").write_text("")
        (etc / "virtual").write_text("".join(f"u{i}@fwd.test u{i}@dest.test\n" for i in range(ALIASES)))
        run(PEERS / "usr/sbin/postmap", f"hash:{etc}/virtual", env={**os.environ, **self.environment})
        (self.directory / "srs.secret").write_text("benchsecretbenchsecret\n")
        return self

    @staticmethod
    def make_queue(queue):
        queue.mkdir()
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                     "maildrop", "pid", "private", "public", "saved", "trace"):
            directory = queue / name
            directory.mkdir()
            group = "postdrop" if name in ("maildrop", "public") else "root"
            shutil.chown(directory, "root" if name == "pid" else "postfix", group)
            directory.chmod({"maildrop": 0o1730, "public": 0o2710, "pid": 0o755}.get(name, 0o700))

    def services(self):
        """Debian's master.cf without chroot, the listener on our port."""
        lines = []
        for line in (PEERS / "usr/share/postfix/master.cf.dist").read_text().splitlines():
            fields = line.split()
            if not line or line[0] in "# " or fields[7] not in (
                    "smtpd", "pickup", "cleanup", "qmgr", "tlsmgr", "trivial-rewrite", "bounce", "verify",
                    "flush", "proxymap", "smtp", "showq", "error", "discard", "local", "virtual", "lmtp",
                    "anvil", "scache", "postlogd"):
                continue
            if fields[7] == "smtpd":
                fields[0] = f"127.0.0.1:{self.port}"
            fields[4] = "n"
            lines.append(" ".join(fields))
        return "\n".join(lines) + "\n"

    def start(self):
        jail = self.directory / "jail"
        jail.mkdir(exist_ok=True)
        self.spawn(PEERS / "usr/sbin/postsrsd", "-s", self.directory / "srs.secret", "-d", "fwd.test",
                   "-u", "postsrsd", "-c", jail, "-4", "-f", self.srs_ports[0], "-r", self.srs_ports[1])
        self.spawn(PEERS / "usr/lib/postfix/sbin/master", "-d", "-c", self.directory / "etc",
                   env=self.environment)
        wait_for(lambda: greets(self.port, self.first_line), "Postfix's greeting", self.log)
        return self


class PostfixRspamd(Postfix):
    """SPF, DKIM and DMARC by rspamd as the one milter, every other module off; a unix socket, because over
    TCP Nagle's algorithm costs it 45 ms a message; clients by PROXY, because it passes those on loopback."""

    first_line = f"PROXY TCP4 {signed_mail.CLIENT} 127.0.0.1 40000 25\r\n".encode()
    load_options = "-X", signed_mail.CLIENT
    srs_ports = 10003, 10004

    def __init__(self):
        super().__init__("postfix-rspamd", 2531)
        self.socket = self.directory / "rspamd.sock"
        self.extra = f"""
smtpd_milters = unix:{self.socket}
milter_default_action = tempfail
milter_protocol = 6
smtpd_upstream_proxy_protocol = haproxy
smtpd_client_connection_count_limit = 0
"""

    def configure(self):
        super().configure()
        local = self.directory / "rspamd" / "local.d"
        local.mkdir(parents=True)
        for path in (PEERS / "etc/rspamd/modules.d").glob("*.conf"):
            if path.stem not in ("spf", "dkim", "dmarc", "milter_headers"):
                (local / path.name).write_text("enabled = false;\n")
        for worker in ("normal", "controller", "fuzzy"):
            (local / f"worker-{worker}.inc").write_text("enabled = false; count = 0;\n")
        for name, text in {
                "options.inc": 'dns { nameserver = ["127.0.0.1"]; timeout = 1s; retransmits = 2; }\n'
                               'filters = "dkim";\nlocal_addrs = [];\n',
                "worker-proxy.inc": f'bind_socket = "{self.socket} mode=0666";\nmilter = yes;\ntimeout = 30s;\n'
                                    'count = 2;\nupstream "local" { default = yes; self_scan = yes; }\n',
                "milter_headers.conf": 'use = ["authentication-results"];\nskip_local = false;\n',
                "dmarc.conf": 'actions { reject = "REJECT"; quarantine = "ADD_HEADER"; }\n',
                "logging.inc": 'type = "console";\nlevel = "notice";\n'}.items():
            (local / name).write_text(text)
        return self

    def start(self):
        place = self.directory / "rspamd"
        self.directory.chmod(0o755)
        words = {"CONFDIR": PEERS / "etc/rspamd", "LOCAL_CONFDIR": place, "RUNDIR": place, "DBDIR": place,
                 "LOGDIR": place}
        self.spawn(PEERS / "usr/bin/rspamd", "-f", "-i", "-c", PEERS / "etc/rspamd/rspamd.conf",
                   *[word for name, value in words.items() for word in ("--var", f"{name}={value}")],
                   env={"LD_LIBRARY_PATH": str(PEERS / "usr/lib/rspamd")})
        wait_for(self.socket.exists, "rspamd's socket", self.log, 120)
        time.sleep(3)  # its helper makes the workers read their expressions anew after a moment
        return super().start()


class PostfixCrowd(Postfix):
    """With TLS, and a process for each of very many clients."""

    srs_ports = 10005, 10006

    def __init__(self, pair, clients):
        super().__init__("postfix-crowd", 2533)
        self.extra = f"""
smtpd_tls_security_level = may
smtpd_tls_cert_file = {pair[0]}
smtpd_tls_key_file = {pair[1]}
default_process_limit = {clients + 200}
smtpd_junk_command_limit = 10000
smtpd_client_connection_count_limit = 0
"""


class EximCut(Peer):
    """Exim that asks before it answers (cutthrough_delivery). It cannot rewrite the sender then."""

    rewrites = False

    def __init__(self, pair, clients):
        super().__init__("exim-cut", 2535)
        self.pair = pair
        self.clients = clients

    def configure(self):
        self.directory.mkdir(parents=True)
        shutil.chown(self.directory, "Debian-exim", "Debian-exim")
        (self.directory / "exim.conf").write_text(f"""
primary_hostname = mx.fwd.test
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {self.directory}/spool
log_file_path = {self.directory}/%slog
pid_file_path = {self.directory}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
smtp_accept_max = {self.clients + 200}
smtp_accept_max_per_host = 0
smtp_connect_backlog = 1024
smtp_accept_max_nonmail_hosts =
deliver_drop_privilege = true
host_lookup =
rfc1413_hosts =
tls_advertise_hosts = *
tls_certificate = {self.pair[0]}
tls_privatekey = {self.pair[1]}
tls_resumption_hosts = *
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  require domains = fwd.test
  warn control = cutthrough_delivery
  accept
begin routers
forwards:
  driver = redirect
  domains = fwd.test
  data = $local_part@dest.test
out:
  driver = manualroute
  transport = relay
  route_data = 127.0.0.1
  self = send
begin transports
relay:
  driver = smtp
  port = {SINK_PORT}
  allow_localhost
  hosts_try_fastopen =
  tls_tempfail_tryclear
begin retry
* * F,2h,15m
""")
        return self

    def start(self):
        self.directory.parent.chmod(0o755)
        self.spawn(PEERS / "usr/sbin/exim4", "-C", self.directory / "exim.conf", "-bdf")
        wait_for(lambda: greets(self.port), "Exim's greeting", self.log)
        return self


# --- load on one of them ---------------------------------------------------------------------------

def load(peer, *options):
    """One run of the load generator; what it says, with what the peer spent."""
    run("sync", "-f", DISK)  # what the other one has left to be written is not ours to wait for
    watch = MemoryWatch(peer)
    watch.start()
    before = peer.cpu()
    result = subprocess.run([BUILD / "load_generator", "-m", COUNTS, "-p", str(peer.port), *peer.load_options,
                             *options],
                            stdout=subprocess.PIPE, text=True)
    time.sleep(0.3)  # what is left to be done after the last message
    figures = json.loads(result.stdout)
    figures["cpu"] = (peer.cpu() - before) * 1000 / max(1, figures["accepted"])
    figures["peak"] = watch.stop()
    if not peer.rewrites:
        figures["good"] = (figures["accepted"] == figures["messages"]
                           and not figures["missing"] and not figures["duplicates"])
    if not figures["good"]:
        print(f"bench: {peer.name} {' '.join(options)}: {json.dumps(figures)}", file=sys.stderr)
    return figures
