"""The event history: what the log says about messages, kept where `postilion trace` finds it."""
import os
import signal
import sqlite3
import stat
import subprocess

import pytest

from harness import Client, a_message, lasting_port, wait_until


def segments(daemon):
    return sorted((daemon.directory / "state" / "history").glob("*.db"))


def kept(daemon, part, state=None):
    """The lines that are kept and have `part` in them."""
    lines = []
    for path in sorted(((state or daemon.directory / "state") / "history").glob("*.db")):
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as database:
                lines += [line for (line,) in database.execute("SELECT line FROM event ORDER BY number")]
        except sqlite3.OperationalError:
            pass  # it is being made
    return [line for line in lines if part in line]


def story(daemon, ident):
    return [line.split("event=")[1].split()[0] for line in kept(daemon, f" id={ident}")]


def send_when_up(daemon):
    """Nothing is logged that could be waited for."""
    def is_up():
        try:
            with Client(daemon.port):
                return True
        except OSError:
            return False
    wait_until(is_up, "the daemon")
    with Client(daemon.port) as client:
        code, lines = client.hello().message("anna@sender.test", "info@fwd.test", a_message("hello"))
        assert code == 250
        return lines[0].rsplit("id=", 1)[1]


def test_kept_although_it_is_not_logged(world):
    world.hop()
    daemon = world.start(is_started=False, listen=f"127.0.0.1:{(port := lasting_port())}",
                         extra="log { level warning }\n")
    daemon.port = port
    daemon.start(wait=False)
    ident = send_when_up(daemon)
    wait_until(lambda: "delivered" in story(daemon, ident), "the delivery in the history")
    assert sorted(story(daemon, ident)) == ["accepted", "delivered"]
    accepted = next(line for line in kept(daemon, f" id={ident}") if "event=accepted" in line)
    assert "message-id=<hello@sender.test>" in accepted and "orig_to=<info@fwd.test>" in accepted
    assert daemon.log("accepted") == [] and daemon.log("delivered") == []


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_the_whole_of_a_session(world, form):
    world.hop()
    daemon = world.start()
    daemon.write_config(extra=f"log {{ format {form} }}\n")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "reloaded" in daemon.log_text(), "the reload")
    ident = world.send()
    wait_until(lambda: kept(daemon, ident) and kept(daemon, "session-end"), "the end of the session")
    events = [event for event in ("accepted", "delivered") if any(event in line for line in kept(daemon, ident))]
    assert events == ["accepted", "delivered"]
    assert daemon.stop() == 0
    assert kept(daemon, "event=stopped" if form == "logfmt" else '"event":"stopped"'), "the last lines, too"
    for path in (daemon.directory / "state" / "history").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_off_writes_nothing_until_it_is_on(world):
    world.hop()
    daemon = world.start(extra="history off\n")
    world.send()
    daemon.wait_log("delivered")
    daemon.write_config(extra="history 1d 16M\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert not (daemon.directory / "state" / "history").exists()
    ident = world.send()
    wait_until(lambda: "delivered" in story(daemon, ident), "the delivery in the history")
    assert "history " in daemon.command("status").stdout
    daemon.write_config(extra="history off\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded", count=2)
    after = world.send()
    daemon.wait_log("delivered", id=after)
    assert daemon.stop() == 0
    assert story(daemon, after) == [] and "delivered" in story(daemon, ident)


def test_mail_goes_on_while_the_history_hangs(world):
    world.hop()
    daemon = world.start()
    first = world.send()
    wait_until(lambda: "delivered" in story(daemon, first), "the history")
    holder = sqlite3.connect(segments(daemon)[-1], isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    idents = [world.send() for _ in range(5)]
    for ident in idents:
        daemon.wait_log("delivered", id=ident)
    assert all(story(daemon, ident) == [] for ident in idents)
    holder.execute("ROLLBACK")
    holder.close()
    wait_until(lambda: all("delivered" in story(daemon, ident) for ident in idents), "what had to wait")
    assert daemon.log("history-trouble") == []


def test_a_hanging_history_holds_up_no_stop(world):
    world.hop()
    daemon = world.start()
    first = world.send()
    wait_until(lambda: "delivered" in story(daemon, first), "the history")
    holder = sqlite3.connect(segments(daemon)[-1], isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    world.send()
    assert daemon.stop() == 0
    holder.close()


def test_deleted_while_it_runs(world):
    world.hop()
    daemon = world.start()
    first = world.send()
    wait_until(lambda: "delivered" in story(daemon, first), "the history")
    subprocess.run(["rm", "-r", daemon.directory / "state" / "history"], check=True)
    ident = world.send()
    wait_until(lambda: "delivered" in story(daemon, ident), "the history again")
    assert daemon.log("history-trouble") == []


def test_a_directory_of_somebody_else(world):
    world.hop()
    daemon = world.start(is_started=False)
    (daemon.directory / "state").mkdir()
    (daemon.directory / "state" / "history").write_text("a file, no directory\n")
    daemon.start()
    for _ in range(3):
        ident = world.send()
        daemon.wait_log("delivered", id=ident)
    line = daemon.wait_log("history-trouble", level="warning")
    assert "cannot be" in line["why"], line
    status = daemon.command("status").stdout
    assert "it cannot be written now" in status, status
    assert daemon.stop() == 0
    assert len(daemon.log("history-trouble")) == 1


@pytest.fixture
def small_disk(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root may mount a small file system")
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "none", str(directory)],
                             capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.mark.parametrize("floor", ["0", "1M"])
def test_a_full_disk_costs_history_only(world, small_disk, floor):
    """To the last octet, or to limits.free-space."""
    world.hop()
    daemon = world.start(state=small_disk / "state", limits=f"    free-space {floor}\n")
    first = world.send()
    wait_until(lambda: kept(daemon, f" id={first}", small_disk / "state"), "the history")
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    for _ in range(20):
        ident = world.send(data=a_message("hello", extra=f"Message-ID: <{'x' * 400}@sender.test>\r\n"))
        daemon.wait_log("delivered", id=ident)
    line = daemon.wait_log("history-trouble")
    assert ("free-space" in line["why"]) == (floor == "1M"), line
    filler.unlink()
    daemon.signal(signal.SIGHUP)  # after half a minute it would try again by itself
    daemon.wait_log("reloaded")
    ident = world.send()
    wait_until(lambda: kept(daemon, f" id={ident}", small_disk / "state"), "the history again")
    assert int(daemon.wait_log("history-resumed")["lost"]) > 0
    assert daemon.stop() == 0
