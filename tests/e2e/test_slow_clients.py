"""Slow clients in every phase (slowloris): all are cut off by a deadline, and others do not notice.

tests/sim/test_slow_clients.c has the phases with the real times, in virtual time.
"""
import json
import selectors
import socket
import ssl
import time

import pytest

from harness import PATIENCE, a_message, wait_until
from test_starttls import implicit_port, make_certificate, tls_block

pytestmark = pytest.mark.alone
TIMEOUT = 2  # seconds; of commands, of content, and so of a handshake
LIMITS = f"    command-timeout {TIMEOUT}s\n    data-timeout {TIMEOUT}s\n    per-client 1000\n"
ENVELOPE = b"EHLO slow.test\r\nMAIL FROM:<slow@sender.test>\r\nRCPT TO:<info@fwd.test>\r\n"
DATA = ENVELOPE + b"DATA\r\nSubject: slow\r\n\r\n"
PACE = 0.1


def client_hello():
    """What a client says first, as octets."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="mx.fwd.test")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake with nobody")


HELLO = client_hello()

# name, implicit TLS, what is said at once, what is said every PACE seconds, reads, why= of its last line
PHASES = [
    ("banner", False, b"", b"", True, "timeout"),
    ("half a command", False, b"EHLO slow.test\r\nMAIL FR", b"", True, "timeout"),
    ("a command by octets", False, b"NOOP ", b"x", True, "timeout"),
    ("data by octets", False, DATA, b"x", True, "timeout"),
    ("a header by octets", False, DATA[:-4], b"x", True, "timeout"),
    ("a chunk by octets", False, ENVELOPE + b"BDAT 10000 LAST\r\n", b"x", True, "timeout"),
    ("a refused chunk by octets", False, b"EHLO slow.test\r\nBDAT 10000\r\n", b"x", True, "timeout"),
    ("after the dot", False, DATA + b".\r\n", b"", True, "timeout"),
    ("unread replies", False, b"EHLO slow.test\r\n" * 900, b"", False, "timeout"),
    ("STARTTLS and silence", False, b"EHLO slow.test\r\nSTARTTLS\r\n", b"", True, "tls"),
    ("implicit TLS and silence", True, b"", b"", True, "tls"),
    ("half a handshake", True, HELLO[:len(HELLO) // 2], b"", True, "tls"),
    ("all of our half of a handshake", True, HELLO, b"", True, "tls"),
    ("a handshake by octets", True, HELLO[:20], HELLO[20:21], True, "tls"),
]


class Slow:
    def __init__(self, phase, port, number):
        self.name, _, first, self.drip, reads, self.why = phase
        self.socket = socket.socket()
        if not reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.reads = reads
        self.socket.bind((f"127.2.0.{number}", 0))
        self.socket.connect(("127.0.0.1", port))
        self.begun = time.monotonic()
        self.seconds = None
        self.socket.sendall(first)
        self.socket.setblocking(False)

    def say(self):
        if self.seconds is None and self.drip:
            try:
                self.socket.send(self.drip)
            except OSError:
                pass

    def hear(self):
        """False: it was cut off."""
        try:
            if self.socket.recv(65536):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        self.seconds = time.monotonic() - self.begun
        return False


def sessions(daemon):
    return json.loads(daemon.command("status", "--json").stdout)["sessions"]


@pytest.fixture
def place(world, tmp_path):
    hop = world.hop()
    world.start(limits=LIMITS, listen="127.0.0.1:0\nlisten 127.0.0.1:0 {\n    tls implicit\n}", mode="handoff",
                extra=tls_block(make_certificate(tmp_path, "mx")))
    return world.daemon, hop, implicit_port(world)


def test_every_phase(place, world):
    daemon, hop, secure_port = place
    slow = [Slow(phase, secure_port if phase[1] else daemon.port, number + 1)
            for number, phase in enumerate(PHASES) for _ in range(5)]
    selector = selectors.DefaultSelector()
    for one in slow:
        if one.reads:
            selector.register(one.socket, selectors.EVENT_READ, one)
    visits, end = [], time.monotonic() + PATIENCE
    while selector.get_map() and time.monotonic() < end:
        for key, _ in selector.select(PACE):
            if not key.data.hear():
                selector.unregister(key.fileobj)
        for one in slow:
            one.say()
        begun = time.monotonic()
        world.send(data=a_message(f"n{len(visits)}"))
        visits.append(time.monotonic() - begun)
        time.sleep(PACE / 2)
    assert not selector.get_map(), [key.data.name for key in selector.get_map().values()]
    wait_until(lambda: sessions(daemon) == 0, "the end of those who read nothing")
    for one in slow:
        one.socket.close()
        # Three times: a greeting or an answer starts it again; and the machine may be busy.
        assert one.seconds is None or TIMEOUT * 0.9 < one.seconds < TIMEOUT * 3 + 3, (one.name, one.seconds)
    for number, phase in enumerate(PHASES):
        lines = daemon.wait_log("session-end", count=5, client=f"127.2.0.{number + 1}")
        assert lines["why"] == phase[5], (phase[0], lines)
    assert sorted(visits)[len(visits) // 2] < 0.5 and len(visits) >= 10
    slow_ones = [message for message in hop.wait(len(visits) + 5) if b"Subject: slow" in message.data]
    assert len(slow_ones) == 5  # those that waited behind the dot; half a message never goes on
