"""kill -9 at random moments under load, again and again: what was answered 250 arrives.

The ledger is the checker: lost = answered 250 and never arrived; unexpected = arrived and never
sent; torn = arrived with other octets; doubled = arrived twice. Doubling is allowed only for what
was on its way at a kill: the message was the last of its connection, and its outcome was
not yet recorded.
"""
import hashlib
import os
import random
import re
import signal
import threading
import time

import pytest

import harness
from harness import Client

KILLS = 27  # in each mode
CLIENTS = 5
CONCURRENCY = 4


class Load(threading.Thread):
    """A client that sends one message after the other, whatever happens to its connection."""

    RECIPIENTS = ("info", "sales", "many")
    PAUSE = 0  # seconds after each message
    REFUSED = ()  # whom the next hop does not know

    def __init__(self, number, port, seed):
        super().__init__(daemon=True)
        self.number, self.port = number, port
        self.random = random.Random(seed * 100 + number)
        self.attempted, self.safe, self.recipient = {}, {}, {}
        self.is_stopping = False
        self.unexpected, self.refused = [], []

    def message(self, count):
        token = f"t{self.number}x{count}e"
        size = self.random.choice((10, 500, 4000, 4000, 20000, 300_000 if count % 40 == 0 else 100))
        line = "".join(self.random.choices("abcdefgh .", k=70))
        body = (line + "\r\n") * (size // 72 + 1)
        digest = hashlib.sha256(body.encode()).hexdigest()
        data = f"Subject: {token}\r\nX-Digest: {digest}\r\n\r\n{body}".encode()
        return token, digest, data

    def run(self):
        count = 0
        while not self.is_stopping:
            try:
                with Client(self.port) as client:
                    client.hello()
                    for _ in range(self.random.randrange(1, 12)):
                        token, digest, data = self.message(count)
                        count += 1
                        self.attempted[token] = digest
                        recipient = self.recipient[token] = self.random.choice(self.RECIPIENTS)
                        code, lines = client.message("anna@sender.test", f"{recipient}@fwd.test", data)
                        if code == 250:
                            self.safe[token] = lines[0].rsplit("id=", 1)[1]
                        elif code == 550 and recipient in self.REFUSED:
                            self.refused.append(token)
                        elif code not in (421, 451, 452):
                            self.unexpected.append(lines)
                        if self.is_stopping:
                            return
                        time.sleep(self.PAUSE)
            except (OSError, AssertionError) as error:
                if isinstance(error, AssertionError) and "421" not in str(error):
                    self.unexpected.append(str(error))
                time.sleep(0.005)


class Log:
    """The daemon's log while it grows: waits for "ready" without reading it all again."""

    def __init__(self, path):
        self.path, self.offset, self.rest = path, 0, b""

    def wait_ready(self, daemon):
        def is_ready():
            if not self.path.exists():
                return False
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
            self.offset += len(data)
            data = self.rest + data
            self.rest = data[data.rfind(b"\n") + 1:]
            return b"event=ready" in data
        try:
            harness.wait_until(is_ready, "the worker to be ready again")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{daemon.log_text()}") from None


def kill_worker(daemon):
    pid = daemon.worker_pid()
    if pid:
        os.kill(pid, signal.SIGKILL)


def nemesis(daemon, hops, draw, kills):
    """Returns for each kill (when, how many connections were open to the next hops)."""
    log = Log(daemon.log_path)
    log.wait_ready(daemon)
    for number in range(KILLS):
        time.sleep(draw.uniform(0, 0.12))  # the random moment itself
        if number % 9 == 0:
            # Long enough that the supervisor starts the next worker without its pause.
            time.sleep(draw.uniform(0.5, 0.6))
        in_flight = sum(len(hop.open) for hop in hops)
        is_all = number % 6 == 5
        kills.append((time.monotonic(), in_flight, is_all))
        if is_all:
            daemon.kill()
            daemon.start(wait=False)
        else:
            kill_worker(daemon)
        log.wait_ready(daemon)


def token_of(message):
    return re.search(rb"\r\nSubject: (\w+)\r\n", b"\r\n" + message.data).group(1).decode()


def check_octets(messages, attempted):
    """Nothing that was not sent, nothing torn. Returns [(key, message)]; key: token and recipient."""
    arrivals = []
    for message in messages:
        token = token_of(message)
        assert token in attempted, f"unexpected: {token}"
        head, body = message.data.split(b"\r\n\r\n", 1)
        assert hashlib.sha256(body).hexdigest() == attempted[token], f"torn: {token}"
        assert attempted[token].encode() in head
        arrivals += [((token, recipient), message) for recipient in message.recipients]
    return arrivals


def check_doubles(arrivals, hop, kills, delivered):
    """Every second copy has a kill before it, and its first one was the last thing on its connection."""
    last = {}
    for message in hop.attempts:
        last[message.connection] = message
    first, doubled = {}, 0
    for key, message in arrivals:
        before = first.setdefault(key, message)
        if before is message:
            continue
        doubled += 1
        assert last[before.connection] is before, f"{key} was doubled without need"
        assert any(before.time <= at + 1 and at <= message.time for at, _, _ in kills), key
        first[key] = message
    for key, count in delivered.items():
        assert count == 1, f"{key} was recorded as delivered {count} times"
    return doubled


@pytest.mark.parametrize("mode", ["store", "handoff"])
def test_nothing_that_was_answered_250_is_lost(world, mode):
    seed = int(os.environ.get("POSTILION_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
    print(f"POSTILION_TEST_SEED={seed}")
    hop = world.hop()
    port = harness.lasting_port()
    daemon = world.start(delivery=f"    retry 1s\n    concurrency {CONCURRENCY}\n", is_started=False,
                         mode=mode, listen=f"127.0.0.1:{port}")
    daemon.start()
    loads = [Load(number, port, seed) for number in range(CLIENTS)]
    for load in loads:
        load.start()
    kills = []
    try:
        nemesis(daemon, [hop], random.Random(seed), kills)
    finally:
        for load in loads:
            load.is_stopping = True
        for load in loads:
            load.join(harness.PATIENCE)
    attempted, safe = {}, {}
    for load in loads:
        assert load.unexpected == []
        attempted.update(load.attempted)
        safe.update(load.safe)

    def missing():
        return safe.keys() - {token_of(message) for message in list(hop.messages)}
    try:
        harness.wait_until(lambda: not missing(), "everything that was answered 250", 40)
    except AssertionError:
        raise AssertionError(f"lost: {sorted(missing())[:20]}\n{daemon.log_text()}") from None
    # And nothing more comes: the queue is empty.
    harness.wait_until(lambda: "empty" in daemon.command("queue", "list").stdout, "an empty queue")
    arrivals = check_octets(hop.messages, attempted)
    arrived = {key for key, _ in arrivals}
    for token in safe:
        both = {(token, "anna@dest.test"), (token, "bert@dest.test")} & arrived
        assert (token, "bert@dest.test") not in arrived or len(both) == 2, f"lost: half of {token}"
    delivered = {}
    for line in daemon.log("delivered", since_start=False):
        key = (line["id"], line["to"])
        delivered[key] = delivered.get(key, 0) + 1
    doubled = check_doubles(arrivals, hop, kills, delivered)
    bound = sum(in_flight for _, in_flight, _ in kills) * 2  # a transaction has up to two recipients
    print(f"{len(kills)} kills, {len(attempted)} sent, {len(safe)} answered 250, "
          f"{len(arrived)} deliveries, {doubled} doubled (bound {bound})")
    assert len(kills) >= KILLS - 2 and len(safe) > KILLS and doubled <= bound
    assert daemon.log("bounced", since_start=False) == []
    assert daemon.log("dropped", since_start=False) == []
    assert daemon.stop() == 0
