"""The limit of open files: known beforehand, and survived when it is reached all the same."""
import os
import pathlib
import resource
import socket
import time

from harness import Client, a_message, wait_until


def held(daemon):
    return len(os.listdir(f"/proc/{daemon.worker_pid()}/fd"))


def allow(daemon, count):
    """The soft limit of the live worker; returns the one it had."""
    pid = daemon.worker_pid()
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))
    return soft


def cpu_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.worker_pid()}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_none_left_is_answered_and_survived(world):
    hop = world.hop()
    world.start(mode="handoff")
    daemon = world.daemon
    world.send(data=a_message("first"))
    with Client(daemon.port) as open_before:
        open_before.hello()
        before = allow(daemon, held(daemon) + 3)
        served, refused = [], []
        while len(refused) < 3:  # each has its answer, if it has to wait for it
            client = Client(daemon.port, greet=False)
            (served if client.reply()[0] == 220 else refused).append(client)
            assert len(served) <= 4
        for client in refused:
            assert client.is_closed()
        assert 2 <= len(served) <= 4
        daemon.wait_log("connection-refused", count=3, why="descriptors", client="127.0.0.1")
        waiting = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(50)]
        used = cpu_seconds(daemon)
        time.sleep(1)  # nothing is to happen but ten answers
        assert cpu_seconds(daemon) - used < 0.3
        # Who was there before is served: stored, should there be no connection to the next hop.
        code, lines = open_before.message("anna@sender.test", "info@fwd.test", a_message("meanwhile"))
        assert code in (250, 451, 452), lines
        for client in served:
            client.expect("NOOP", 250)
        allow(daemon, before)
        for connection in waiting:
            connection.settimeout(30)
            assert connection.recv(4) in (b"220 ", b"421 ")
            connection.close()
        for client in served:
            client.expect("QUIT", 221)
        world.send(data=a_message("last"))
    for message in hop.wait(2 + (code == 250)):
        assert message.sender.endswith("srs.fwd.test")
    wait_until(lambda: held(daemon) < 60, "descriptors to be given back")


def test_a_limit_too_low_for_the_configuration_is_said(postilion):
    """By `check` and by the daemon, which takes as many clients as it can then and keeps some for itself."""
    daemon = postilion(limits="    connections 10000\n    per-client 1000\n")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    said = "limits.connections 10000 needs 10512 open files" in daemon.command("check", "--no-dns").stderr
    assert said == (most != resource.RLIM_INFINITY and most < 10512)
    few = ["prlimit", "--nofile=300:300"] if os.getuid() != 0 else [
        "setpriv", "--bounding-set=-sys_resource", "prlimit", "--nofile=300:300"]
    daemon.start(wrapper=few)
    line = daemon.wait_log("few-descriptors")
    assert (line["limit"], line["wanted"], line["connections"]) == ("300", "10512", "150")
    clients, codes = [], []
    for _ in range(151):  # one after the other: on its way to its loop one may count twice for a moment
        clients.append(Client(daemon.port, greet=False))
        codes.append(clients[-1].reply()[0])
    assert codes == [220] * 150 + [421]
    assert daemon.wait_log("connection-refused")["why"] == "connections"
    for client in clients:
        client.close()
