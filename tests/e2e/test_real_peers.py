"""Real servers as next hops: Debian's Exim and Postfix's smtp-sink, unpacked, not installed."""
import os
import pathlib
import re
import socket
import subprocess

import pytest

import harness
from harness import a_message, wait_until

EXIM = """
primary_hostname = exim.dest.test
never_users =
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
local_interfaces = 127.0.0.2
daemon_smtp_ports = {port}
pid_file_path = {directory}/exim.pid
tls_advertise_hosts =
queue_only = true
host_lookup =
rfc1413_hosts =
log_selector = +received_sender +received_recipients
message_size_limit = 100M
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
begin acl
check_rcpt:
  deny local_parts = refused
       message = no such user here
  accept
begin routers
begin transports
begin retry
begin rewrite
begin authenticators
"""


def let_others_in(directory):
    """Makes a directory of the test reachable for a program that gives up root."""
    for parent in pathlib.Path(directory).parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


class Exim:
    """Takes mail and keeps it in its spool: -H files with the envelope, -D files with the octets."""

    def __init__(self, directory, port):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        # As root it gives up its rights to somebody who must be able to reach the directory.
        user, group = (65534, 65534) if os.getuid() == 0 else (os.getuid(), os.getgid())
        if os.getuid() == 0:
            os.chown(self.directory, user, group)
            let_others_in(self.directory)
        # The account Debian built it with exists only where the package is installed.
        passwd, groups = self.directory / "passwd", self.directory / "group"
        passwd.write_text("root:x:0:0::/:/bin/sh\n"
                          f"Debian-exim:x:{user}:{group}::{self.directory}:/bin/false\n")
        groups.write_text(f"root:x:0:\nDebian-exim:x:{group}:\nmail:x:8:\n")
        wrapper = next((harness.PEERS / "usr/lib").glob("*/libnss_wrapper.so"))
        self.config = self.directory / "exim.conf"
        self.config.write_text(EXIM.format(directory=self.directory, port=port))
        self.process = subprocess.Popen(
            [str(harness.PEERS / "usr/sbin/exim4"), "-C", str(self.config), "-bdf"],
            stdin=subprocess.DEVNULL, stdout=open(self.directory / "out", "ab"), stderr=subprocess.STDOUT,
            env={**os.environ, "LD_PRELOAD": str(wrapper), "NSS_WRAPPER_PASSWD": str(passwd),
                 "NSS_WRAPPER_GROUP": str(groups)})
        wait_until(lambda: self.is_up(port), "exim")

    def is_up(self, port):
        assert self.process.poll() is None, (self.directory / "out").read_text() + self.log()
        try:
            socket.create_connection(("127.0.0.2", port)).close()
            return True
        except ConnectionRefusedError:
            return False

    def log(self):
        path = self.directory / "mainlog"
        return path.read_text() if path.exists() else ""

    def messages(self):
        """[(sender, recipients, header text, body octets)]"""
        found = []
        for path in sorted(self.directory.glob("spool/input/**/*-H")):
            head = path.read_text(errors="surrogateescape")
            body = path.with_name(path.name[:-1] + "D").read_bytes().split(b"\n", 1)[1]
            envelope, header = head.split("\n\n", 1)
            lines = envelope.splitlines()
            sender = next(line for line in lines if re.fullmatch(r"<.*>", line))[1:-1]
            count = next(i for i, line in enumerate(lines) if re.fullmatch(r"\d+", line) and i > 3)
            recipients = lines[count + 1:count + 1 + int(lines[count])]
            found.append((sender, recipients, header, body))
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def exim(world, tmp_path):
    """Exim as the next hop of dest.test."""
    world.port = harness.free_port("127.0.0.2")
    server = Exim(tmp_path / "exim", world.port)
    yield server
    server.stop()


def test_exim_takes_a_forwarded_message(world, exim):
    world.start()
    ident = world.send(data=a_message(body=".dot\r\n..two\r\nend"))
    line = world.daemon.wait_log("delivered", id=ident)
    assert re.search(r"OK id=", line["reply"]) and line["relay"].startswith("mx.dest.test[127.0.0.2]")
    sender, recipients, header, body = wait_until(exim.messages, "the message in exim's spool")[0]
    assert re.fullmatch(r"SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=sender\.test=anna@srs\.fwd\.test", sender)
    assert recipients == ["anna@dest.test"]
    assert f" id {ident}" in header and "X-Postilion-Loop" in header
    assert body == b".dot\n..two\nend\n"
    assert f"<= {sender}" in exim.log()


def test_exim_takes_several_recipients_and_many_messages(world, exim):
    world.start()
    for number in range(20):
        world.send(["many@fwd.test", "sales@fwd.test"], data=a_message(f"n{number}"))
    world.daemon.wait_log("delivered", count=60)
    messages = exim.messages()
    assert len(messages) == 20
    assert all(sorted(recipients) == ["anna@dest.test", "bert@dest.test", "sepp@dest.test"]
               for _, recipients, _, _ in messages)
    assert world.daemon.log("deferred") == []


def test_a_recipient_exim_refuses_bounces(world, exim):
    back = world.hop(world.SENDER)
    world.start(domain="    forward gone to refused@dest.test anna@dest.test\n")
    world.send("gone@fwd.test")
    bounce = back.wait()[0]
    assert b"no such user here" in bounce.data and b"refused@dest.test" not in bounce.data
    assert [recipients for _, recipients, _, _ in exim.messages()] == [["anna@dest.test"]]


@pytest.fixture
def sink(world, tmp_path):
    """Postfix's smtp-sink as the next hop of dest.test; keeps every message in a file."""
    world.port = harness.free_port("127.0.0.2")
    directory = tmp_path / "sink"
    directory.mkdir()
    command = [str(harness.PEERS / "usr/sbin/smtp-sink"), "-h", "mx.dest.test", "-d",
               f"{directory}/%s.", f"127.0.0.2:{world.port}", "100"]
    if os.getuid() == 0:
        directory.chmod(0o777)
        let_others_in(directory)
        command[1:1] = ["-u", "nobody"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={"LD_LIBRARY_PATH": str(harness.PEERS / "usr/lib/postfix"), "PATH": os.environ["PATH"]})

    def is_up():
        assert process.poll() is None, process.stderr.read()
        try:
            socket.create_connection(("127.0.0.2", world.port)).close()
            return True
        except ConnectionRefusedError:
            return False
    wait_until(is_up, "smtp-sink")
    yield directory
    process.terminate()
    process.wait(10)
    process.stderr.close()


def test_postfix_sink_takes_what_postfix_source_sends(world, sink):
    world.start()
    done = subprocess.run(
        [str(harness.PEERS / "usr/sbin/smtp-source"), "-s", "5", "-m", "50", "-l", "10000", "-f", "anna@sender.test",
         "-t", "info@fwd.test", f"inet:127.0.0.1:{world.daemon.port}"],
        capture_output=True, text=True, timeout=harness.PATIENCE,
        env={"LD_LIBRARY_PATH": str(harness.PEERS / "usr/lib/postfix")})
    assert done.returncode == 0, done.stderr
    world.daemon.wait_log("delivered", count=50)
    texts = [path.read_text() for path in sink.iterdir()]
    assert len(texts) == 50
    for text in texts:
        assert re.search(r"^X-Mail-Args: <SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=sender\.test=anna@srs\.fwd\.test>", text, re.M)
        assert re.search(r"^X-Rcpt-Args: <anna@dest\.test>", text, re.M)
