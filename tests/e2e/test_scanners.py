"""Scanners: the real clamd and the real rspamd from Debian, with a signature and rules of our own; and none at all."""
import base64
import os
import signal
import socket
import subprocess
import threading

import pytest

import harness
from harness import Client, a_message, free_port, wait_until

VIRUS = "postilion-test-virus"
SIGNATURE = "Postilion.Test.Virus"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
LIBRARIES = harness.PEERS / "usr/lib"

CLAMD = """DatabaseDirectory {directory}/db
LocalSocket {directory}/clamd.sock
TCPSocket {port}
TCPAddr 127.0.0.1
TemporaryDirectory {directory}
Foreground yes
LogFile {directory}/log
StreamMaxLength 1M
MaxThreads 4
"""

RSPAMD = """options {{
    pidfile = "{directory}/pid";
    filters = "";
    enable_test_patterns = true;
    dns {{ nameserver = "127.0.0.1:9"; timeout = 0.1s; retransmits = 1; }}
    control_socket = "{directory}/control.sock mode=0600";
    cache_file = "{directory}/symbols.cache";
    hs_cache_dir = "{directory}";
    tempdir = "{directory}";
    url_tld = "{directory}/tld.dat";
    local_addrs = [];
}}
logging {{ type = "file"; filename = "{directory}/log"; level = "info"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
actions {{ reject = 15; add_header = 6; }}
lua = "{directory}/rules.lua";
"""

# What it was told stands in the names of its symbols.
RULES = """
local function subject_has(word)
    return function(task) return (task:get_subject() or ''):find(word, 1, true) ~= nil end
end
rspamd_config.TEST_TAG = { callback = subject_has('tag me'), score = 7.0 }
rspamd_config.TEST_END = { score = 20.0, callback = function(task)
    return tostring(task:get_content()):find('the very end', 1, true) ~= nil
end }
rspamd_config.TEST_TOLD = { score = 0.1, callback = function(task)
    local from, rcpt = task:get_from('smtp'), task:get_recipients('smtp')
    return tostring(task:get_from_ip()) == '127.0.0.1' and task:get_helo() == 'client.example'
        and from ~= nil and from[1].addr == 'anna@sender.test'
        and rcpt ~= nil and #rcpt == 2 and rcpt[1].addr == 'info@fwd.test' and rcpt[2].addr == 'postmaster@fwd.test'
        and task:get_queue_id() ~= nil
end }
rspamd_config.TEST_LATER = { type = 'prefilter', callback = function(task)
    if (task:get_subject() or ''):find('later', 1, true) then
        task:set_pre_result('soft reject', 'Try again later', 'test')
    end
end }
"""


class Scanner:
    """A process of our own, with everything it writes in one directory."""

    def __init__(self, directory, binary):
        self.directory = directory
        self.binary = harness.PEERS / binary
        self.process = None
        if not self.binary.exists():
            pytest.skip(f"{self.binary} is not there: make peers unpacks it")
        directory.mkdir()
        self.port = free_port()

    def run(self, *arguments, environment=None):
        with open(self.directory / "out", "wb") as out:
            self.process = subprocess.Popen([str(self.binary), *arguments], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env={**os.environ, **(environment or {})}, start_new_session=True)
        wait_until(self.listens, f"{self.binary.name} to listen")
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError((self.directory / "out").read_text(errors="replace")[-3000:])
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        """Its helpers, too: they are all of one session."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(10)


@pytest.fixture(scope="module")
def clamd(tmp_path_factory):
    server = Scanner(tmp_path_factory.mktemp("scanners") / "clamd", "usr/sbin/clamd")
    (server.directory / "db").mkdir()
    (server.directory / "db/test.ndb").write_text(f"{SIGNATURE}:0:*:{VIRUS.encode().hex()}\n")
    config = server.directory / "clamd.conf"
    config.write_text(CLAMD.format(directory=server.directory, port=server.port))
    yield server.run("-c", str(config))
    server.stop()


@pytest.fixture(scope="module")
def rspamd(tmp_path_factory):
    server = Scanner(tmp_path_factory.mktemp("scanners") / "rspamd", "usr/bin/rspamd")
    config = server.directory / "rspamd.conf"
    config.write_text(RSPAMD.format(directory=server.directory, port=server.port))
    (server.directory / "rules.lua").write_text(RULES)
    (server.directory / "tld.dat").write_text("com\ntest\n")
    share = harness.PEERS / "usr/share/rspamd"
    places = {"LUALIBDIR": share / "lualib", "RULESDIR": share / "rules", "PLUGINSDIR": share / "plugins",
              "SHAREDIR": share, **{name: server.directory for name in ("DBDIR", "RUNDIR", "CONFDIR", "LOGDIR")}}
    libraries = ":".join(str(path) for path in [LIBRARIES / "rspamd", *LIBRARIES.glob("*/rspamd")])
    yield server.run("-f", "-i", "-c", str(config), *(f"--var={name}={path}" for name, path in places.items()),
                     environment={"LD_LIBRARY_PATH": libraries})
    server.stop()


def scan(*lines):
    return "scan {\n    " + "\n    ".join(lines) + "\n}"


def answer(world, data, recipients=("info@fwd.test",)):
    with Client(world.daemon.port) as client:
        return client.hello().message("anna@sender.test", recipients, data)


def infected(encoding=None):
    if encoding is None:
        return a_message(body=f"see {VIRUS} here")
    body = base64.b64encode(f"see {VIRUS} here".encode()).decode()
    return a_message(body=body, extra="MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
                                      "Content-Transfer-Encoding: base64\r\n")


# ---- clamd ----

@pytest.mark.parametrize("place", ["path", "address"])
@pytest.mark.parametrize("encoding", [None, "base64"])
def test_a_virus_is_refused_and_named(world, clamd, place, encoding):
    hop = world.hop()
    where = f"{clamd.directory}/clamd.sock" if place == "path" else f"127.0.0.1:{clamd.port}"
    world.start(extra=scan(f"clamd {where}"))
    code, lines = answer(world, infected(encoding))
    assert code == 550 and " 5.7.1 " in lines[0] and SIGNATURE in lines[0], lines
    line = world.daemon.wait_log("message-refused")
    assert line["why"] == "virus" and line["virus"].startswith(SIGNATURE)
    scanned = world.daemon.wait_log("scanned", scan="clamd")
    assert scanned["result"] == "virus" and scanned["id"] == line["id"]
    code, lines = answer(world, a_message())
    assert code == 250, lines
    hop.wait(1)
    assert VIRUS.encode() not in hop.messages[0].data and len(hop.attempts) == 1
    assert world.daemon.wait_log("scanned", result="clean")


def test_a_virus_is_tagged_or_held(world, clamd):
    hop = world.hop()
    world.start(extra=scan(f"clamd 127.0.0.1:{clamd.port}", "virus tag"))
    code, lines = answer(world, infected())
    assert code == 250, lines
    hop.wait(1)
    assert b"x-virus=fail policy.what=" in b" ".join(hop.messages[0].header().split())
    world.daemon.write_config(extra=scan(f"clamd 127.0.0.1:{clamd.port}", "virus hold"))
    world.daemon.signal(signal.SIGHUP)
    world.daemon.wait_log("reloaded")
    code, lines = answer(world, infected())
    assert code == 250, lines
    identity = lines[0].rsplit("id=", 1)[1].split()[0]
    assert identity in world.daemon.command("queue", "list").stdout
    assert len(hop.attempts) == 1


@pytest.mark.parametrize("rule, want", [("accept", 250), ("refuse", 552)])
def test_more_than_clamd_takes(world, clamd, rule, want):
    world.hop()
    world.start(extra=scan(f"clamd {clamd.directory}/clamd.sock", f"too-large {rule}"))
    large = a_message(body="\r\n".join(["x" * 70] * 50000))
    code, lines = answer(world, large)
    assert code == want, lines
    assert world.daemon.wait_log("scanned", scan="clamd")["result"] == "too-large"


# ---- rspamd ----

def test_rspamd_says_what_becomes_of_it(world, rspamd):
    hop = world.hop()
    world.start(extra=scan(f"rspamd 127.0.0.1:{rspamd.port}"))
    code, lines = answer(world, a_message(body=GTUBE))
    assert code == 550 and " 5.7.1 " in lines[0], lines
    assert world.daemon.wait_log("message-refused")["why"] == "spam"
    assert "GTUBE" in world.daemon.wait_log("scanned", result="reject")["symbols"]
    code, lines = answer(world, a_message(subject="later"))
    assert code == 451 and " 4.7.1 " in lines[0], lines
    assert world.daemon.wait_log("message-deferred")["why"] == "spam-later"
    code, lines = answer(world, a_message(subject="tag me"))
    assert code == 250, lines
    hop.wait(1)
    assert b"x-spam=fail policy.rule=add-header policy.score=" in b" ".join(hop.messages[0].header().split())
    assert world.daemon.wait_log("accepted")["mark"] == "add-header"
    code, lines = answer(world, a_message())
    assert code == 250, lines
    hop.wait(2)
    assert b"x-spam" not in hop.messages[1].data


def test_rspamd_is_told_who_and_to_whom(world, rspamd):
    world.hop()
    world.start(extra=scan(f"rspamd 127.0.0.1:{rspamd.port}"))
    code, lines = answer(world, a_message(), ("info@fwd.test", "postmaster@fwd.test"))
    assert code == 250, lines
    assert "TEST_TOLD" in world.daemon.wait_log("scanned", scan="rspamd").get("symbols", "")


# ---- both, and neither ----

def test_both_look_at_the_same_octets(world, clamd, rspamd):
    hop = world.hop()
    world.start(mode="handoff", extra=scan(f"clamd {clamd.directory}/clamd.sock", f"rspamd 127.0.0.1:{rspamd.port}"))
    large = "\r\n".join(["x" * 70] * 10000)  # a file of ours
    code, lines = answer(world, a_message(body=f"{large}\r\n{VIRUS}"))
    assert code == 550 and SIGNATURE in lines[0], lines
    code, lines = answer(world, a_message(body=f"{large}\r\nthe very end"))
    assert code == 550 and SIGNATURE not in lines[0], lines
    assert hop.connections == 0, "nobody hears of it before the scanners have answered"
    data = a_message(body=large)
    code, lines = answer(world, data)
    assert code == 250, lines
    assert hop.messages[0].data.endswith(data)
    world.daemon.wait_log("scanned", count=6)
    assert not world.daemon.log("scan-failed")


class Deaf:
    """Takes connections and says nothing."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]


@pytest.mark.parametrize("scanner", ["clamd", "rspamd"])
@pytest.mark.parametrize("rule, want", [("defer", 451), ("accept", 250)])
@pytest.mark.parametrize("trouble, why", [("refused", "refused"), ("silent", "timeout")])
def test_a_scanner_that_does_not_answer(world, scanner, rule, want, trouble, why):
    world.hop()
    deaf = Deaf()
    port = deaf.port
    if trouble == "refused":
        deaf.server.close()
    world.start(extra=scan(f"{scanner} 127.0.0.1:{port}", "timeout 300ms", f"on-failure {rule}"))
    code, lines = answer(world, a_message())
    assert code == want, lines
    assert world.daemon.wait_log("scan-failed", scan=scanner)["why"] == why
    if want == 451:
        assert world.daemon.wait_log("message-deferred")["why"] == "scan-failed"
    deaf.server.close()


def test_a_slow_scanner_takes_its_places_and_no_more(world):
    """Two are shown, the others wait until time is up; meanwhile commands are answered."""
    world.hop()
    deaf = Deaf()
    world.start(extra=scan(f"clamd 127.0.0.1:{deaf.port}", "timeout 1s", "concurrency 2") + "\nworkers 1")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(answer(world, a_message())[0])) for _ in range(6)]
    for thread in threads:
        thread.start()
    with Client(world.daemon.port) as client:
        client.hello().expect("NOOP", 250)
    for thread in threads:
        thread.join()
    assert answers == [451] * 6
    world.daemon.wait_log("scan-failed", count=6)
    failures = world.daemon.log("scan-failed")
    at_once = [line for line in failures if line["why"] == "timeout" and "waited" not in line]
    # who gets the place of one whose time is up may have a moment left
    assert len(at_once) == 2 and all(int(line.get("waited", line["ms"])) >= 900 for line in failures if line not in at_once)
    deaf.server.close()


def test_a_scanner_that_is_slower_than_dns(world):
    """All is known of the sender when time is up for the scanner: the answer waits for both."""
    world.hop()
    deaf = Deaf()
    world.start(authenticate="on", extra=scan(f"rspamd 127.0.0.1:{deaf.port}", "timeout 1s"))
    code, lines = answer(world, a_message())
    assert code == 451, lines
    line = world.daemon.wait_log("message-deferred")
    assert line["why"] == "scan-failed" and "dmarc" in line
    deaf.server.close()


def test_what_is_explained_is_not_shown_to_scanners(world):
    """They learn from what they see, and explain leaves nothing behind."""
    world.hop()
    world.start(extra=scan(f"clamd 127.0.0.1:{free_port()}"))
    result = world.daemon.command("explain", "anna@sender.test", "info@fwd.test", "--ip", "127.0.0.1", check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert answer(world, a_message())[0] == 451
