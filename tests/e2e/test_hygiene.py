"""What the processes may do, and what is left of secrets: looked at from outside, in /proc."""
import os
import pathlib
import re
import shutil
import signal
import tempfile

import pytest

import harness

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give up root")


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def open_files(pid):
    result = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            result.append(os.readlink(fd))
        except FileNotFoundError:
            continue
    return result


@pytest.fixture
def unprivileged():
    """Makes daemons that give up root for the account "nobody", in a directory of its own."""
    directories, made = [], []

    def make(**settings):
        directory = tempfile.mkdtemp(prefix="postilion-hygiene-")
        directories.append(directory)
        daemon = harness.Postilion(directory, user="nobody", **settings)
        give_away(daemon)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.kill()
        assert not daemon.log("worker-crashed", since_start=False), daemon.log_text()
    for directory in directories:
        shutil.rmtree(directory)


def give_away(daemon):
    """Everything there belongs to nobody now."""
    for path in [daemon.directory, *daemon.directory.rglob("*")]:
        shutil.chown(path, "nobody", "nogroup")


@needs_root
def test_neither_process_keeps_a_right_it_does_not_need(unprivileged):
    daemon = unprivileged().start()
    for pid in (daemon.process.pid, daemon.worker_pid()):
        status = status_of(pid)
        assert status["Uid"].split() == ["65534"] * 4, status
        assert status["Gid"].split() == ["65534"] * 4, status
        assert set(status["Groups"].split()) <= {"65534"}
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == ("2" if pid == daemon.worker_pid() else "0")
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[name], 16) == 0, (pid, name)
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), limits
        # Not dumpable: its files in /proc belong to root, and nobody of the same account can look in.
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    assert daemon.stop() == 0


@needs_root
def test_a_capability_it_was_started_with_is_given_up(unprivileged):
    """As conf/postilion.service starts it: no root at any time, one capability to bind the port."""
    daemon = unprivileged()
    daemon.start(wrapper=("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                          "--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"))
    for pid in (daemon.process.pid, daemon.worker_pid()):
        status = status_of(pid)
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[name], 16) == 0, (pid, name, status[name])


@needs_root
def test_as_root_the_worker_keeps_file_rights_only(postilion):
    daemon = postilion().start()
    status = status_of(daemon.worker_pid())
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) & ~0xf == 0 and int(status["CapBnd"], 16) & ~0xf == 0


def test_core_dumps_when_asked_for(postilion):
    daemon = postilion(extra="core-dumps yes").start()
    limits = pathlib.Path(f"/proc/{daemon.worker_pid()}/limits").read_text()
    before = pathlib.Path("/proc/self/limits").read_text()
    find = re.compile(r"Max core file size.*")
    assert find.search(limits).group() == find.search(before).group()


def test_what_was_open_when_it_started_is_closed(postilion, tmp_path):
    """A descriptor of whoever started the daemon, and those of the supervisor in the worker."""
    leaked = tmp_path / "leaked"
    leaked.write_text("x")
    daemon = postilion()
    daemon.start(wrapper=("sh", "-c", f'exec 9<{leaked} "$@"', "sh"))
    worker = daemon.worker_pid()
    for pid in (daemon.process.pid, worker):
        assert str(leaked) not in open_files(pid)
    sockets = [name for name in open_files(worker) if name.startswith("socket:")]
    shared = [name for name in open_files(daemon.process.pid) if name in sockets]
    assert len(shared) == 2  # one listener and the control socket
    loops = [name for name in open_files(worker) if "eventpoll" in name]
    threads = [(pathlib.Path(f"/proc/{worker}/task") / task / "comm").read_text().strip()
               for task in os.listdir(f"/proc/{worker}/task")]
    # One for each loop and one for the main thread; the supervisor's is not among them.
    assert len(loops) == 1 + sum(name.startswith("loop-") for name in threads)


def test_a_reload_reads_what_the_start_could_have_read(postilion, tmp_path):
    """Files that are replaced, also behind a symbolic link, and new ones where an include looks."""
    far = tmp_path / "far"
    far.mkdir()
    (far / "v1.aliases").write_text("info: one@dest.test\n")
    daemon = postilion(domain="    aliases linked.aliases\n", extra="include conf.d/*.conf")
    (daemon.directory / "linked.aliases").symlink_to(far / "v1.aliases")
    (daemon.directory / "conf.d").mkdir()
    daemon.start()
    daemon.wait_log("sandbox", files="restricted")
    (far / "v2.aliases").write_text("info: two@dest.test\nnew: two@dest.test\n")
    link = daemon.directory / "next"
    link.symlink_to(far / "v2.aliases")
    link.rename(daemon.directory / "linked.aliases")
    (daemon.directory / "conf.d" / "more.conf").write_text("domain more.test {\n    forward * to x@dest.test\n}\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    with harness.Client(daemon.port) as client:
        client.hello().expect("MAIL FROM:<a@sender.test>", 250)
        client.expect("RCPT TO:<new@fwd.test>", 250)
        client.expect("RCPT TO:<any@more.test>", 250)


@pytest.mark.parametrize("directive", ["include {}/new.conf", "include {}/*.conf",
                                       "domain new.test {{\n    aliases {}/new.aliases\n    forward * to x@dest.test\n}}"])
def test_a_reload_cannot_read_elsewhere_and_says_so(postilion, tmp_path, directive):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "new.conf").write_text("# nothing\n")
    (elsewhere / "new.aliases").write_text("info: x@dest.test\n")
    daemon = postilion().start()
    daemon.write_config(extra=directive.format(elsewhere))
    daemon.signal(signal.SIGHUP)
    line = daemon.wait_log("config-error")
    assert "outside of the directories a running daemon may open; restart" in line["why"]
    daemon.wait_log("reload-failed")
    assert daemon.stop() == 0
    daemon.start()  # what a restart is told to cure, it cures
    daemon.stop()


def test_with_the_sandbox_off_a_reload_reads_everything(postilion, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "new.conf").write_text("# nothing\n")
    daemon = postilion(sandbox="off").start()
    daemon.write_config(extra=f"include {elsewhere}/new.conf")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert not daemon.log("sandbox")


def memory_has(pid, octets):
    """Is this anywhere in the writable memory of the process?"""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError):
                continue
            while len(data) < end - start:  # a read may be cut
                more = memory.read(end - start - len(data))
                if not more:
                    break
                data += more
            if octets in data:
                return True
    return False


@needs_root
def test_old_secrets_are_gone_after_a_reload(postilion):
    daemon = postilion()
    # Long, and looked for in its middle: freed memory is soon overwritten at its beginning.
    daemon.secret.write_text("first-" * 100 + "MIDDLE-OF-THE-FIRST" + "-first" * 100 + "\n")
    daemon.start()
    worker = daemon.worker_pid()
    assert memory_has(worker, b"MIDDLE-OF-THE-FIRST")
    daemon.secret.write_text("another-secret-for-this-test\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    # The loops let go of the old configuration when they have taken the new one.
    harness.wait_until(lambda: not memory_has(worker, b"MIDDLE-OF-THE-FIRST"), "wiped memory")
    assert memory_has(worker, b"another-secret-for")


@needs_root
def test_key_files_are_wiped_once_they_are_parsed(postilion, tmp_path):
    key = tmp_path / "key.pem"
    harness.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", str(key)])
    # Text in front of the key, so that there is something that later allocations do not overwrite by chance.
    lines = [b"text before the key %05d" % number for number in range(2400)]
    key.write_bytes(b"\n".join(lines) + b"\n" + key.read_bytes())
    key.chmod(0o600)
    daemon = postilion(extra=f"seal {{\n    domain fwd.test\n    selector s1\n    key-file {key}\n}}",
                       authenticate="on").start()
    for pid in (daemon.process.pid, daemon.worker_pid()):
        assert not any(memory_has(pid, line) for line in lines[100::100])


@pytest.mark.parametrize("what, mode, words", [
    ("spool", 0o777, "everybody on this machine can write into"),
    ("state", 0o703, "everybody on this machine can write into"),
    ("srs.secret", 0o622, "everybody on this machine can write"),
])
def test_a_daemon_others_can_change_does_not_start(postilion, what, mode, words):
    daemon = postilion()
    path = daemon.directory / what
    if what != "srs.secret":
        path.mkdir()
    path.chmod(mode)
    result = daemon.command("check", "--no-dns", check=False)
    assert result.returncode == 78 and words in result.stderr, result.stderr
    daemon.start(wait=False)
    assert daemon.process.wait(harness.PATIENCE) == 78
    assert words in daemon.log_text()


@needs_root
def test_a_spool_of_somebody_else_is_told_by_check(unprivileged):
    daemon = unprivileged()
    (daemon.directory / "spool").mkdir(mode=0o700)
    result = daemon.command("check", "--no-dns", check=False)
    assert result.returncode == 78
    assert "belongs to another account than the one that works in it" in result.stderr
    give_away(daemon)
    assert daemon.command("check", "--no-dns").returncode == 0
