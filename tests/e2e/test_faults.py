"""Next hops, disks and operators that misbehave: nothing is lost, and it is said why it waits."""
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

import harness
from harness import Client, NextHop, a_message, wait_until

RETRY = "    retry 1s\n"


class Once:
    """A script that misbehaves at one stage, `times` times, and then is a good next hop."""

    def __init__(self, stage, action, times=1):
        self.stage, self.action, self.left = stage, action, times

    def __call__(self, at, line, session):
        if at == self.stage and self.left > 0:
            self.left -= 1
            return self.action(at, line, session) if callable(self.action) else self.action
        return None


def subjects(messages):
    return sorted(re.search(rb"\r\nSubject: (.*?)\r\n", b"\r\n" + m.data).group(1).decode()
                  for m in messages)


# --- the next hop -------------------------------------------------------------------------

FAULTS = {}
for _stage in ("banner", "ehlo", "mail", "rcpt", "data", "dot"):
    FAULTS[f"4xx at {_stage}"] = (_stage, "451 4.7.1 not now")
    FAULTS[f"421 at {_stage}"] = (_stage, "421 4.3.2 shutting down")
    FAULTS[f"garbage at {_stage}"] = (_stage, b"\xff\xfe\0what?\r\n")
    FAULTS[f"another protocol at {_stage}"] = (_stage, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    FAULTS[f"closed at {_stage}"] = (_stage, NextHop.CLOSE)
    FAULTS[f"reset at {_stage}"] = (_stage, NextHop.RESET)
    FAULTS[f"a reply without end at {_stage}"] = (_stage, b"450-" + b"x" * 200_000)
FAULTS["reset in the middle of the content"] = ("mid-data", NextHop.RESET)
FAULTS["closed in the middle of the content"] = ("mid-data", NextHop.CLOSE)
FAULTS["a refusal in the middle of the content, then closed"] = ("mid-data", b"451 4.3.0 disk full\r\n")
FAULTS["5xx banner"] = ("banner", "554 5.3.2 no service here")
FAULTS["a multi-line reply with changing codes"] = ("rcpt", b"450-4.2.1 one\r\n451 4.2.1 two\r\n")
FAULTS["an intermediate reply where none belongs"] = ("dot", b"354 go on\r\n")
AFTER_THE_DOT = {"closed at dot", "reset at dot", "garbage at dot", "another protocol at dot",
                 "a reply without end at dot", "an intermediate reply where none belongs"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_passing_fault_delays_and_nothing_else(world, name):
    stage, action = FAULTS[name]
    script = Once(stage, action)
    if name.startswith("a refusal in the middle"):
        script = _refuse_and_close()
    hop, back = world.hop(script=script), world.hop(world.SENDER)
    daemon = world.start(delivery=RETRY)
    # More than what the sockets hold, where it shall not be sent whole.
    lines = 200_000 if stage == "mid-data" else 1000
    big = a_message(body="\r\n".join("y" * 70 for _ in range(lines)))
    ident = world.send(data=big)
    line = daemon.wait_log("deferred", id=ident)
    assert line["status"] == "deferred" and line["dsn"].startswith("4."), line
    assert line["stage"] and line["reply"]
    daemon.wait_log("delivered", id=ident)
    assert len(hop.messages) == 1 and hop.messages[0].data.endswith(big)
    # Sent whole and not answered: the next attempt may double it, and the log says so.
    is_doubtful = name in AFTER_THE_DOT
    assert (line.get("in_doubt") == "yes") == is_doubtful, line
    assert len(hop.attempts) == (2 if stage == "dot" or "refusal" in name else 1)
    assert back.connections == 0 and daemon.log("bounced") == []
    assert "empty" in daemon.command("queue", "list").stdout


def _refuse_and_close():
    state = {"left": 1}

    def script(at, line, session):
        if at == "mid-data" and state["left"]:
            state["left"] = 0
            return b"451 4.3.0 disk full\r\n"
        if at == "dot" and state["left"] == 0 and not state.get("closed"):
            state["closed"] = True
            return NextHop.CLOSE
        return None
    return script


def test_a_message_accepted_before_the_reset_is_doubled_at_most_once(world):
    """The unavoidable one (RFC 1047): taken, but the answer never arrives."""
    taken = []

    def script(at, line, session):
        if at == "dot" and not taken:
            session["accept"]()
            taken.append(session["message"])
            return NextHop.RESET
        return None
    hop = world.hop(script=script)
    daemon = world.start(delivery=RETRY)
    ident = world.send()
    assert daemon.wait_log("deferred", id=ident)["in_doubt"] == "yes"
    daemon.wait_log("delivered", id=ident)
    assert len(hop.messages) == 2 and hop.messages[0].data == hop.messages[1].data


GOOD = {
    "multi-line replies": {
        "banner": b"220-hello\r\n220-there\r\n220 sink\r\n", "mail": b"250-2.1.0 sender\r\n250 2.1.0 ok\r\n",
        "rcpt": b"250-2.1.5 r\r\n250 ok\r\n", "data": b"354-go\r\n354 on\r\n", "dot": b"250-2.0.0 a\r\n250 2.0.0 b\r\n"},
    "replies without text": {"mail": b"250\r\n", "rcpt": b"250 \r\n", "data": b"354\r\n", "dot": b"250\r\n"},
    "replies with LF alone": {"mail": b"250 ok\n", "rcpt": b"250 ok\n", "data": b"354 ok\n", "dot": b"250 ok\n"},
    "other good codes": {"mail": b"250 ok\r\n", "rcpt": b"251 will forward\r\n", "dot": b"250 ok\r\n"},
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_but_good_replies_are_understood(world, name):
    hop = world.hop(script=lambda at, line, session: GOOD[name].get(at))
    daemon = world.start(delivery=RETRY)
    ident = world.send()
    daemon.wait_log("delivered", id=ident)
    assert len(hop.messages) == 1 and daemon.log("deferred") == []


def test_a_slow_next_hop_is_waited_for(world):
    def script(at, line, session):
        time.sleep(0.3)
    hop = world.hop(script=script)
    daemon = world.start(delivery=RETRY)
    world.send()
    hop.wait()
    assert daemon.log("deferred") == []


def test_a_next_hop_that_knows_no_ehlo_gets_helo(world):
    def script(at, line, session):
        if at == "ehlo":
            return "502 5.5.1 what is that?" if line.upper().startswith(b"EHLO") else "250 sink"
        return None
    hop = world.hop(script=script)
    world.start(delivery=RETRY)
    world.send()
    message = hop.wait()[0]
    assert message.parameters == "" and b"HELO mx.fwd.test" in hop.commands


def test_too_many_recipients_are_sent_in_a_next_transaction(world):
    def script(at, line, session):
        if at == "mail":
            session["count"] = 0
        if at == "rcpt":
            session["count"] += 1
            return "452 4.5.3 too many recipients" if session["count"] > 3 else None
        return None
    hop = world.hop(script=script)
    daemon = world.start(delivery=RETRY, domain="    forward all to " +
                         " ".join(f"r{n}@dest.test" for n in range(8)) + "\n")
    world.send("all@fwd.test")
    daemon.wait_log("delivered", count=8)
    assert sorted(r for m in hop.messages for r in m.recipients) == [f"r{n}@dest.test" for n in range(8)]


def test_a_message_too_big_for_the_next_hop_is_not_sent_there(world):
    hop, back = world.hop(keywords=("SIZE 1000",)), world.hop(world.SENDER)
    world.start(delivery=RETRY)
    world.send(data=a_message(body="\r\n".join("y" * 70 for _ in range(100))))
    assert b"Status: 5.3.4" in back.wait()[0].data
    assert hop.attempts == []


def test_a_silent_next_hop_holds_up_nobody_else(world):
    world.hop(script=lambda at, line, session: NextHop.SILENCE if at == "banner" else None)
    other = world.hop("127.0.0.4")
    daemon = world.start(zone={"other.test": [("A", "127.0.0.4")]},
                         domain=world.DOMAIN + "    forward else to olga@other.test\n")
    world.send()
    for number in range(5):
        world.send("else@fwd.test", data=a_message(f"n{number}"))
    other.wait(5)
    assert "anna@dest.test" in daemon.command("queue", "list").stdout


def test_many_messages_for_a_next_hop_that_comes_back(world):
    """Down at first: the destination pauses as a whole; then all of it arrives, once."""
    daemon = world.start(delivery=RETRY)
    with Client(daemon.port) as client:
        client.hello()
        for number in range(300):
            code, _ = client.message("anna@sender.test", "info@fwd.test", a_message(f"n{number:03d}"))
            assert code == 250
    daemon.wait_log("destination-paused", destination="dest.test")
    hop = world.hop()
    hop.wait(300)
    daemon.wait_log("delivered", count=300)
    assert subjects(hop.messages) == [f"n{number:03d}" for number in range(300)]


def test_faults_at_random_lose_and_double_nothing(world):
    """Every connection has its own trouble, for a while."""
    import random
    draw = random.Random(7)
    stages = ["banner", "ehlo", "mail", "rcpt", "data", "mid-data"]
    actions = ["421 4.3.2 later", "450 4.2.0 no", NextHop.RESET, NextHop.CLOSE, b"\xff\r\n"]
    troubles = [60]

    def script(at, line, session):
        if at in stages and troubles[0] > 0 and draw.random() < 0.1:
            if at == "mid-data":
                return NextHop.RESET
            troubles[0] -= 1
            return draw.choice(actions)
        return None
    hop = world.hop(script=script)
    daemon = world.start(delivery=RETRY)
    with Client(daemon.port) as client:
        client.hello()
        for number in range(100):
            body = "\r\n".join("z" * 60 for _ in range(10))
            assert client.message("anna@sender.test", "many@fwd.test",
                                  a_message(f"n{number:03d}", body=body))[0] == 250

    def arrived():
        return sum(len(m.recipients) for m in list(hop.messages)) >= 200
    try:
        wait_until(arrived, "200 deliveries", 20)
    except AssertionError:
        troubles[0] = 0
        wait_until(arrived, "200 deliveries")
    daemon.wait_log("delivered", count=200)
    got = sorted((s, r) for m in hop.messages for s in subjects([m]) for r in m.recipients)
    assert got == sorted((f"n{n:03d}", r) for n in range(100) for r in ("anna@dest.test", "bert@dest.test"))
    assert daemon.log("bounced") == [] and daemon.log("dropped") == []


# --- the disk -----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root may mount a small file system")
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5M", "none", str(directory)],
                             capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def fill_up(client, size):
    """Sends messages until three were refused for want of space; returns those that were taken."""
    safe, refused = [], 0
    for number in range(1000):
        subject = f"n{number:03d}"
        code, lines = client.message("anna@sender.test", "info@fwd.test",
                                     a_message(subject, body=("w" * 70 + "\r\n") * (size // 72)))
        if code == 250:
            safe.append(subject)
            continue
        assert (code, lines[0][:9]) == (452, "452 4.3.1"), lines
        refused += 1
        if refused == 3:
            return safe
    raise AssertionError("the disk does not fill up")


@pytest.mark.parametrize("size,floor", [(20_000, "1M"), (20_000, "0"), (400_000, "1M"), (400_000, "0")],
                         ids=["in the database", "in the database, to the last octet", "in files", "in files, to the last octet"])
def test_a_full_disk_is_answered_452_and_loses_nothing(world, small_disk, size, floor):
    closed = [True]
    hop = world.hop(script=lambda at, line, session:
                    "450 4.2.0 closed" if at == "mail" and closed[0] else None)
    daemon = world.start(delivery=RETRY, limits=f"    free-space {floor}\n", spool=small_disk / "spool")
    with Client(daemon.port) as client:
        safe = fill_up(client.hello(), size)
        assert safe
        assert daemon.wait_log("message-deferred")["why"] == "storage-full"
        closed[0] = False
        hop.wait(len(safe))
        daemon.wait_log("delivered", count=len(safe))
        assert subjects(hop.messages) == safe
        # There is room again.
        wait_until(lambda: client.message("anna@sender.test", "info@fwd.test", a_message("after"))[0] == 250,
                   "room")
    hop.wait(len(safe) + 1)
    assert daemon.stop() == 0
    daemon.start()
    assert "empty" in daemon.command("queue", "list").stdout


def test_a_disk_that_others_fill_stops_and_doubles_nothing(world, small_disk):
    """Not an octet is left, below any floor: what was delivered cannot be noted. It is kept in mind
    until it can be, and nothing is delivered a second time."""
    closed = [True]
    hop = world.hop(script=lambda at, line, session:
                    "450 4.2.0 closed" if at == "mail" and closed[0] else None)
    daemon = world.start(delivery=RETRY + "    concurrency 3\n", limits="    free-space 0\n",
                         spool=small_disk / "spool")
    with Client(daemon.port) as client:
        client.hello()
        for number in range(20):
            assert client.message("anna@sender.test", "info@fwd.test", a_message(f"n{number:03d}"))[0] == 250
        filler = small_disk / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        closed[0] = False
        safe = [f"n{number:03d}" for number in range(20)] + fill_up_small(client)
        wait_until(lambda: daemon.log("outcome-not-recorded") or len(hop.messages) == len(safe), "an outcome")
        filler.unlink()
        hop.wait(len(safe))
        daemon.wait_log("delivered", count=len(safe))
        assert subjects(hop.messages) == sorted(safe)
        wait_until(lambda: client.message("anna@sender.test", "info@fwd.test", a_message("after"))[0] == 250,
                   "room")
    hop.wait(len(safe) + 1)


def fill_up_small(client):
    """The log of the database may have room for a few more."""
    taken = []
    for number in range(100):
        code, lines = client.message("anna@sender.test", "info@fwd.test",
                                     a_message(f"s{number:03d}", body=("w" * 70 + "\r\n") * 100))
        if code == 452:
            return taken
        assert code == 250, lines
        taken.append(f"s{number:03d}")
    raise AssertionError("the disk does not fill up")


def test_under_the_free_space_floor_nothing_is_taken(world):
    world.hop()
    daemon = world.start(limits="    free-space 1000G\n")
    with Client(daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        client.expect("RCPT TO:<info@fwd.test>", 250)
        client.expect("DATA", 354)
        client.send(a_message() + b".\r\n")
        code, lines = client.reply()
        assert (code, lines[0][:9]) == (452, "452 4.3.1")
        client.expect("NOOP", 250)


def test_a_second_daemon_on_the_same_spool_is_refused(world):
    hop = world.hop()
    daemon = world.start()
    second = world.make_daemon(spool=daemon.settings["spool"])
    second.start(wait=False)
    assert second.process.wait(harness.PATIENCE) == 78
    second.process = None
    assert "another daemon" in second.log_text() or "in use" in second.log_text(), second.log_text()
    world.send()
    hop.wait()


def digests(directory):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(pathlib.Path(directory).iterdir()) if path.is_file()}


@pytest.mark.parametrize("where", [0, 4096], ids=["header", "page"])
def test_a_damaged_database_is_reported_and_never_written(world, where):
    hop = world.hop(script=lambda at, line, session: "450 4.2.0 no" if at == "mail" else None)
    daemon = world.start(delivery=RETRY)
    for number in range(20):
        world.send(data=a_message(f"n{number}", body=("v" * 70 + "\r\n") * 50))
    daemon.wait_log("deferred")
    assert daemon.stop() == 0
    spool = pathlib.Path(daemon.settings["spool"])
    database = max((p for p in spool.iterdir() if p.is_file()), key=lambda p: p.stat().st_size)
    with open(database, "r+b") as file:
        file.seek(where)
        file.write(b"\xa5" * 4096)
    before = digests(spool)
    daemon.start(wait=False)
    assert daemon.process.wait(harness.PATIENCE) == 78
    daemon.process = None
    line = daemon.log("spool-unusable")[0]
    assert "damaged" in line.text or "not a" in line.text, line
    assert digests(spool)[database.name] == before[database.name]
    listed = daemon.command("queue", "list", check=False)
    assert listed.returncode != 0 and listed.stderr
    assert digests(spool)[database.name] == before[database.name]
    assert hop.messages == []


# --- signals ------------------------------------------------------------------------------


def test_reload_takes_a_good_file_and_keeps_the_old_one_instead_of_a_bad_one(world):
    hop = world.hop()
    daemon = world.start()
    with Client(daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        assert client.command("RCPT TO:<new@fwd.test>")[0] == 550
        daemon.write_config(domain=world.DOMAIN + "    forward new to nora@dest.test\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded")
        client.expect("RSET", 250)  # a session that was open goes on
    world.send("new@fwd.test")
    hop.wait()
    good = daemon.config.read_text()
    daemon.config.write_text(good + "hostnam oops\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reload-failed")
    error = daemon.log("config-error")[0]
    assert "hostnam" in error.text and error["line"] == str(good.count("\n") + 1)
    world.send("new@fwd.test")
    hop.wait(2)
    daemon.config.write_text(good.replace("forward new", "forward newer"))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded", count=2)
    with Client(daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        assert client.command("RCPT TO:<new@fwd.test>")[0] == 550
        client.expect("RCPT TO:<newer@fwd.test>", 250)


@pytest.fixture
def busy_machine():
    """On each core something that wants all of it."""
    others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
    yield
    for other in others:
        other.kill()
        other.wait()


def set_loops(daemon, policy):
    """SCHED_IDLE: they run when nobody else wants to, now and then."""
    for task in pathlib.Path(f"/proc/{daemon.worker_pid()}/task").iterdir():
        if (task / "comm").read_text().startswith("loop-"):
            os.sched_setscheduler(int(task.name), policy, os.sched_param(0))


def test_reloaded_was_said_before_every_loop_knew(world, busy_machine):
    """Whoever waits for the line meets the new configuration, whatever loop serves him."""
    daemon = world.start()
    clients = [Client(daemon.port).hello() for _ in range(4)]
    for number in range(1, 9):
        daemon.write_config(domain=world.DOMAIN + f"    forward n{number} to nora@dest.test\n")
        set_loops(daemon, os.SCHED_IDLE)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded", count=number)
        for client in clients:
            client.send(f"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<n{number}@fwd.test>\r\nRSET\r\n")
        set_loops(daemon, os.SCHED_OTHER)
        for client in clients:
            assert [client.reply()[0] for _ in range(3)] == [250, 250, 250], number
    for client in clients:
        client.close()


def test_an_alias_file_that_changes_is_read_again_by_itself(world, tmp_path):
    hop = world.hop()
    aliases = tmp_path / "aliases"
    aliases.write_text("one: anna@dest.test\n")
    daemon = world.start(domain=f"    aliases {aliases}\n")
    world.send("one@fwd.test")
    hop.wait(1)
    aliases.write_text("one: anna@dest.test\ntwo: bert@dest.test, carl@dest.test\n")
    daemon.wait_log("reloaded")
    world.send("two@fwd.test")
    assert sorted(hop.wait(2)[1].recipients) == ["bert@dest.test", "carl@dest.test"]


def test_mail_in_the_queue_keeps_its_way_when_its_alias_goes(world):
    closed = [True]
    hop = world.hop(script=lambda at, line, session:
                    "450 4.2.0 closed" if at == "rcpt" and closed[0] else None)
    daemon = world.start(delivery=RETRY)
    ident = world.send()
    daemon.wait_log("deferred", id=ident)
    daemon.write_config(domain="    forward sales to sepp@dest.test\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    closed[0] = False
    assert hop.wait()[0].recipients == ["anna@dest.test"]


def _is_refused(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return False
    except OSError:
        return True


def test_sigterm_lets_an_open_message_finish(world):
    hop = world.hop()
    daemon = world.start()
    client, idle = Client(daemon.port), Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message()[:50])
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("draining")
    code, _ = idle.reply()  # who is in no transaction is sent away
    assert code == 421
    wait_until(lambda: _is_refused(daemon.port), "the port to be closed")  # and nobody waits
    client.send(a_message()[50:] + b".\r\n")
    assert client.reply()[0] == 250
    try:
        assert client.reply()[0] == 421
    except OSError:
        pass
    assert daemon.process.wait(harness.PATIENCE) == 0
    daemon.process = None
    daemon.start()
    hop.wait()
    daemon.stop()
    assert len(hop.messages) == 1


def test_a_second_sigterm_stops_at_once_and_loses_nothing(world):
    silent = [True]
    hop = world.hop(script=lambda at, line, session:
                    NextHop.SILENCE if at == "banner" and silent[0] else None)
    daemon = world.start(delivery=RETRY)
    world.send()
    wait_until(lambda: hop.connections, "the delivery to begin")
    client = Client(daemon.port)
    client.hello().envelope("anna@sender.test", "info@fwd.test")
    client.send(a_message()[:50])
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("draining")
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(harness.PATIENCE) == 0
    assert time.monotonic() - begin < 5
    daemon.process = None
    silent[0] = False
    daemon.start()
    hop.wait()
    daemon.wait_log("delivered")
    assert len(hop.messages) == 1


@pytest.mark.alone
def test_a_killed_worker_is_replaced_within_a_second(world):
    hop = world.hop()
    daemon = world.start()
    for count in range(1, 4):
        pid = daemon.worker_pid()
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        daemon.wait_log("ready", count=count + 1)
        assert time.monotonic() - begin < 1.5  # the machine may be busy
        assert daemon.wait_log("worker-crashed", count=count)["signal"] == "9"
        assert daemon.worker_pid() != pid
        world.send(data=a_message(f"n{count}"))  # the port stayed the same
    hop.wait(3)


def test_a_worker_that_dies_twice_at_once_is_not_restarted_in_a_frenzy(world):
    daemon = world.start()
    first = daemon.worker_pid()
    os.kill(first, signal.SIGKILL)
    pid = wait_until(lambda: daemon.worker_pid() not in (None, first) and daemon.worker_pid(), "a new worker")
    os.kill(pid, signal.SIGKILL)
    begin = time.monotonic()
    daemon.wait_log("worker-crashed", count=2)
    wait_until(lambda: daemon.worker_pid() not in (None, pid), "a new worker")
    assert time.monotonic() - begin >= 0.3
    daemon.wait_log("ready")
    assert daemon.stop() == 0


def test_what_was_queued_before_the_stop_is_delivered_after_the_start(world):
    daemon = world.start(delivery=RETRY)
    for number in range(20):
        world.send("many@fwd.test", data=a_message(f"n{number:02d}"))
    assert daemon.stop() == 0
    hop = world.hop()
    daemon.start()
    hop.wait(20)
    daemon.wait_log("delivered", count=40)
    got = sorted((s, r) for m in hop.messages for s in subjects([m]) for r in m.recipients)
    assert got == [(f"n{n:02d}", r) for n in range(20) for r in ("anna@dest.test", "bert@dest.test")]


# --- the operator -------------------------------------------------------------------------


@pytest.fixture
def waiting(world):
    """Two messages that wait for a long time."""
    closed = [True]
    world.closed = closed
    world.dest = world.hop(script=lambda at, line, session:
                           "450 4.2.0 try later" if at == "rcpt" and closed[0] else None)
    world.start(delivery="    retry 1h\n")
    world.ids = [world.send(), world.send("sales@fwd.test", data=a_message("second"))]
    for ident in world.ids:
        world.daemon.wait_log("deferred", id=ident)
    return world


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_the_queue_can_be_seen(waiting, is_running):
    daemon, (first, second) = waiting.daemon, waiting.ids
    if not is_running:
        assert daemon.stop() == 0
    listed = daemon.command("queue", "list").stdout
    assert first in listed and second in listed and "2 deliveries" in listed
    assert "sender.test=anna@" in listed and "450 4.2.0 try later" in listed
    rows = [json.loads(line) for line in daemon.command("queue", "list", "--json").stdout.splitlines()]
    assert [row["id"] for row in rows] == sorted(waiting.ids)
    row = next(row for row in rows if row["id"] == first)
    assert (row["recipient"], row["alias"], row["attempts"], row["state"]) == (
        "anna@dest.test", "info@fwd.test", 1, "due")
    shown = daemon.command("queue", "show", second).stdout
    assert second in shown and first not in shown and "client.example" in shown
    assert json.loads(daemon.command("queue", "show", second, "--json").stdout)["sender"] == "anna@sender.test"


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_retry_makes_it_due_now(waiting, is_running):
    daemon, (first, second) = waiting.daemon, waiting.ids
    waiting.closed[0] = False
    if not is_running:
        assert daemon.stop() == 0
    daemon.command("queue", "retry", first)
    if not is_running:
        daemon.start()
    daemon.wait_log("delivered", id=first)
    assert [m.recipients for m in waiting.dest.messages] == [["anna@dest.test"]]
    daemon.command("queue", "retry", "all" if is_running else "dest.test")
    daemon.wait_log("delivered", id=second)
    assert "empty" in daemon.command("queue", "list").stdout


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_delete_takes_a_message_away_without_a_bounce(waiting, is_running):
    daemon, (first, second) = waiting.daemon, waiting.ids
    back = waiting.hop(waiting.SENDER)
    if not is_running:
        assert daemon.stop() == 0
    daemon.command("queue", "delete", first)
    listed = daemon.command("queue", "list").stdout
    assert first not in listed and second in listed
    gone = daemon.command("queue", "show", first, check=False)
    assert gone.returncode == 65 and "no such message" in gone.stderr
    waiting.closed[0] = False
    if not is_running:
        daemon.start()
    daemon.command("queue", "retry", "all")
    daemon.wait_log("delivered", id=second)
    assert len(waiting.dest.messages) == 1 and back.connections == 0


@pytest.mark.parametrize("words", [["queue"], ["queue", "frob"], ["queue", "show"], ["queue", "show", "x"],
                                   ["queue", "delete"], ["queue", "delete", "all"], ["srs"],
                                   ["srs", "frob", "x"], ["serve", "x"], ["check", "--frob"], ["frob"]],
                         ids=" ".join)
def test_wrong_usage_ends_with_64_and_says_how(world, words):
    daemon = world.start(is_started=False)
    done = daemon.command(*words, check=False)
    assert done.returncode == 64, (done.returncode, done.stdout, done.stderr)
    assert done.stderr and not done.stdout


COMMANDS = re.findall(r"(?m)^  ([a-z][a-z-]*)\b", harness.run([harness.program(), "help"]).stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(command):
    done = harness.run([harness.program(), command, "--help"])
    assert done.returncode == 0 and f"postilion {command}" in done.stdout, done.stdout + done.stderr
    assert done.stderr == ""


def test_help_and_version():
    for words in (["--help"], ["help"]):
        done = harness.run([harness.program(), *words])
        assert done.returncode == 0
        for command in ("serve", "check", "srs", "queue", "version"):
            assert command in done.stdout
    assert harness.run([harness.program()]).returncode == 64
    for words in (["version"], ["--version"]):
        done = harness.run([harness.program(), *words])
        assert done.returncode == 0
        for library in ("postilion", "libevent", "c-ares", "SQLite", "OpenSSL"):
            assert library.lower() in done.stdout.lower(), done.stdout


def test_a_missing_configuration_is_said_clearly(tmp_path):
    for command in (["serve"], ["check"], ["queue", "list"]):
        done = harness.run([harness.program(), *command, "-c", str(tmp_path / "none.conf")])
        assert done.returncode == 78 and "none.conf" in done.stderr, done


BAD = """hostname mx.fwd.test
lissten 127.0.0.1:0
spool {spool}
srs {{
    domain srs.fwd.test
    max-age 5q
}}
domain fwd.test {{
    forward info to anna@@dest.test
    forward a to b@fwd.test
    forward b to a@fwd.test
}}
delivery {{
    port 99999
    port 25
"""


def test_check_tells_every_error_with_its_place(world, tmp_path):
    daemon = world.start(is_started=False)
    good = daemon.command("check")
    assert "good" in good.stdout and "error" not in good.stderr
    daemon.config.write_text(BAD.format(spool=tmp_path / "spool"))
    done = daemon.command("check", check=False)
    assert done.returncode == 78
    text = done.stderr
    for place in (":2:1: error", ":6:", ":9:", ":14:"):
        assert f"{daemon.config}{place}" in text, (place, text)
    for words in ("listen", "^", "lissten 127.0.0.1:0", "postmaster"):
        assert words in text, (words, text)
    assert re.search(r":13:\d+: ", text), text  # the brace that is not closed
    served = daemon.command("serve", check=False)
    assert served.returncode == 78 and "lissten" in served.stderr


def test_check_finds_alias_loops(world):
    daemon = world.start(is_started=False, domain="    forward a to b@fwd.test\n    forward b to a@fwd.test\n")
    done = daemon.command("check", check=False)
    assert done.returncode == 78 and "loop" in done.stderr, done.stderr


def test_a_port_that_is_taken_is_said_clearly(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = world.start(is_started=False, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        daemon.start(wait=False)
        assert daemon.process.wait(harness.PATIENCE) == 69
        daemon.process = None
        assert "cannot-listen" in daemon.log_text()
