"""Mode handoff: the next hops are asked while the client waits. What it is told is what became of its
message, or the message is on stable storage; nothing is lost, nothing comes twice, and no bounce
is made where the client could be told."""
import itertools
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import PATIENCE, Client, NextHop, a_message, wait_until
from test_arc import OURS, seal, txt
from test_faults import (  # noqa: F401 (they run here once more, in this mode)
    fill_up, small_disk, test_a_message_accepted_before_the_reset_is_doubled_at_most_once,
    test_faults_at_random_lose_and_double_nothing, test_many_messages_for_a_next_hop_that_comes_back)

DOMAINS = [f"d{i}.test" for i in range(6)]
SUBJECTS = (f"number{i}" for i in itertools.count())


@pytest.fixture
def world(world):
    world.settings["mode"] = "handoff"
    return world


def start(world, wait="2s", domain="", zone=None, **settings):
    """A daemon in mode handoff, with some domains more, all of them at the one next hop. What it writes is about mail: no history."""
    zone = {**{name: [("MX", "10 mx.dest.test.")] for name in DOMAINS}, **(zone or {})}
    everywhere = " ".join(f"u{i}@{name}" for i, name in enumerate(DOMAINS))
    return world.start(delivery=f"    handoff-wait {wait}\n    retry 1s\n", zone=zone,
                       domain=f"{world.DOMAIN}\n    forward everywhere to {everywhere}\n{domain}",
                       **{**settings, "extra": "history off\n" + settings.get("extra", "")})


def send(daemon, recipients="info@fwd.test", data=None):
    """One message; the answer to its dot, and how long it took."""
    with Client(daemon.port) as client:
        client.hello().envelope("anna@sender.test", *([recipients] if isinstance(recipients, str) else recipients))
        began = time.monotonic()
        client.send((data or a_message(next(SUBJECTS))) + b".\r\n")
        code, lines = client.reply()
        return code, lines, time.monotonic() - began


def is_queue_empty(daemon):
    return daemon.command("queue", "list", "--json").stdout.strip() == ""


class At:
    """Does one thing at one stage, as often as told (always: None)."""

    def __init__(self, stage, action, times=None, only=None):
        self.stage, self.action, self.left, self.only = stage, action, times, only
        self.met = threading.Event()

    def __call__(self, stage, line, session):
        if stage != self.stage or self.left == 0 or (self.only and self.only not in line):
            return None
        if self.left:
            self.left -= 1
        self.met.set()
        return self.action(stage, line, session) if callable(self.action) else self.action


class Gate:
    """Holds an answer back until it is opened."""

    def __init__(self, answer=None):
        self.opened, self.answer = threading.Event(), answer

    def __call__(self, *_):
        self.opened.wait(PATIENCE)
        return self.answer


@pytest.fixture
def gate():
    """Opened in the end, so that no next hop hangs in it."""
    made = []

    def make(answer=None):
        made.append(Gate(answer))
        return made[-1]
    yield make
    for one in made:
        one.opened.set()


# --- an answer that means just that ---------------------------------------------------------

class Writes:
    """What a process asks of the disk, as strace sees it. The log is no part of that: it goes out by write."""
    CALLS = "pwrite64,pwritev,fsync,fdatasync,sync_file_range,ftruncate,fallocate,rename,unlink,mkdir,link"

    def __init__(self, pid, path):
        self.path = path
        self.process = subprocess.Popen(["strace", "-f", "-p", str(pid), "-e", f"trace={self.CALLS}", "-o", str(path)],
                                        stderr=subprocess.PIPE, text=True)
        assert "attached" in self.process.stderr.readline()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        return [line for line in self.path.read_text().splitlines() if re.search(r"\w+\(", line)]


def test_all_accept_and_nothing_is_written(world, tmp_path):
    hop = world.hop()
    daemon = start(world)
    send(daemon)  # statements are prepared, memory is there
    writes = Writes(daemon.worker_pid(), tmp_path / "strace")
    for count in range(2, 22):
        code, lines, _ = send(daemon, data=a_message(next(SUBJECTS), body="x" * 70 + "\r\n" + "y" * 70))
        assert code == 250 and re.match(r"250 2\.0\.0 ok id=", lines[0])
        assert len(hop.messages) == count, "answered before the next hop has it"
    seen = writes.stop()
    assert seen == [], seen[:5]
    daemon.wait_log("accepted", how="delivered", count=21)
    assert is_queue_empty(daemon)
    writes = Writes(daemon.worker_pid(), tmp_path / "strace2")
    hop.script = At("dot", "451 4.3.0 not now", 1)
    assert send(daemon)[0] == 250
    assert any("fsync" in line or "fdatasync" in line for line in writes.stop()), "the check sees nothing"


REFUSALS = {
    "mail": ("550 5.7.1 we do not want you", "550 5.7.1", "we do not want you"),
    "rcpt": ("550 5.1.1 <anna@dest.test>: no such user anna here", "550 5.1.1", "no such user"),
    "data": ("554 5.7.0 policy of Anna@Dest.TEST forbids it", "554 5.7.0", "policy of"),
    "dot": ("552-5.2.2 anna@dest.test\r\n552 5.2.2 is over quota", "552 5.2.2", "over quota"),
}


@pytest.mark.parametrize("stage", REFUSALS)
def test_all_refuse_and_the_client_is_told(world, stage, tmp_path):
    says, want, part = REFUSALS[stage]
    world.hop(script=At(stage, says))
    back = world.hop(world.SENDER)
    daemon = start(world)
    writes = Writes(daemon.worker_pid(), tmp_path / "strace")
    with Client(daemon.port) as client:
        code, lines = client.hello().message("anna@sender.test", "info@fwd.test", a_message())
        assert lines[-1].startswith(want) and part in " ".join(lines), lines
        assert "anna@dest.test" not in " ".join(lines).lower(), lines
        code, lines = client.message("anna@sender.test", ["info@fwd.test", "sales@fwd.test"], a_message())
        assert code == int(want[:3]), lines
    assert writes.stop() == []
    daemon.wait_log("refused", status="refused", count=3)
    assert is_queue_empty(daemon) and back.connections == 0 and daemon.log("accepted") == []


def test_refused_and_accepted_in_one_session(world):
    hop = world.hop(script=At("rcpt", "550 5.1.1 unknown", only=b"sepp"))
    daemon = start(world)
    with Client(daemon.port) as client:
        client.hello()
        for recipient, want in (("info", 250), ("sales", 550), ("sales", 550), ("info", 250)):
            code, lines = client.message("anna@sender.test", f"{recipient}@fwd.test", a_message())
            assert code == want, lines
    assert len(hop.messages) == 2 and is_queue_empty(daemon)


def test_a_domain_that_takes_no_mail_is_said_in_the_session(world):
    world.hop()
    daemon = start(world, zone={"null.test": [("MX", "0 .")]}, domain="    forward nobody to x@null.test")
    code, lines, _ = send(daemon, "nobody@fwd.test")
    assert code == 550 and lines[0].startswith("550 5.1.10 "), lines
    assert "null.test" not in lines[0] and is_queue_empty(daemon)
    assert "null.test" in daemon.wait_log("refused")["reply"]


def test_several_domains_over_several_loops(world):
    hop = world.hop()
    daemon = start(world, extra="workers 2")
    for count in range(1, 11):
        code, lines, _ = send(daemon, ["everywhere@fwd.test", "many@fwd.test"])
        assert code == 250 and len(hop.messages) == sum(1 for _ in hop.messages)
        assert sum(len(m.recipients) for m in hop.messages) == 8 * count
    daemon.wait_log("accepted", how="delivered", count=10)
    assert is_queue_empty(daemon)


def test_refused_by_several_domains(world):
    hop = world.hop(script=At("rcpt", "550 5.1.1 unknown"))
    daemon = start(world, extra="workers 2")
    code, lines, _ = send(daemon, ["everywhere@fwd.test", "many@fwd.test"])
    assert code == 550 and is_queue_empty(daemon) and hop.messages == [], lines
    assert not re.search(r"@d\d\.test|@dest\.test", lines[0]), lines


def test_sealed_and_rewritten(world, tmp_path):
    import dkim
    hop = world.hop()
    zone = {"seal._domainkey.fwd.test": txt(OURS.record)}
    daemon = start(world, zone=zone, authenticate="on", extra=seal(tmp_path))
    code, lines, _ = send(daemon)
    assert code == 250, lines
    message, = hop.messages
    assert message.sender.startswith("SRS0=") and message.sender.endswith("=sender.test=anna@srs.fwd.test")
    records = {b"seal._domainkey.fwd.test.": OURS.record.encode()}
    result, _, reason = dkim.arc_verify(message.data, dnsfunc=lambda name, timeout=5: records[name])
    assert result == b"pass", reason
    daemon.wait_log("accepted", how="delivered")


def test_connections_are_used_again(world):
    hop = world.hop()
    daemon = start(world)
    with Client(daemon.port) as client:
        client.hello()
        for _ in range(10):
            assert client.message("anna@sender.test", "info@fwd.test", a_message(next(SUBJECTS)))[0] == 250
    assert len(hop.messages) == 10 and hop.connections == 1


def test_pipelined_behind_the_dot(world, gate):
    door = gate()
    hop = world.hop(script=At("dot", door, 1))
    daemon = start(world, wait="30s")
    envelope = b"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<info@fwd.test>\r\nDATA\r\n"
    with Client(daemon.port) as client:
        client.hello()
        client.send(envelope)
        assert [client.reply()[0] for _ in range(3)] == [250, 250, 354]
        for i in range(5):
            client.send(a_message(f"p{i}") + b".\r\n" + (envelope if i < 4 else b"QUIT\r\n"))
            if i == 0:
                client.socket.settimeout(0.3)
                with pytest.raises(socket.timeout):
                    client.reply()
                client.socket.settimeout(PATIENCE)
                client.stream = client.socket.makefile("rb")
                door.opened.set()
            codes = [client.reply()[0] for _ in range(4 if i < 4 else 2)]
            assert codes == ([250, 250, 250, 354] if i < 4 else [250, 221])
    order = [re.search(rb"Subject: (p\d)", m.data).group(1) for m in hop.messages]
    assert order == [b"p0", b"p1", b"p2", b"p3", b"p4"]


# --- no such answer: written, then 250 --------------------------------------------------------

TEMPORARY = {f"4xx at {stage}": (stage, "450 4.2.0 later") for stage in ("banner", "mail", "rcpt", "data", "dot")}
TEMPORARY.update({f"closed at {stage}": (stage, NextHop.CLOSE) for stage in ("banner", "mail", "rcpt", "data", "dot")})
TEMPORARY["421 at dot"] = ("dot", "421 4.7.28 too much from you")


@pytest.mark.parametrize("name", TEMPORARY)
def test_a_temporary_failure_is_written_and_tried_again(world, name):
    stage, action = TEMPORARY[name]
    hop = world.hop(script=At(stage, action, 1))
    daemon = start(world)
    code, lines, _ = send(daemon)
    assert code == 250, lines
    ident = daemon.wait_log("accepted", how="stored")["id"]
    daemon.wait_log("delivered", id=ident)
    wait_until(lambda: is_queue_empty(daemon), "the end of it")
    assert len(hop.messages) == 1 and len(hop.attempts) <= 2


def test_one_takes_it_and_one_does_not(world):
    hop = world.hop(script=At("rcpt", "550 5.1.1 <bert@dest.test> unknown", only=b"bert"))
    daemon = start(world)
    code, lines, _ = send(daemon, "many@fwd.test")
    assert code == 250, lines
    daemon.wait_log("accepted", how="stored")
    daemon.wait_log("delivered", to="<anna@dest.test>")
    wait_until(lambda: [line for line in daemon.log(to="<bert@dest.test>") if line["event"] in ("bounced", "dropped", "held")],
               "the end of the other one")
    assert [m.recipients for m in hop.messages] == [["anna@dest.test"]]


def test_one_takes_it_and_one_is_tried_again(world):
    hop = world.hop(script=At("rcpt", "450 4.2.0 later", 2, only=b"bert"))
    daemon = start(world)
    assert send(daemon, "many@fwd.test")[0] == 250
    daemon.wait_log("accepted", how="stored")
    daemon.wait_log("delivered", to="<bert@dest.test>")
    wait_until(lambda: is_queue_empty(daemon), "the end of it")
    assert sorted(r for m in hop.messages for r in m.recipients) == ["anna@dest.test", "bert@dest.test"]


@pytest.mark.parametrize("stage", ["banner", "rcpt", "dot"])
def test_a_silent_next_hop_is_not_waited_for_any_longer(world, gate, stage):
    door = gate()
    script = At(stage, door, 1)
    hop = world.hop(script=script)
    daemon = start(world)
    code, lines, took = send(daemon)
    assert code == 250 and 1.5 < took < 10, (lines, took)
    assert hop.messages == []
    daemon.wait_log("accepted", how="stored")
    door.opened.set()
    daemon.wait_log("delivered")
    wait_until(lambda: is_queue_empty(daemon), "the end of it")
    assert len(hop.attempts) == 1, "the attempt that was under way counts"


def test_a_slow_domain_holds_up_no_other(world, gate):
    """A message for both: the quick one's connection and place must not wait for the slow one."""
    door = gate()
    hop = world.hop()
    slow = world.hop("127.0.0.5", script=At("rcpt", door))
    daemon = start(world, wait="60s", extra="workers 1", zone={"slow.test": [("A", "127.0.0.5")]},
                   domain="    forward both to a@slow.test b@d1.test\n    forward quick to c@d1.test")
    clients = [Client(daemon.port) for _ in range(30)]
    for client in clients:
        client.hello().envelope("anna@sender.test", "both@fwd.test")
        client.send(a_message() + b".\r\n")
    wait_until(lambda: len(hop.messages) == 30, "the quick half of all")
    code, _, took = send(daemon, "quick@fwd.test")
    assert code == 250 and took < 2, took
    door.opened.set()
    assert [client.reply()[0] for client in clients] == [250] * 30
    for client in clients:
        client.close()
    assert (len(hop.messages), len(slow.messages)) == (31, 30)


def test_a_destination_in_trouble_is_not_asked(world):
    daemon = start(world, wait="60s")
    began = time.monotonic()
    assert send(daemon)[0] == 250
    daemon.wait_log("destination-paused")
    for _ in range(3):
        code, _, took = send(daemon)
        assert code == 250 and took < 2
    daemon.wait_log("accepted", how="stored", count=4)
    assert time.monotonic() - began < 20
    hop = world.hop()
    daemon.wait_log("delivered", count=4)
    assert len(hop.messages) == 4


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("end", [None, "550 5.1.1 unknown", "450 4.2.0 later"])
def test_a_client_that_goes_away(world, gate, how, end):
    """It had no answer, so it may send again; what is kept here comes to its end, once."""
    door = gate(end)
    script = At("dot", door, 1)
    hop = world.hop(script=script)
    daemon = start(world, wait="30s")
    client = Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message() + b".\r\n")
    assert script.met.wait(PATIENCE)
    if how == "reset":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    # Seen at once. An orderly close may mean that it only sends no more: then it is told, but not what the
    # next hop says.
    daemon.wait_log("session-end")
    wait_until(lambda: not is_queue_empty(daemon), "its row")
    door.opened.set()
    wait_until(lambda: [line for line in daemon.log(to="<anna@dest.test>")
                        if line["event"] in ("delivered", "bounced", "dropped", "held", "refused")], "its end")
    assert len(hop.messages) == (end != "550 5.1.1 unknown")
    assert [line["how"] for line in daemon.log("accepted")] == (["stored"] if how == "closed" else [])


def test_a_client_that_closes_its_side_is_told_when_it_is_safe(world, gate):
    """RFC 5321 wants QUIT and its answer first; but who has only sent all of it may still read."""
    door = gate()
    script = At("dot", door, 1)
    hop = world.hop(script=script)
    daemon = start(world, wait="60s")
    client = Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message() + b".\r\nQUIT\r\n")
    assert script.met.wait(PATIENCE)
    assert is_queue_empty(daemon)
    began = time.monotonic()
    client.socket.shutdown(socket.SHUT_WR)
    assert [client.reply()[0] for _ in range(2)] == [250, 221] and time.monotonic() - began < 20
    assert hop.messages == [] and not is_queue_empty(daemon), "nothing but the disk can have been the reason"
    door.opened.set()
    daemon.wait_log("delivered")
    wait_until(lambda: is_queue_empty(daemon), "the end of it")
    assert len(hop.messages) == 1 and len(hop.attempts) == 1


def test_a_client_that_had_closed_its_side_before_its_dot_was_looked_at(world, gate):
    hop = world.hop(script=At("dot", gate(), 1))
    daemon = start(world, wait="60s")
    client = Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message() + b".\r\nQUIT\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    assert [client.reply()[0] for _ in range(2)] == [250, 221]
    daemon.wait_log("accepted", how="stored")
    assert hop.messages == []


def test_stopped_while_a_client_waits(world, gate):
    door = gate()
    script = At("dot", door, 1)
    hop = world.hop(script=script)
    daemon = start(world, wait="60s")
    client = Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message() + b".\r\n")
    assert script.met.wait(PATIENCE)
    began = time.monotonic()
    daemon.signal(signal.SIGTERM)
    code, lines = client.reply()
    assert code == 250 and time.monotonic() - began < 5, lines
    door.opened.set()
    assert daemon.process.wait(PATIENCE) == 0  # a second SIGTERM would not wait for the hop's answer
    assert len(hop.messages) == 1
    daemon.start()
    daemon.command("queue", "retry", "--all", check=False)
    code, _, _ = send(daemon)  # a message later, nothing of the first one has come
    assert code == 250 and len(hop.messages) == 2


def test_killed_while_a_client_waits(world, gate):
    door = gate()
    script = At("rcpt", door, 1)
    hop = world.hop(script=script)
    daemon = start(world, wait="60s")
    client = Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message() + b".\r\n")
    assert script.met.wait(PATIENCE)
    daemon.kill()
    with pytest.raises((ConnectionError, AssertionError)):
        client.reply()
    door.opened.set()
    daemon.start()
    assert is_queue_empty(daemon) and hop.messages == []
    assert send(daemon)[0] == 250 and len(hop.messages) == 1


def test_reload_to_mode_store_while_a_client_waits(world, gate):
    door = gate()
    script = At("dot", door, 1)
    hop = world.hop(script=script)
    daemon = start(world, wait="60s")
    client = Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message() + b".\r\n")
    assert script.met.wait(PATIENCE)
    daemon.write_config(mode="store")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert send(daemon, "sales@fwd.test")[0] == 250
    daemon.wait_log("accepted", how="stored")
    door.opened.set()
    assert client.reply()[0] == 250
    daemon.wait_log("delivered", count=2)
    assert len(hop.messages) == 2 and len(daemon.log("accepted", how="delivered")) == 1


def test_a_full_disk_is_no_matter_until_it_is_needed(world, small_disk):
    """Nothing is answered 250 that a full disk could lose; and what needs no disk goes through."""
    closed = [True]
    hop = world.hop(script=lambda at, line, session: "450 4.2.0 closed" if at == "mail" and closed[0] else None)
    daemon = start(world, spool=small_disk / "spool", limits="    free-space 0\n")
    with Client(daemon.port) as client:
        safe = fill_up(client.hello(), 20_000)
        assert safe and hop.messages == []
        closed[0] = False
        assert client.message("anna@sender.test", "sales@fwd.test", a_message("after"))[0] == 250
    hop.wait(len(safe) + 1)
    daemon.wait_log("delivered", count=len(safe) + 1)
    got = sorted(re.search(rb"\r\nSubject: (.*?)\r\n", m.data).group(1).decode() for m in hop.messages)
    assert got == sorted([*safe, "after"])
    wait_until(lambda: is_queue_empty(daemon), "the end of it")
