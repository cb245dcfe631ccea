"""Ten thousand sessions at once, half of them under TLS: what each costs, and that nobody else notices."""
import contextlib
import json
import pathlib
import resource
import subprocess

import pytest

import harness
from harness import wait_until
from test_starttls import make_certificate, tls_block

pytestmark = pytest.mark.alone
PLAIN, SECURE = 5000, 5000
PLAIN_KIB, SECURE_KIB = 4, 25
VISIT_MS = 50
# Descriptors of the daemon beside its sessions; the test program has its own limit.
SPARE = 500
# A sanitizer's memory and speed are not ours; it looks for other things.
IS_PLAIN = not any(word in str(harness.program()) for word in ("asan", "tsan"))
LIMITS = "    connections 20000\n    per-client 20000\n    client-connection-rate 0\n"


class Crowd:
    """Clients of a program of their own; see tests/bench/load_clients.c."""

    def __init__(self, port):
        self.process = subprocess.Popen([harness.program("load_clients"), str(port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(harness.PATIENCE)
        self.process.stdout.close()

    def begin(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def end(self):
        return json.loads(self.process.stdout.readline())

    def do(self, command):
        self.begin(command)
        return self.end()


def resident_kib(daemon):
    text = pathlib.Path(f"/proc/{daemon.worker_pid()}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def session_count(daemon):
    return json.loads(daemon.command("status", "--json").stdout)["sessions"]


def all_good(result, count):
    assert (result["good"], result["bad"]) == (count, 0), result
    return result


def fill(crowd, daemon, plain, secure):
    """Opens them, and returns what the daemon has grown by."""
    before = resident_kib(daemon)
    all_good(crowd.do(f"open {plain} {secure}"), plain + secure)
    return resident_kib(daemon) - before


@pytest.fixture
def limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < PLAIN + SECURE + SPARE:
        pytest.skip(f"the hard limit of open files is {most}, and {PLAIN + SECURE + SPARE} are needed")
    return most


@pytest.fixture
def daemon(postilion, tmp_path):
    return postilion(extra=tls_block(make_certificate(tmp_path, "mx")), limits=LIMITS, mode="handoff").start()


def test_ten_thousand_sessions(daemon, limit):
    with Crowd(daemon.port) as crowd, Crowd(daemon.port) as others:
        all_good(crowd.do("visit 50 0"), 50)
        all_good(crowd.do("shake 50 10 full"), 50)
        plain = fill(crowd, daemon, PLAIN, 0)
        secure = fill(crowd, daemon, 0, SECURE)
        assert session_count(daemon) == PLAIN + SECURE
        visits = all_good(others.do("visit 200 5"), 200)
        # Somebody else's visits while all of them speak at once.
        others.begin("visit 50 5")
        all_good(crowd.do("say NOOP"), PLAIN + SECURE)
        busy_visits = all_good(others.end(), 50)
        full = []
        for _ in range(2):  # the same again finds all it needs in what the others gave back
            assert all_good(crowd.do("quit"), PLAIN + SECURE)["staying"] == 0
            wait_until(lambda: session_count(daemon) == 0, "the end of the sessions")
            fill(crowd, daemon, PLAIN, SECURE)
            full.append(resident_kib(daemon))
        all_good(crowd.do("quit"), PLAIN + SECURE)
    print(f"\nKiB a session: {plain / PLAIN:.2f}, under TLS {secure / SECURE:.2f}; "
          f"visits: median {visits['p50']} ms, p99 {visits['p99']} ms; beside 10,000 NOOPs {busy_visits['p50']} ms, "
          f"{busy_visits['p99']} ms; MiB {full[0] / 1024:.1f}, then {full[1] / 1024:.1f}")
    if IS_PLAIN:
        assert plain / PLAIN < PLAIN_KIB
        assert secure / SECURE < SECURE_KIB
        assert visits["p50"] < VISIT_MS and visits["p99"] < 10 * VISIT_MS
        assert busy_visits["p50"] < VISIT_MS
        assert full[1] < full[0] * 1.05
    assert not daemon.log("connection-refused")


def test_after_a_transaction_a_session_is_small_again(postilion, resolver):
    """Authentication is on: what it was about is forgotten with the transaction."""
    batches, batch = 20, 100
    daemon = postilion(resolver_port=resolver({}).port, authenticate="on", limits=LIMITS).start()

    def come():
        """A few at a time: what all transactions at once take is another question."""
        crowd = crowds.enter_context(Crowd(daemon.port))
        for command in (f"open {batch} 0", "say MAIL FROM:<anna@sender.test>", "say RSET"):
            all_good(crowd.do(command), batch)

    with contextlib.ExitStack() as crowds:
        come()
        before = resident_kib(daemon)
        for _ in range(batches):
            come()
        grown = resident_kib(daemon) - before
    print(f"\nKiB a session: {grown / batches / batch:.2f}")
    assert grown / batches / batch < PLAIN_KIB or not IS_PLAIN


def test_what_memory_has_no_room_for_is_refused(world):
    """Half messages of many clients: later ones hear 452, those go to files, and all of them arrive."""
    hop = world.hop()
    daemon = world.start(limits=LIMITS + "    memory 16M\n", mode="handoff")
    senders, refused = [], 0
    line = b"a line of the body of a message that takes its time\r\n"
    half = b"Subject: half\r\n\r\n" + line * (60 * 1024 // len(line))
    before = resident_kib(daemon)
    while refused == 0 and len(senders) < 600:
        client = harness.Client(daemon.port).hello()
        code, lines = client.command("MAIL FROM:<anna@sender.test>")
        if code == 250:
            client.expect("RCPT TO:<info@fwd.test>", 250)
            client.expect("DATA", 354)
            client.send(half)
            senders.append(client)
        else:
            assert lines == ["452 4.3.1 insufficient memory, try again later"]
            refused += 1
    assert refused and 100 < len(senders) < 600
    assert daemon.wait_log("memory-short")["limit"] == str(16 << 20)
    for sender in senders:
        sender.send(half[-50 * len(line):] * 20)  # 50 KiB more each: these are not kept in memory
    client.expect("NOOP", 250)
    assert resident_kib(daemon) - before < 40 * 1024 or not IS_PLAIN
    for sender in senders:
        sender.send(b".\r\n")
        assert sender.reply()[0] == 250
        sender.expect("QUIT", 221)
    hop.wait(len(senders))
    assert {len(message.data.split(b"Subject: half", 1)[1]) for message in hop.messages} == {
        len(half) + 20 * len(half[-50 * len(line):]) - len(b"Subject: half")}
    client.expect("MAIL FROM:<anna@sender.test>", 250)


def test_handshakes_of_many_delay_nobody_else(postilion, tmp_path):
    """Five hundred clients that begin with TLS at once, with a key that takes milliseconds each time: a clear
    client among them is looked after between two handshakes, not behind all of them."""
    pair = make_certificate(tmp_path, "slow", kind="4096")
    daemon = postilion(extra=tls_block(pair), limits=LIMITS, mode="handoff").start()
    with Crowd(daemon.port) as crowd, Crowd(daemon.port) as others:
        all_good(others.do("visit 20 0"), 20)
        all_good(crowd.do("shake 10 10 full"), 10)
        crowd.begin("shake 500 500 full")
        visits = all_good(others.do("visit 40 5"), 40)
        shaken = all_good(crowd.end(), 500)
    print(f"\nvisits beside handshakes: median {visits['p50']} ms, p99 {visits['p99']} ms; a handshake {shaken['p50']} ms")
    assert shaken["p50"] > 300 or not IS_PLAIN  # they did wait for each other
    assert (visits["p50"] < 150 and visits["p99"] < 1000) or not IS_PLAIN  # it was 3 s
