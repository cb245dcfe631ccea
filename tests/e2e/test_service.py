"""The service manager's protocols (sockets, readiness, watchdog), and another program on the same sockets."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import harness
from harness import Client, a_message


class Manager:
    """A notify socket, as a service manager has one."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(harness.PATIENCE)
        self.heard = []

    def wait(self, text):
        """The next message in which this stands."""
        while True:
            self.heard.append(self.socket.recv(4096).decode())
            if text in self.heard[-1]:
                return dict(line.split("=", 1) for line in self.heard[-1].splitlines())


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    if request.param == "path":
        address = name = str(tmp_path / "notify")
    else:
        name = f"@postilion-test-{os.getpid()}"
        address = "\0" + name[1:]
    made = Manager(address)
    made.name = name
    yield made
    made.socket.close()


def test_readiness_reload_and_stop(postilion, manager):
    daemon = postilion().start(env={"NOTIFY_SOCKET": manager.name})
    assert manager.wait("READY=1")["STATUS"] == "taking mail"
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.signal(signal.SIGHUP)
    told_us = int(manager.wait("RELOADING=1")["MONOTONIC_USEC"])
    assert before_us <= told_us <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.wait("READY=1")
    assert daemon.stop() == 0
    manager.wait("STOPPING=1")
    assert not any("WATCHDOG" in text for text in manager.heard)  # nobody asked for it


def test_the_watchdog_hears_of_a_loop_that_hangs(postilion, manager):
    daemon = postilion(extra="workers 2").start(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "300000"})
    for _ in range(3):
        manager.wait("WATCHDOG=1")
    # The other threads and the supervisor live on.
    tasks = pathlib.Path(f"/proc/{daemon.worker_pid()}/task")
    loop = next(task.name for task in tasks.iterdir() if (task / "comm").read_text().strip() == "loop-1")
    holder = subprocess.Popen(["strace", "-o", "/dev/null", "-p", loop, "-e", "trace=epoll_wait,epoll_pwait",
                               "-e", "inject=epoll_wait,epoll_pwait:delay_exit=60000000"],
                              stderr=subprocess.DEVNULL)
    manager.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        for _ in range(50):  # until it is held, and what was on its way
            manager.wait("WATCHDOG=1")
    holder.kill()
    holder.wait()
    manager.socket.settimeout(harness.PATIENCE)
    manager.wait("WATCHDOG=1")


def listening_socket(port=0):
    made = socket.socket()
    made.bind(("127.0.0.1", port))
    made.listen(100)
    return made


def start_activated(daemon, sockets, pid="$$", wait=True):
    """As a service manager does: the sockets are descriptors 3 and up, the rest is in the environment."""
    moves = " ".join(f"{3 + i}<&{made.fileno()}" for i, made in enumerate(sockets))
    script = f'export LISTEN_PID={pid} LISTEN_FDS={len(sockets)}; exec "$@" {moves}'
    return daemon.start(wait=wait, wrapper=("bash", "-c", script, "bash"), pass_fds=[made.fileno() for made in sockets])


def test_sockets_of_the_service_manager_are_used(postilion):
    made = listening_socket()
    port = made.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as early:  # before there is anybody
        daemon = start_activated(postilion(listen=f"127.0.0.1:{port}"), [made])
        made.close()
        assert daemon.port == port
        early.settimeout(harness.PATIENCE)
        assert early.recv(100).startswith(b"220 ")
    assert not daemon.log("sockets-unused")
    assert daemon.stop() == 0


def test_sockets_for_another_process_are_left_alone(postilion):
    made = listening_socket()
    port = made.getsockname()[1]
    daemon = start_activated(postilion(listen=f"127.0.0.1:{port}"), [made], pid="1", wait=False)
    assert "Address already in use" in daemon.wait_log("cannot-listen")["why"]
    made.close()


def test_sockets_without_a_listen_line_are_told(postilion):
    first, second = listening_socket(), listening_socket()
    port = first.getsockname()[1]
    daemon = start_activated(postilion(listen=f"127.0.0.1:{port}"), [second, first])
    assert daemon.log("sockets-unused")[0]["count"] == "1"
    second_port = second.getsockname()[1]
    first.close(), second.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", second_port))
    with Client(port) as client:
        client.hello()


def restart(daemon, times=1):
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("restarting", count=times)
    daemon.wait_log("ready", count=times + 1)


def test_a_restart_refuses_nobody_and_loses_nothing(world):
    """Clients connect in a loop while the program is replaced three times."""
    hop = world.hop()
    daemon = world.start(listen="127.0.0.1:%d" % harness.lasting_port())
    supervisor, worker = daemon.process.pid, daemon.worker_pid()
    is_over = threading.Event()
    accepted, refused = [], []

    def send_on(name):
        number = 0
        while not is_over.is_set():
            number += 1
            subject = f"{name}-{number}"
            try:
                with Client(daemon.port) as client:
                    code, _ = client.hello().message("anna@sender.test", "info@fwd.test", a_message(subject))
                    if code == 250:
                        accepted.append(subject)
            except ConnectionRefusedError as error:
                refused.append(error)
            except (OSError, AssertionError, ValueError):
                continue  # told to come back (421), as any client may be

    senders = [threading.Thread(target=send_on, args=(f"sender{i}",)) for i in range(3)]
    for sender in senders:
        sender.start()
    try:
        for times in range(1, 4):
            before = len(accepted)
            restart(daemon, times)
            harness.wait_until(lambda: len(accepted) > before + 5, "mail after the restart")
    finally:
        is_over.set()
        for sender in senders:
            sender.join()
    assert not refused
    assert daemon.process.pid == supervisor and daemon.process.poll() is None
    assert daemon.worker_pid() != worker
    hop.wait(len(accepted))
    assert daemon.stop() == 0  # nothing is left in a session
    arrived = [line[9:].decode() for message in hop.messages
               for line in message.header().split(b"\r\n") if line.startswith(b"Subject: ")]
    missing, twice = set(accepted) - set(arrived), len(arrived) - len(set(arrived))
    assert not missing and not twice


def test_a_session_that_is_open_goes_on_to_its_end(world):
    """And whoever connects meanwhile waits for the new one."""
    hop = world.hop()
    daemon = world.start(listen="127.0.0.1:%d" % harness.lasting_port())
    worker = daemon.worker_pid()
    with Client(daemon.port) as client:
        client.hello().envelope("anna@sender.test", "info@fwd.test")
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("draining")
        with Client(daemon.port, greet=False) as late:
            client.send(harness.stuff(a_message()) + b".\r\n")
            assert client.reply()[0] == 250
            assert late.reply()[0] == 220  # from the new one
            late.hello()
    assert daemon.worker_pid() != worker
    hop.wait(1)


def test_a_restart_takes_the_new_program_and_all_of_the_configuration(postilion, tmp_path, monkeypatch):
    """What only a restart can change, and what lies at the program's place now."""
    copy = tmp_path / "program" / "postilion"
    copy.parent.mkdir()
    shutil.copy(harness.program(), copy)
    monkeypatch.setattr(harness, "program", lambda name="postilion": str(copy))
    daemon = postilion(extra="workers 1").start()
    port = daemon.port
    newer = copy.with_name("newer")
    shutil.copy(copy, newer)
    newer.rename(copy)
    daemon.write_config(extra="workers 3")
    daemon.command("restart")
    assert daemon.wait_log("ready", count=2)["loops"] == "3"
    assert os.stat(f"/proc/{daemon.process.pid}/exe").st_ino == copy.stat().st_ino
    with Client(port) as client:
        client.hello()
    assert f"process {daemon.worker_pid()}," in daemon.command("status").stdout  # the control socket went along
    assert daemon.stop() == 0
    assert not (daemon.directory / "control.sock").exists()


def test_a_bad_configuration_refuses_the_restart(postilion):
    daemon = postilion().start()
    worker = daemon.worker_pid()
    daemon.write_config(extra="no-such-option 1")
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("restart-refused")
    assert "no-such-option" in daemon.log_text()
    assert daemon.worker_pid() == worker
    daemon.write_config(extra="")
    restart(daemon)
    assert daemon.worker_pid() != worker


def test_a_port_that_is_taken_refuses_the_restart(postilion):
    with listening_socket() as other:
        daemon = postilion().start()
        worker = daemon.worker_pid()
        daemon.write_config(listen=f"127.0.0.1:{other.getsockname()[1]}")
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("restart-refused")
        assert daemon.worker_pid() == worker
        with Client(daemon.port) as client:
            client.hello()


def test_reload_on_order(postilion):
    daemon = postilion().start()
    daemon.command("reload")
    daemon.wait_log("reloaded")
