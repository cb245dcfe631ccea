"""What the daemon does when its spool is not what it was, and when the configuration has moved on."""
import json
import random
import re
import signal
import subprocess

from harness import a_message, program, wait_until


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


def defer_many(world, count):
    """Messages in the spool of a stopped daemon; their ids."""
    hop = world.hop(script=lambda stage, line, session: "451 4.3.0 later" if stage == "mail" else None)
    world.start(delivery="    retry 1s\n")
    idents = []
    for i in range(count):
        body = f"number {i} of them\r\n" + "a line of text\r\n" * (i * 37 % 300 if i % 5 else 20000)
        idents.append(world.send(data=a_message(subject=f"n{i}", body=body)))
    world.daemon.wait_log("deferred", count=count)
    world.daemon.stop()
    hop.script = lambda stage, line, session: None
    return hop, idents


def salvage(world, *arguments):
    """What is said of each, and the exit status; the new spool takes the place of the old."""
    directory = world.daemon.directory
    result = world.daemon.command("queue", "salvage", "--json", *arguments, str(directory / "new"), check=False)
    (directory / "spool").rename(directory / "spool.old")
    (directory / "new").rename(directory / "spool")
    return [json.loads(line) for line in result.stdout.splitlines()], result.returncode


def numbers_of(hop):
    return sorted(int(re.search(rb"number (\d+) of them", message.data).group(1)) for message in hop.messages)


def test_what_is_whole_of_a_damaged_spool_is_delivered(world):
    hop, idents = defer_many(world, 40)
    spool = world.daemon.directory / "spool" / "spool.db"
    octets = bytearray(spool.read_bytes())
    draw = random.Random(20)
    for page in draw.sample(range(7, len(octets) // 4096), 6):
        octets[page * 4096:(page + 1) * 4096] = draw.randbytes(4096)
    spool.write_bytes(octets)
    world.daemon.start(wait=False)
    assert world.daemon.process.wait(30) == 78  # it says so and stops
    said, status = salvage(world)
    assert spool.with_name("spool.db").read_bytes() != octets
    assert (world.daemon.directory / "spool.old" / "spool.db").read_bytes() == octets
    saved = [line["saved"] for line in said if "saved" in line]
    lost = [line["lost"] for line in said if "lost" in line]
    assert status == 1 and lost and len(saved) > 20
    assert sorted(saved + lost) == sorted(idents)
    assert said[-1]["saved_messages"] == len(saved) and said[-1]["lost_messages"] == len(lost)
    world.daemon.start()
    hop.wait(len(saved))
    assert numbers_of(hop) == sorted(idents.index(ident) for ident in saved)
    assert b"Subject: n0\r\n" in b"".join(message.data for message in hop.messages)
    wait_until(lambda: "empty" in world.daemon.command("queue", "list").stdout.lower(), "an empty queue")


def test_spool_without_its_first_page_loses_nothing(world):
    hop, idents = defer_many(world, 10)
    spool = world.daemon.directory / "spool" / "spool.db"
    octets = spool.read_bytes()
    spool.write_bytes(bytes(4096) + octets[4096:])
    said, status = salvage(world, "--spool", str(spool.parent))
    assert status == 0
    assert sorted(line["saved"] for line in said[:-1]) == sorted(idents)
    world.daemon.start()
    hop.wait(10)
    assert numbers_of(hop) == list(range(10))


def test_salvage_refuses(world):
    """What is in use, what is not there, and what would be written over."""
    world.hop()
    world.start()
    directory = world.daemon.directory

    def refusal(*arguments):
        result = subprocess.run([program(), "queue", "salvage", *map(str, arguments)], capture_output=True, text=True)
        assert result.stderr.startswith(("postilion: ", "usage: ")) == (result.returncode != 0)
        return result.returncode
    assert refusal("--spool", directory / "spool", directory / "new") == 75
    assert not (directory / "new").exists()
    world.daemon.stop()
    assert refusal("--spool", directory / "nowhere", directory / "new") == 66
    assert refusal("--spool", directory / "spool", directory / "spool") == 73
    assert refusal("--spool", directory / "spool", directory / "no" / "where") == 74
    assert refusal("--spool", directory / "spool") == 64
    assert refusal("--spool", directory / "spool", directory / "new") == 0
    assert refusal("--spool", directory / "spool", directory / "new") == 73
