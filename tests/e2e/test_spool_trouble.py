"""What the daemon does when its spool is not what it was, and when the configuration has moved on."""
import signal

from harness import a_message, wait_until


def defer_one(world, data=None, **settings):
    """A message that waits in the spool of a stopped daemon; its id."""
    hop = world.hop(script=lambda stage, line, session: "451 4.3.0 later" if stage == "mail" else None)
    world.start(delivery="    retry 1s\n", **settings)
    ident = world.send(data=data)
    world.daemon.wait_log("deferred", id=ident)
    world.daemon.stop()
    hop.script = lambda stage, line, session: None
    return hop, ident


def test_damage_found_while_running_stopped_nobody(world):
    """DESIGN 2.5: a damaged database is never written to; the daemon says so and stops."""
    hop, _ = defer_one(world, a_message(body="a text that will be another\r\n"))
    spool = world.daemon.directory / "spool" / "spool.db"
    octets = spool.read_bytes()
    assert b"that will be another" in octets
    damaged = octets.replace(b"that will be another", b"that will bE another")
    spool.write_bytes(damaged)
    world.daemon.start()
    world.daemon.wait_log("spool-damaged", level="fatal")
    assert world.daemon.process.wait(30) == 78  # the supervisor does not try again
    assert world.daemon.log("worker-crashed") == [] and hop.messages == []
    assert spool.read_bytes() == damaged


def test_content_file_that_is_gone_was_looked_for_every_second(world):
    """One message that cannot be helped is put aside; the others go on."""
    hop, ident = defer_one(world, a_message(body="a long line of text\r\n" * 20000))
    for file in (world.daemon.directory / "spool" / "content").iterdir():
        file.unlink()
    world.daemon.start()
    world.daemon.wait_log("held", id=ident, why="content-missing")
    world.send()
    assert len(hop.wait()) == 1
    assert "held" in world.daemon.command("queue", "list").stdout


def test_route_that_was_removed_held_its_mail_for_ever(world):
    """Mail behind a smarthost goes by MX when the smarthost is no longer in the configuration."""
    hop = world.hop()
    world.start(extra="route dest.test to 127.0.0.9:1")
    ident = world.send()
    world.daemon.wait_log("destination-paused")
    assert hop.messages == []
    world.daemon.write_config(extra="")
    world.daemon.signal(signal.SIGHUP)
    world.daemon.wait_log("reloaded")
    world.send()  # is not in the way of the first
    hop.wait(1)
    world.daemon.command("queue", "retry", ident)
    wait_until(lambda: len(hop.messages) == 2, "the message that waited")
    assert world.daemon.wait_log("rerouted", id=ident)["destination"] == "dest.test"
