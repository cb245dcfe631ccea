"""The file system below the spool: read-only, or without a free inode."""
import os
import pathlib
import subprocess

import pytest

from harness import Client, a_message, wait_until

LARGE = "a long line of text that fills a file of its own\r\n" * 7000


def closed_hop(world):
    """A next hop that takes nothing until its script is taken away."""
    return world.hop(script=lambda stage, line, session: "451 4.3.0 later" if stage == "mail" else None)


def open_hop(hop):
    hop.script = lambda stage, line, session: None


def subject(message):
    return message.header().split(b"Subject: ", 1)[1].split(b"\r\n", 1)[0].decode()


def subjects(hop):
    return sorted(subject(message) for message in list(hop.messages))


def mount(what, where, *options):
    where.mkdir(exist_ok=True)
    result = subprocess.run(["mount", *options, str(what), str(where)], capture_output=True, text=True)
    if result.returncode != 0:
        pytest.skip(f"cannot mount here: {result.stderr}")


@pytest.fixture
def disk(tmp_path):
    """Where a test may mount file systems; what it has mounted goes at the end."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a file system")
    directory = tmp_path / "disk"
    yield directory
    while subprocess.run(["umount", "-l", str(directory)], capture_output=True).returncode == 0:
        pass


def answer(client, subject, body):
    code, lines = client.message("anna@sender.test", "info@fwd.test", a_message(subject, body=body))
    return code, lines[0][:9]


def test_an_inode_table_that_is_full_is_answered_452(world, disk):
    """Large messages need files; small ones go on, and room comes with what is delivered."""
    mount("none", disk, "-t", "tmpfs", "-o", "nr_inodes=12,size=50M")
    hop = closed_hop(world)
    daemon = world.start(delivery="    retry 1s\n", limits="    free-space 1M\n", spool=disk / "spool")
    safe = []
    with Client(daemon.port) as client:
        client.hello()
        while (got := answer(client, f"large{len(safe)}", LARGE))[0] == 250:
            safe.append(f"large{len(safe)}")
            assert len(safe) < 12
        assert got == (452, "452 4.3.1") and safe
        assert daemon.wait_log("message-deferred")["why"] == "storage-full"
        assert answer(client, "small", "one line")[0] == 250
        open_hop(hop)
        hop.wait(len(safe) + 1)
        daemon.wait_log("delivered", count=len(safe) + 1)
        assert subjects(hop) == sorted([*safe, "small"])
        wait_until(lambda: answer(client, "after", LARGE)[0] == 250, "room")
    hop.wait(len(safe) + 2)
    assert all(LARGE.encode() in message.data for message in hop.messages if subject(message) != "small")
    daemon.wait_log("delivered", count=len(safe) + 2)
    assert list((disk / "spool" / "content").iterdir()) == []


def test_a_spool_where_no_file_can_be_made_is_answered_451(world, disk):
    """Mounted read-only above the open files: what needs a new one is answered 451 until that is over."""
    mount("none", disk, "-t", "tmpfs", "-o", "size=50M")
    spool = disk / "spool"
    hop = closed_hop(world)
    daemon = world.start(delivery="    retry 1s\n", limits="    free-space 1M\n", spool=spool)
    with Client(daemon.port) as client:
        client.hello()
        assert answer(client, "before", LARGE)[0] == 250
        mount(spool, spool, "--bind")
        mount("none", spool, "-o", "remount,bind,ro")
        assert answer(client, "refused", LARGE) == (451, "451 4.3.0")
        assert answer(client, "small", "one line")[0] == 250
        subprocess.run(["umount", str(spool)], check=True)
        assert answer(client, "after", LARGE)[0] == 250
    open_hop(hop)
    hop.wait(3)
    daemon.wait_log("delivered", count=3)
    assert subjects(hop) == ["after", "before", "small"]


@pytest.fixture
def fragile_disk(disk, tmp_path):
    """A file system that becomes read-only at its first error; (directory, what causes one)."""
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(24 << 20)
    made = subprocess.run(["/usr/sbin/mkfs.ext4", "-q", str(image)], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no ext4 here: {made.stderr}")
    mount(image, disk, "-o", "loop,errors=remount-ro")
    source = subprocess.run(["findmnt", "-no", "SOURCE", str(disk)], capture_output=True, text=True).stdout
    trigger = pathlib.Path(f"/sys/fs/ext4/{pathlib.Path(source.strip()).name}/trigger_fs_error")
    if not trigger.exists():
        pytest.skip(f"{trigger} is not there")
    return disk, image, trigger


def test_a_file_system_that_turns_read_only_is_answered_451(world, fragile_disk):
    """The kernel's errors=remount-ro, the way it happens: the daemon lives on and takes nothing; checked, mounted
    again and started again, all that was answered 250 is there."""
    directory, image, trigger = fragile_disk
    hop = closed_hop(world)
    daemon = world.start(delivery="    retry 1h\n", limits="    free-space 1M\n", spool=directory / "spool")
    with Client(daemon.port) as client:
        client.hello()
        assert answer(client, "small", "one line")[0] == 250
        assert answer(client, "large", LARGE)[0] == 250
        daemon.wait_log("deferred", count=2)
        trigger.write_text("an error of the test's\n")
        for _ in range(3):
            assert answer(client, "refused", "one line") == (451, "451 4.3.0")
            assert answer(client, "refused", LARGE) == (451, "451 4.3.0")
    assert daemon.process.poll() is None and daemon.log("worker-crashed") == []
    daemon.stop()
    subprocess.run(["umount", str(directory)], check=True)
    assert subprocess.run(["/usr/sbin/e2fsck", "-fy", str(image)], capture_output=True).returncode <= 1
    mount(image, directory, "-o", "loop")
    open_hop(hop)
    daemon.start()
    daemon.command("queue", "retry", "--all")
    hop.wait(2)
    daemon.wait_log("delivered", count=2)
    assert subjects(hop) == ["large", "small"]
    assert any(LARGE.encode() in message.data for message in hop.messages)
