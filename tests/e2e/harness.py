"""What every end-to-end test needs: the daemon, a real resolver, scripted next hops, a raw client.

Everything runs on loopback and on free ports. Waiting is for events (a log line, a message that
arrives), never for a time.
"""
import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POSTILION_BUILD", ROOT / "build")).resolve()
PEERS = pathlib.Path(os.environ.get("POSTILION_PEERS", ROOT / "build" / "peers")).resolve()
# A sanitizer build or a busy machine is slower; nothing here waits this long when all is well.
PATIENCE = float(os.environ.get("POSTILION_TEST_PATIENCE", "30"))


def program(name="postilion"):
    return str(BUILD / name)


def free_port(address="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def lasting_port(address="127.0.0.1"):
    """A free port that the kernel gives to nobody else while its owner is away for a moment: not
    even to a client that tries to connect to it, which would find itself there."""
    draw = random.SystemRandom()
    while True:
        port = draw.randrange(10000, 30000)
        try:
            with socket.socket() as probe:
                probe.bind((address, port))
            return port
        except OSError:
            continue


def wait_until(condition, what, patience=None):
    """Waits for a condition that some event of another process makes true."""
    end = time.monotonic() + (patience or PATIENCE)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)


def parse_logfmt(line):
    """One log line as a list of (key, value); keys may repeat."""
    fields = []
    for key, quoted, plain in re.findall(r'([A-Za-z_-]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', line):
        fields.append((key, re.sub(r"\\(.)", r"\1", quoted) if quoted else plain))
    return fields


class LogLine(dict):
    def __init__(self, text):
        super().__init__(parse_logfmt(text))
        self.text = text

    def __repr__(self):
        return self.text


def is_alive(pid):
    """A zombie is dead when its threads are: then it holds nothing any more."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


class Postilion:
    """The daemon with a configuration of the test's own."""

    def __init__(self, directory, resolver_port=None, **settings):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.settings = {
            "hostname": "mx.fwd.test",
            "listen": "127.0.0.1:0",
            "user": "root" if os.getuid() == 0 else "",
            "spool": self.directory / "spool",
            "state": self.directory / "state",
            "control": self.directory / "control.sock",
            "resolver": f"127.0.0.1:{resolver_port}" if resolver_port else "",
            "srs": "",
            "domain": "",      # lines inside domain fwd.test { }
            "extra": "",       # whole directives
            "mode": os.environ.get("POSTILION_TEST_MODE", "store"),
            "delivery": "",    # lines inside delivery { }
            "bounce": "all",   # nobody is proven without authenticate
            "bounce_limit": 0,
            "limits": "",
            "next_hop_port": 25,
            "allow": "127.0.0.0/8 ::1",
            "authenticate": "off",
            "policy": "",      # more lines inside policy { }
            "doctor": "    run off\n",  # lines inside doctor { }: nobody is asked without being told
            "sandbox": "strict",  # a system call nobody thought of ends the worker
        }
        self.settings.update(settings)
        self.secret = self.directory / "srs.secret"
        if not self.secret.exists():
            self.secret.write_text("a-secret-for-the-tests-only\n")
            self.secret.chmod(0o600)
        self.config = self.directory / "postilion.conf"
        self.log_path = self.directory / "log"
        self.process = None
        self.port = None
        self.write_config()

    def write_config(self, **settings):
        self.settings.update(settings)
        s = self.settings
        text = []
        for key in ("hostname", "listen", "user", "spool", "state", "control", "resolver", "sandbox"):
            if s[key]:
                text.append(f"{key} {s[key]}")
        text.append(f"srs {{\n    domain srs.fwd.test\n    secret-file {self.secret}\n{s['srs']}\n}}")
        domain = s["domain"] or "    forward postmaster to admin@dest.test\n"
        if "postmaster" not in domain:
            domain += "\n    forward postmaster to admin@dest.test\n"
        if "abuse" not in domain:
            domain += "\n    forward abuse to admin@dest.test\n"
        text.append(f"domain fwd.test {{\n{domain}\n}}")
        budget = "" if "forwards-per-hour" in s["policy"] else "    forwards-per-hour 0\n"
        text.append(f"policy {{\n    authenticate {s['authenticate']}\n{budget}{s['policy']}\n}}")
        text.append(f"delivery {{\n    mode {s['mode']}\n    port {s['next_hop_port']}\n    bounce {s['bounce']}\n"
                    f"    bounce-limit {s['bounce_limit']}\n{s['delivery']}\n}}")
        text.append(f"doctor {{\n{s['doctor']}\n}}")
        if s["allow"]:
            text.append(f"allow-next-hop {s['allow']}")
        text.append(f"limits {{\n{s['limits']}\n}}")
        text.append(s["extra"])
        self.config.write_text("\n".join(text) + "\n")

    def start(self, wait=True, wrapper=(), env=None, pass_fds=()):
        self.log_offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*wrapper, program(), "serve", "-c", str(self.config)],
            stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file,
            env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        if wait:
            line = self.wait_log("listening")
            self.port = int(line["address"].rsplit(":", 1)[1])
            self.wait_log("ready")
        return self

    def log(self, event=None, since_start=True, **fields):
        if not self.log_path.exists():
            return []
        data = self.log_path.read_bytes()[self.log_offset if since_start else 0:]
        data = data[:data.rfind(b"\n") + 1]  # a line that is being written is none yet
        lines = [LogLine(text) for text in data.decode("utf-8", "replace").splitlines()]
        return [line for line in lines
                if (event is None or line.get("event") == event)
                and all(line.get(key) == str(value) for key, value in fields.items())]

    def wait_log(self, event, patience=None, count=1, **fields):
        def found():
            if self.process is not None and self.process.poll() is not None:
                lines = self.log(event, **fields)
                if len(lines) >= count:
                    return lines
                raise AssertionError(f"the daemon ended with {self.process.returncode}, "
                                     f"no event={event} {fields}:\n{self.log_text()}")
            lines = self.log(event, **fields)
            return lines if len(lines) >= count else None
        try:
            return wait_until(found, f"event={event} {fields}", patience)[count - 1]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_text()}") from None

    def log_text(self):
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[self.log_offset:].decode("utf-8", "replace")[-6000:]

    def worker_pid(self):
        """The worker is the only child of the supervisor."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = children.read_text().split()
        return int(pids[0]) if pids else None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, patience=None):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(patience or PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the daemon does not stop:\n" + self.log_text()) from None
        self.process = None
        self.log_file.close()
        return status

    def kill(self):
        """kill -9 of everything at once; returns when all of it is gone."""
        if self.process is not None:
            # The supervisor stands still first, so that it cannot start another worker.
            workers = []
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGSTOP)
                children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
                workers = [int(pid) for pid in children.read_text().split()]
            for worker in workers:
                try:
                    os.kill(worker, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.kill()
            self.process.wait()
            self.process = None
            self.log_file.close()
            for worker in workers:
                wait_until(lambda: not is_alive(worker), "the end of the worker")

    def command(self, *arguments, check=True):
        result = subprocess.run([program(), *arguments, "-c", str(self.config)],
                                capture_output=True, text=True, timeout=PATIENCE)
        if check and result.returncode != 0:
            raise AssertionError(f"{arguments}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result


class Unbound:
    """A real resolver that knows the zone given: {name: [("A", "127.0.0.2"), ("MX", "10 mx.x")]}"""

    def __init__(self, directory, zone):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.zone = zone
        self.process = None
        self.port = None

    def start(self):
        import dns.exception
        import dns.message
        import dns.query
        for _ in range(5):  # somebody else may take the free port before unbound does
            self.port = free_port()
            self._write_files()
            config = self.directory / "unbound.conf"
            self.process = subprocess.Popen(
                [str(PEERS / "usr/sbin/unbound"), "-d", "-c", str(config)],
                stdout=open(self.directory / "unbound.log", "ab"), stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL)
            end = time.monotonic() + PATIENCE
            while self.process.poll() is None and time.monotonic() < end:
                try:
                    query = dns.message.make_query("test.", "SOA")
                    dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.2)
                    return self
                except (OSError, dns.exception.DNSException):
                    time.sleep(0.01)
            self.stop()
        raise AssertionError((self.directory / "unbound.log").read_text()[-2000:])

    def _write_files(self):
        """The zone comes from a file, so that unbound answers as it does for the rest of the world:
        CNAMEs are followed, negative answers carry their SOA. the servers of servfail.test do not
        exist."""
        lines = ["test. 60 IN SOA ns.test. admin.test. 1 3600 600 86400 60", "test. 60 IN NS ns.test.",
                 "ns.test. 60 IN A 127.0.0.1", "servfail.test. 60 IN NS nowhere.test."]
        reverse = []  # unbound answers for documentation networks (RFC 5737) by itself
        for name, records in self.zone.items():
            for kind, value in records:
                if name.endswith(".in-addr.arpa"):
                    reverse.append(f'    local-data: "{name}. {kind} {value}"')
                    continue
                if kind == "TXT":
                    value = " ".join('"' + value[i:i + 250].replace('"', '\\"') + '"'
                                     for i in range(0, len(value), 250))
                lines.append(f"{name}. 60 IN {kind} {value}")
        (self.directory / "test.zone").write_text("\n".join(lines) + "\n")
        (self.directory / "unbound.conf").write_text("\n".join([
            "server:", f"    interface: 127.0.0.1@{self.port}", "    do-daemonize: no",
            '    chroot: ""', '    username: ""', f'    directory: "{self.directory}"',
            '    pidfile: ""', "    use-syslog: no", "    access-control: 127.0.0.0/8 allow",
            '    module-config: "iterator"', "    do-ip6: no", "    num-threads: 1",
            "    do-not-query-localhost: no", '    local-zone: "test." nodefault',
            '    local-zone: "127.in-addr.arpa." static', *reverse,
            "auth-zone:", '    name: "test."', f'    zonefile: "{self.directory}/test.zone"',
            "    for-downstream: no", "    for-upstream: yes", "    fallback-enabled: no",
            "remote-control:", "    control-enable: no", ""]))

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


class Message:
    def __init__(self, sender, recipients, data, parameters):
        self.sender = sender          # as in MAIL FROM:<...>, without the brackets
        self.recipients = recipients
        self.data = data              # dots unstuffed
        self.parameters = parameters  # of MAIL
        self.connection = None        # the how-manieth of its next hop
        self.chunks = 0               # by how many BDAT it came
        self.time = time.monotonic()

    def header(self):
        return self.data.split(b"\r\n\r\n", 1)[0] + b"\r\n"


class NextHop:
    """A scripted SMTP server. `script(stage, line, session)` returns what to do at each stage:
    None for the usual reply, a str/bytes reply, or one of RESET, CLOSE, SILENCE.
    Stages: banner ehlo mail rcpt data mid-data dot rset quit."""
    RESET, CLOSE, SILENCE = object(), object(), object()
    USUAL = {"banner": "220 sink ESMTP", "mail": "250 2.1.0 ok", "rcpt": "250 2.1.5 ok",
             "data": "354 go on", "dot": "250 2.0.0 taken", "rset": "250 2.0.0 ok",
             "quit": "221 2.0.0 bye"}

    def __init__(self, address="127.0.0.1", port=0, script=None,
                 keywords=("PIPELINING", "8BITMIME", "SIZE 100000000", "ENHANCEDSTATUSCODES")):
        self.script = script or (lambda stage, line, session: None)
        self.keywords = keywords
        self.messages = []      # answered 250
        self.attempts = []      # every content whose dot was read, whatever we answered
        self.connections = 0
        self.commands = []
        self.arrived = threading.Condition()
        self.server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind((address, port))
        self.server.listen(1024)
        self.address, self.port = self.server.getsockname()[:2]
        self.open = set()
        self.is_stopped = False
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while not self.is_stopped:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections),
                             daemon=True).start()

    def _act(self, connection, stage, line, session):
        """True: go on with the dialogue (and whether the reply was positive)."""
        action = self.script(stage, line, session)
        if action is self.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raise ConnectionAbortedError
        if action is self.CLOSE:
            raise ConnectionAbortedError
        if action is self.SILENCE:
            while connection.recv(65536):
                pass
            raise ConnectionAbortedError
        if action is None:
            action = self.USUAL.get(stage)
            if stage == "ehlo":
                lines = ["sink", *self.keywords]
                action = "\r\n".join(f"250{'-' if i < len(lines) - 1 else ' '}{text}"
                                     for i, text in enumerate(lines))
        if action is None:
            return True
        data = action if isinstance(action, bytes) else (action + "\r\n").encode()
        if stage == "dot" and data[:1] == b"2":
            session["accept"]()
        connection.sendall(data)
        return data[:1] in b"23"

    def _serve(self, connection, number):
        session = {"accept": None, "connection": number}
        try:
            with connection, connection.makefile("rb") as stream:
                self._act(connection, "banner", b"", session)
                self._dialogue(connection, stream, session)
        except (OSError, ConnectionAbortedError, ValueError):
            pass
        finally:
            self.open.discard(connection)

    def _dialogue(self, connection, stream, session):
        sender, parameters, recipients, chunks = None, "", [], []
        while True:
            raw = stream.readline(100000)
            if not raw:
                return
            line = raw.rstrip(b"\r\n")
            self.commands.append(line)
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                self._act(connection, "ehlo", line, session)
            elif verb == b"MAIL":
                if self._act(connection, "mail", line, session):
                    match = re.match(rb"MAIL FROM:<(.*)>(.*)$", line, re.I)
                    sender, parameters = match.group(1).decode(), match.group(2).decode().strip()
                    recipients = []
            elif verb == b"RCPT":
                if sender is None:
                    connection.sendall(b"503 5.5.1 MAIL first\r\n")
                elif self._act(connection, "rcpt", line, session):
                    recipients.append(re.match(rb"RCPT TO:<(.*)>", line, re.I).group(1).decode())
            elif verb == b"DATA":
                if not recipients:
                    connection.sendall(b"554 5.5.1 no valid recipients\r\n")
                    continue
                if not self._act(connection, "data", line, session):
                    continue
                data = self._content(connection, stream, session)
                self._end_content(connection, line, session, Message(sender, recipients, data, parameters))
                sender, recipients = None, []
            elif verb == b"BDAT":
                words = line.upper().split()
                chunk = stream.read(int(words[1]))
                assert len(chunk) == int(words[1])
                if not recipients:
                    connection.sendall(b"503 5.5.1 no valid recipients\r\n")
                    continue
                chunks.append(chunk)
                if words[2:] != [b"LAST"]:
                    connection.sendall(b"250 2.0.0 more\r\n")
                    continue
                message = Message(sender, recipients, b"".join(chunks), parameters)
                message.chunks = len(chunks)
                self._end_content(connection, line, session, message)
                sender, recipients, chunks = None, [], []
            elif verb == b"RSET":
                sender, recipients = None, []
                self._act(connection, "rset", line, session)
            elif verb == b"QUIT":
                self._act(connection, "quit", line, session)
                return
            else:
                connection.sendall(b"500 5.5.1 what?\r\n")

    def _end_content(self, connection, line, session, message):
        message.connection = session["connection"]
        self.attempts.append(message)

        def accept():
            with self.arrived:
                self.messages.append(message)
                self.arrived.notify_all()
        session["accept"] = accept
        session["message"] = message
        self._act(connection, "dot", line, session)

    def _content(self, connection, stream, session):
        lines = []
        while True:
            raw = stream.readline(10_000_000)
            if not raw:
                raise ConnectionAbortedError
            if raw == b".\r\n":
                return b"".join(lines)
            lines.append(raw[1:] if raw.startswith(b".") else raw)
            if len(lines) == 5:
                self._act(connection, "mid-data", b"", session)

    def wait(self, count=1, patience=None):
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.messages) >= count,
                                         patience or PATIENCE):
                raise AssertionError(f"{len(self.messages)} of {count} messages arrived")
            return list(self.messages)

    def stop(self):
        self.is_stopped = True
        try:
            self.server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.server.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class World:
    """A daemon, a real resolver with a zone, and next hops at 127.0.0.2 and up, all on one port."""
    DEST, SENDER = "127.0.0.2", "127.0.0.3"
    ZONE = {
        "dest.test": [("MX", "10 mx.dest.test.")],
        "mx.dest.test": [("A", DEST)],
        "sender.test": [("MX", "10 mx.sender.test.")],
        "mx.sender.test": [("A", SENDER)],
    }
    DOMAIN = """
    forward info  to anna@dest.test
    forward sales to sepp@dest.test
    forward many  to anna@dest.test bert@dest.test
    """

    def __init__(self, make_daemon, make_resolver, make_hop):
        self.make_daemon, self.make_resolver, self.make_hop = make_daemon, make_resolver, make_hop
        self.port = None
        self.daemon = None
        self.settings = {}  # of every daemon here

    def hop(self, address=DEST, **options):
        """A next hop on the port that all of them share."""
        if self.port is None:
            hop = self.make_hop(address, **options)
            self.port = hop.port
            return hop
        return self.make_hop(address, port=self.port, **options)

    def start(self, zone=None, domain=None, is_started=True, **settings):
        self.port = self.port or free_port(self.DEST)
        resolver = self.make_resolver({**self.ZONE, **(zone or {})})
        self.daemon = self.make_daemon(resolver_port=resolver.port, next_hop_port=self.port,
                                       domain=domain or self.DOMAIN, **{**self.settings, **settings})
        return self.daemon.start() if is_started else self.daemon

    def send(self, recipients="info@fwd.test", data=None, sender="anna@sender.test"):
        """One message over a connection of its own; it must be accepted. Returns its id."""
        with Client(self.daemon.port) as client:
            code, lines = client.hello().message(sender, recipients, data or a_message(sender=sender))
            assert code == 250, lines
            client.command("QUIT")
            return lines[0].rsplit("id=", 1)[1]


class Client:
    """A raw SMTP client: sends octets, reads replies."""

    def __init__(self, port, address="127.0.0.1", source=None, greet=True):
        self.socket = socket.create_connection((address, port), PATIENCE,
                                               (source, 0) if source else None)
        self.socket.settimeout(PATIENCE)
        self.stream = self.socket.makefile("rb")
        self.banner = self.reply() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def reply(self):
        """(code, [lines])"""
        lines = []
        while True:
            raw = self.stream.readline()
            if not raw:
                raise ConnectionError("closed by the server")
            assert raw.endswith(b"\r\n"), raw
            text = raw[:-2].decode()
            assert re.match(r"[2-5]\d\d[- ]", text), text
            lines.append(text)
            if text[3] == " ":
                return int(text[:3]), lines

    def command(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def expect(self, line, code):
        got, lines = self.command(line)
        assert got == code, (line, lines)
        return lines

    def hello(self):
        self.expect("EHLO client.example", 250)
        return self

    def envelope(self, sender, *recipients):
        self.expect(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            self.expect(f"RCPT TO:<{recipient}>", 250)
        self.expect("DATA", 354)

    def message(self, sender, recipients, data):
        """Sends one message; returns the reply to its final dot."""
        if isinstance(recipients, str):
            recipients = [recipients]
        self.envelope(sender, *recipients)
        self.send(stuff(data) + b".\r\n")
        return self.reply()

    def is_closed(self):
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.stream.close()
        self.socket.close()


def stuff(data):
    data = data.encode() if isinstance(data, str) else data
    assert data.endswith(b"\r\n")
    return re.sub(rb"(?m)^\.", b"..", data)


def a_message(subject="hello", body="one line", sender="anna@sender.test", extra=""):
    return (f"From: Anna <{sender}>\r\nTo: info@fwd.test\r\nSubject: {subject}\r\n"
            f"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <{subject}@sender.test>\r\n"
            f"{extra}\r\n{body}\r\n").encode()


def run(command, **options):
    """A real program, by its words; output captured."""
    words = shlex.split(command) if isinstance(command, str) else command
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, **options)
