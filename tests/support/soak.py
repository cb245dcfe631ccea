"""A soak: the daemon under load and faults for SOAK_SECONDS (600); then the ledger is checked, and
that neither memory nor descriptors have grown.

Kills, reloads and queue commands at random moments; next hops that are well, slow, flaky, refusing
and dead. In the first part the worker is killed again and again; in the second one worker has
to live through all the rest, and what it holds is measured.

usage: soak.py [--seconds N] [--seed N]; POSTILION_BUILD and POSTILION_PEERS as for tests/e2e.
"""
import argparse
import collections
import hashlib
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
import test_crash  # noqa: E402

KILLING_SHARE = 0.4     # of the time
CLIENTS = 4
ROUTES = {"info": ("dest",), "slow": ("slow",), "flaky": ("flaky",), "dead": ("dead",),
          "many": ("dest", "flaky"), "gone": ("refusing",)}
ADDRESSES = {"dest": "127.0.0.2", "sender": "127.0.0.3", "slow": "127.0.0.4",
             "flaky": "127.0.0.5", "refusing": "127.0.0.6", "dead": "127.0.0.9"}
RSS_GROWTH = 12 * 1024  # KiB a worker may have grown by between the middle and the end
FD_GROWTH = 8


class Load(test_crash.Load):
    RECIPIENTS = ("info", "info", "info", "slow", "flaky", "flaky", "dead", "many", "gone")
    PAUSE = 0.02
    REFUSED = ("gone",)


class Ledger:
    """Stands in for a list of messages, and keeps of each only what is checked."""

    def __init__(self, name, loads):
        self.name, self.loads = name, loads
        self.arrived = collections.Counter()
        self.wrong = []

    def append(self, message):
        head, body = message.data.split(b"\r\n\r\n", 1)
        token = test_crash.token_of(message) if self.name != "sender" else self.bounced_token(body)
        digest = next((load.attempted[token] for load in self.loads if token in load.attempted), None)
        if digest is None:
            self.wrong.append(f"{self.name}: unexpected {token}")
        elif self.name != "sender" and hashlib.sha256(body).hexdigest() != digest:
            self.wrong.append(f"{self.name}: torn {token}")
        self.arrived[token] += 1

    @staticmethod
    def bounced_token(body):
        return body.split(b"\r\nSubject: t", 1)[1].split(b"\r\n", 1)[0].decode().join(("t", ""))


def slow(stage, _line, _session):
    if stage == "dot":
        time.sleep(random.uniform(0, 0.5))


def flaky(stage, _line, _session):
    draw = random.random()
    if stage in ("banner", "mail", "rcpt", "data") and draw < 0.05:
        return "451 4.3.0 not now"
    if stage in ("mail", "mid-data") and draw < 0.08:
        return harness.NextHop.RESET
    if stage == "dot" and draw < 0.05:
        return "452 4.3.1 full"
    return None


def refusing(stage, _line, _session):
    return "550 5.1.1 no such user" if stage == "rcpt" else None


class Soak:
    def __init__(self, directory, seconds, seed):
        self.directory, self.seconds, self.seed = pathlib.Path(directory), seconds, seed
        self.random = random.Random(seed)
        self.mode = os.environ.get("POSTILION_TEST_MODE") or self.random.choice(("handoff", "store"))
        self.loads, self.hops, self.kills = [], {}, []
        self.port = harness.free_port()
        self.hop_port = None
        self.samples = []  # (time, KiB, descriptors) of the last worker

    def start(self):
        zone = {}
        for name, address in ADDRESSES.items():
            zone[f"{name}.test"] = [("MX", f"10 mx.{name}.test.")]
            zone[f"mx.{name}.test"] = [("A", address)]
        self.resolver = harness.Unbound(self.directory / "dns", zone).start()
        for name, script in (("dest", None), ("sender", None), ("slow", slow), ("flaky", flaky),
                             ("refusing", refusing)):
            self.open_hop(name, script)
        lines = [f"    forward {alias} to " + " ".join(f"user@{name}.test" for name in names)
                 for alias, names in ROUTES.items()]
        self.daemon = harness.Postilion(
            self.directory / "daemon", self.resolver.port, next_hop_port=self.hop_port,
            listen=f"127.0.0.1:{self.port}", domain="\n".join(lines), mode=self.mode,
            delivery="    handoff-wait 1s\n    retry 1s 2s\n    concurrency 8\n    reuse 20\n")
        self.daemon.start()
        self.log = test_crash.Log(self.daemon.log_path)
        self.log.wait_ready(self.daemon)
        self.loads += [Load(number, self.port, self.seed) for number in range(CLIENTS)]

    def open_hop(self, name, script):
        hop = harness.NextHop(ADDRESSES[name], self.hop_port or 0, script)
        hop.messages = Ledger(name, self.loads)
        hop.attempts = hop.commands = collections.deque(maxlen=0)
        self.hop_port, self.hops[name] = hop.port, hop

    def reload(self):
        route = self.random.choice(("", "route dead.test to 127.0.0.9:1", "route * to mx"))
        self.daemon.write_config(extra=route)
        self.daemon.signal(signal.SIGHUP)

    def kill(self):
        self.kills.append(sum(len(hop.open) for hop in self.hops.values()))
        if len(self.kills) % 5 == 0:
            self.daemon.kill()
            self.daemon.start(wait=False)
        else:
            test_crash.kill_worker(self.daemon)
        self.log.wait_ready(self.daemon)

    def sample(self):
        pid = self.daemon.worker_pid()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        rss = int(status.split("VmRSS:")[1].split()[0])
        return time.monotonic(), rss, len(os.listdir(f"/proc/{pid}/fd"))

    def run(self):
        for load in self.loads:
            load.start()
        begin = time.monotonic()
        while time.monotonic() < begin + self.seconds * KILLING_SHARE:
            time.sleep(self.random.uniform(0.2, 2))
            self.random.choice((self.kill, self.reload))()
        self.daemon.kill()  # the last one: from here on one worker lives
        self.daemon.start()
        self.log.wait_ready(self.daemon)
        self.idle_fds = self.sample()[2]
        pid = self.daemon.worker_pid()
        while time.monotonic() < begin + self.seconds:
            time.sleep(self.random.uniform(0.2, 1))
            if self.random.random() < 0.3:
                self.reload()
            if self.random.random() < 0.1:
                self.daemon.command("queue", "retry", "dead.test", check=False)
            self.samples.append(self.sample())
        for load in self.loads:
            load.is_stopping = True
        for load in self.loads:
            load.join(harness.PATIENCE)
        assert pid == self.daemon.worker_pid(), "the worker crashed:\n" + self.daemon.log_text()

    def missing(self):
        lost = []
        for load in self.loads:
            for token in list(load.safe):
                names = ROUTES[load.recipient[token]]
                names = ("sender",) if names == ("refusing",) else names
                lost += [(name, token) for name in names
                         if token not in self.hops[name].messages.arrived]
        return lost

    def check(self):
        self.open_hop("dead", None)  # it comes back at last
        self.daemon.write_config(extra="")
        self.daemon.signal(signal.SIGHUP)
        patience = 60 + self.seconds / 10
        try:
            harness.wait_until(lambda: not self.missing(), "everything answered 250", patience)
        except AssertionError:
            raise AssertionError(f"lost: {self.missing()[:20]}\n{self.daemon.log_text()}") from None
        harness.wait_until(lambda: "empty" in self.daemon.command("queue", "list").stdout,
                           "an empty queue", patience)
        for load in self.loads:
            assert load.unexpected == [], load.unexpected[:5]
            assert self.mode == "handoff" or load.refused == [], load.refused[:5]
            told_twice = [token for token in load.refused if token in self.hops["sender"].messages.arrived]
            assert told_twice == [], f"refused in the session, and bounced: {told_twice[:5]}"
        for hop in self.hops.values():
            assert hop.messages.wrong == [], hop.messages.wrong[:5]
        self.check_doubles()
        self.check_growth()
        assert self.daemon.stop() == 0

    def check_doubles(self):
        doubled = sum(count - 1 for hop in self.hops.values()
                      for count in hop.messages.arrived.values())
        bound = 2 * sum(self.kills) + CLIENTS  # what was on its way at a kill
        print(f"{doubled} doubled (bound {bound})")
        assert doubled <= bound

    def check_growth(self):
        half = len(self.samples) // 2
        early = max(rss for _, rss, _ in self.samples[:half])
        late = max(rss for _, rss, _ in self.samples[half:])
        print(f"RSS {early} KiB in the first half, {late} KiB in the second")
        program = pathlib.Path(harness.program()).read_bytes()
        is_sanitized = b"__asan_init" in program or b"__tsan_init" in program  # they keep what is freed
        assert is_sanitized or late <= early + RSS_GROWTH, self.samples
        # Idle connections to next hops close by themselves.
        harness.wait_until(lambda: self.sample()[2] <= self.idle_fds + FD_GROWTH,
                           f"descriptors to go back to {self.idle_fds}, not {self.sample()[2]}")
        print(f"descriptors {self.idle_fds} idle at the start, {self.sample()[2]} at the end")

    def stop(self):
        for load in self.loads:
            load.is_stopping = True
        self.daemon.kill()
        self.resolver.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_SECONDS", 600)))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    arguments = parser.parse_args()
    print(f"soak: {arguments.seconds:g} seconds, --seed {arguments.seed}", flush=True)
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(directory, arguments.seconds, arguments.seed)
        soak.start()
        try:
            soak.run()
            soak.check()
        finally:
            soak.stop()
    sent = sum(len(load.attempted) for load in soak.loads)
    safe = sum(len(load.safe) for load in soak.loads)
    print(f"soak: mode {soak.mode}, {len(soak.kills) + 1} kills, {sent} sent, {safe} answered 250, nothing lost")


if __name__ == "__main__":
    threading.stack_size(512 * 1024)
    main()
