"""What `make install` lays out: nothing of the operator's is touched, and each file does what it is for."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import harness
from harness import Client

PROGRAM = pathlib.Path(harness.program())
ORDINARY = pytest.mark.skipif("san" in harness.BUILD.name, reason="sanitizers bring calls and libraries of their own")


def make(target, root, *variables):
    result = subprocess.run(["make", "--no-print-directory", "-o", str(PROGRAM), target, f"BUILD={harness.BUILD}",
                             f"PROGRAM={PROGRAM}", f"DESTDIR={root}", *variables],
                            cwd=harness.ROOT, capture_output=True, text=True, timeout=harness.PATIENCE)
    assert result.returncode == 0, result.stdout + result.stderr


def files_in(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    make("install", root, "PREFIX=/usr")
    return root


def test_what_is_installed(root):
    assert files_in(root) == {
        "usr/sbin/postilion", "usr/share/man/man1/postilion.1", "usr/share/man/man1/postilion-queue.1",
        "usr/share/man/man5/postilion.conf.5", "usr/lib/systemd/system/postilion.service",
        "usr/lib/systemd/system/postilion.socket", "usr/lib/sysusers.d/postilion.conf",
        "usr/lib/tmpfiles.d/postilion.conf", "usr/share/bash-completion/completions/postilion",
        "etc/postilion/postilion.conf.sample", "etc/fail2ban/filter.d/postilion.conf",
        "usr/share/doc/postilion/README.md", "usr/share/doc/postilion/CHANGELOG.md",
        "usr/share/doc/postilion/LOGGING.md", "usr/share/doc/postilion/OPERATING.md", "usr/share/doc/postilion/LICENSE",
        "usr/share/doc/postilion/MIGRATING.md", "usr/share/doc/postilion/INNER-SERVER.md", "usr/share/doc/postilion/METRICS.md",
        "usr/share/doc/postilion/examples/prometheus-rules.yml", "usr/share/doc/postilion/examples/grafana-dashboard.json"}
    assert harness.run([str(root / "usr/sbin/postilion"), "version"]).returncode == 0


def test_a_configuration_is_neither_overwritten_nor_removed(root):
    mine = root / "etc/postilion/postilion.conf"
    mine.write_text("mine\n")
    make("install", root, "PREFIX=/usr")
    assert mine.read_text() == "mine\n"
    make("uninstall", root, "PREFIX=/usr")
    assert files_in(root) == {"etc/postilion/postilion.conf"}


def test_nothing_stays(root):
    make("uninstall", root, "PREFIX=/usr")
    assert files_in(root) == set()
    assert not (root / "etc/postilion").exists() and not (root / "usr/share/doc/postilion").exists()


def test_another_prefix(tmp_path):
    make("install", tmp_path / "root", "PREFIX=/opt/mail", "SYSCONFDIR=/opt/etc")
    assert all(name.startswith(("opt/mail/", "opt/etc/")) for name in files_in(tmp_path / "root"))
    unit = (tmp_path / "root/opt/mail/lib/systemd/system/postilion.service").read_text()
    assert "ExecStart=/opt/mail/sbin/postilion serve -c /opt/etc/postilion/postilion.conf\n" in unit
    assert "/usr/" not in unit and "/etc/postilion" not in unit.replace("/opt/etc/postilion", "")


# ---- systemd ----

def test_systemd_finds_nothing_wrong_with_the_units(root):
    for name in ("network-online.target", "nss-lookup.target", "sysinit.target", "basic.target", "shutdown.target",
                 "sockets.target", "network.target", "local-fs.target", "-.mount", "-.slice", "system.slice"):
        shipped = pathlib.Path("/lib/systemd/system") / name
        if shipped.exists():
            shutil.copy(shipped, root / "usr/lib/systemd/system" / name)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin").mkdir()
    shutil.copy("/bin/kill", root / "usr/bin/kill")
    result = harness.run(["systemd-analyze", "verify", f"--root={root}", "--man=no", "--recursive-errors=no",
                          "postilion.service", "postilion.socket"])
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_unit_is_locked_down(root):
    unit = root / "usr/lib/systemd/system/postilion.service"
    result = harness.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)])
    assert result.returncode == 0, result.stdout[-500:] + result.stderr


def calls_allowed(unit):
    """The system calls the unit leaves, with the groups resolved; systemd itself is not at hand in tests."""
    def resolve(word):
        if not word.startswith("@"):
            return {word}
        listing = harness.run(["systemd-analyze", "syscall-filter", word]).stdout
        words = [line.strip() for line in listing.splitlines()[1:]]
        return set().union(*(resolve(name) for name in words if name and not name.startswith("#")))
    allowed = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit.read_text()):
        named = set().union(*map(resolve, line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed | resolve("@default")


@ORDINARY
def test_the_unit_leaves_the_system_calls_that_are_made(root, world, tmp_path):
    """A whole life under strace: start, a message, a reload, a restart on the same sockets, the end."""
    hop = world.hop()
    trace = tmp_path / "trace"
    daemon = world.start(is_started=False, listen=f"127.0.0.1:{harness.lasting_port()}", sandbox="on")
    daemon.start(wrapper=("strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace)))
    world.send()
    hop.wait(1)
    assert daemon.command("reload").returncode == 0
    daemon.wait_log("reloaded")
    assert daemon.command("restart").returncode == 0
    daemon.wait_log("ready", count=2)
    world.send()
    hop.wait(2)
    os.kill(child_of(daemon.process.pid), signal.SIGTERM)  # the process itself is strace
    daemon.process.wait(harness.PATIENCE)
    made = set(re.findall(r"(?m)^\d+ +([a-z_0-9]+)\(", trace.read_text()))
    assert {"execve", "accept4", "seccomp"} <= made, made
    if os.getuid() == 0:
        made.discard("fchown")  # of SQLite, for root only: whose the files beside a database are
    assert made - calls_allowed(root / "usr/lib/systemd/system/postilion.service") == set()


def child_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


# ---- manual pages ----

def test_the_manual_pages_are_clean(root):
    pages = sorted(str(path) for path in (root / "usr/share/man").rglob("*.[15]"))
    result = harness.run(["mandoc", "-T", "lint", *pages])
    said = [line for line in result.stdout.splitlines() if "referenced manual not found" not in line]
    assert len(pages) == 3 and said == [] and result.stderr == ""
    names = {pathlib.Path(page).name for page in pages}
    for page in pages:
        for name, section in re.findall(r"\bXr ([a-z.-]+) (\d)", pathlib.Path(page).read_text()):
            assert f"{name}.{section}" in names, page


def commands():
    """{name: what `postilion help NAME` prints}"""
    listing = harness.run([str(PROGRAM), "help"]).stdout
    names = re.findall(r"(?m)^  ([a-z][a-z-]*)\b", listing)
    assert {"serve", "check", "queue"} <= set(names)
    return {name: harness.run([str(PROGRAM), "help", name]).stdout for name in names}


def test_every_command_and_its_options_are_in_the_manual(root):
    directory = root / "usr/share/man/man1"
    text = {name: harness.run(["mandoc", "-T", "utf8", str(directory / name)]).stdout
            for name in ("postilion.1", "postilion-queue.1")}
    plain = {name: re.sub(".\b", "", page) for name, page in text.items()}
    source = (directory / "postilion.1").read_text()
    for name, usage in commands().items():
        assert re.search(rf"(?m)^\.It Ic {name}\b", source), f"postilion(1) does not know {name}"
        page = plain["postilion-queue.1" if name == "queue" else "postilion.1"]
        for option in re.findall(r"--[a-z-]+", usage):
            assert option in page, f"{name} {option}"


# ---- completion ----

def complete(root, *words):
    """What bash offers behind these words; the last one is being typed."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _postilion; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    result = subprocess.run(["bash", "-c", script, "bash", str(root / "usr/share/bash-completion/completions/postilion"),
                             str(PROGRAM), *words], capture_output=True, text=True, timeout=harness.PATIENCE)
    assert result.stderr == "", result.stderr
    return set(result.stdout.split())


def test_completion_offers_every_command(root):
    known = commands()
    assert complete(root, "") == set(known)
    assert complete(root, "sta") == {"status"}
    assert complete(root, "-c", "somewhere", "sta") == {"status"}
    assert complete(root, "help", "") == set(known)


def test_completion_offers_options_and_words(root):
    for name, usage in commands().items():
        assert set(re.findall(r"--[a-z-]+", usage)) <= complete(root, name, "--"), name
    assert complete(root, "srs", "") == {"forward", "reverse", "secret"}
    assert complete(root, "queue", "re") == {"retry", "release"}
    assert complete(root, "pause", "") == {"inbound", "outbound"}
    assert complete(root, "key", "") == {"make", "show"}
    assert complete(root, "key", "make", "s1", "--type", "e") == {"ed25519"}
    assert complete(root, "probe", "x.test", "--tls", "o") == {"off", "opportunistic"}
    assert "delivery.retry" in complete(root, "explain-option", "delivery.")


def test_completion_of_files(root, tmp_path):
    (tmp_path / "one.conf").write_text("")
    assert complete(root, "check", "-c", f"{tmp_path}/on") == {f"{tmp_path}/one.conf"}


# ---- fail2ban ----

@pytest.fixture
def fail2ban(root):
    tool = harness.PEERS / "usr/bin/fail2ban-regex"
    if not tool.exists():
        pytest.skip("fail2ban is not unpacked (make peers)")
    configuration = root / "etc/fail2ban"
    for path in (harness.PEERS / "etc/fail2ban").iterdir():
        if path.is_file():
            shutil.copy(path, configuration)

    def match(lines, mode="normal"):
        log = root / "log"
        log.write_text("".join(line + "\n" for line in lines))
        result = subprocess.run(
            ["/usr/bin/python3", str(tool), "-c", str(configuration), "--out", "ip", str(log), f"postilion[mode={mode}]"],
            env={**os.environ, "PYTHONPATH": str(harness.PEERS / "usr/lib/python3/dist-packages")},
            capture_output=True, text=True, timeout=harness.PATIENCE)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout.split()
    return match


def test_fail2ban_finds_who_misbehaves_in_a_log_of_ours(fail2ban, world):
    daemon = world.start(limits="errors 3")
    world.hop()
    lines = {}
    for name, source, recipient in (("relay", "127.0.0.11", "a@elsewhere.test"),
                                    ("forger", "127.0.0.12", "SRS0=AAAAAAAA=AA=sender.test=anna@srs.fwd.test"),
                                    ("guesser", "127.0.0.13", "nobody@fwd.test")):
        sender = "" if name == "forger" else "anna@sender.test"
        with Client(daemon.port, source=source) as client:
            client.hello().expect(f"MAIL FROM:<{sender}>", 250)
            assert client.command(f"RCPT TO:<{recipient}>")[0] == 550
            client.command("QUIT")
        lines[name] = daemon.wait_log("recipient-refused", client=source).text
    with Client(daemon.port, source="127.0.0.14") as client:
        client.hello()
        with pytest.raises(ConnectionError):
            for _ in range(9):
                client.command("NONSENSE")
    daemon.wait_log("session-end", client="127.0.0.14", why="too-many-errors")
    with Client(daemon.port, source="127.0.0.15") as client:  # an honest one, with words that look like fields
        client.expect("EHLO x.why=relay-denied", 250)
        client.message("anna@sender.test", "info@fwd.test", harness.a_message("why=relay-denied client=127.0.0.99"))
        client.command("QUIT")
    daemon.wait_log("session-end", client="127.0.0.15")
    written = [line.text for line in daemon.log()]
    assert fail2ban(written) == ["127.0.0.11", "127.0.0.12", "127.0.0.14"]
    assert sorted(fail2ban(written, "aggressive")) == [f"127.0.0.{n}" for n in (11, 12, 13, 14)]
    # as the journal hands them over
    assert fail2ban(["mx postilion[42]: " + line for line in written if "ts=" in line]) == ["127.0.0.11", "127.0.0.12", "127.0.0.14"]


# ---- the package; `make deb-test` installs it into a clean system ----

@pytest.fixture
def package(tmp_path):
    (tmp_path / "build").mkdir()
    result = subprocess.run(["make", "--no-print-directory", "-o", str(PROGRAM), "-o", "deps-build", "deb",
                             f"BUILD={tmp_path}/build", f"PROGRAM={PROGRAM}"],
                            cwd=harness.ROOT, capture_output=True, text=True, timeout=harness.PATIENCE)
    assert result.returncode == 0, result.stdout + result.stderr
    return str(next((tmp_path / "build").glob("postilion_*.deb")))


def test_the_package_stands_beside_another_mta(package):
    for field in ("Provides", "Conflicts", "Replaces", "Breaks"):
        assert harness.run(["dpkg-deb", "-f", package, field]).stdout.strip() == "", field
    listing = harness.run(["dpkg-deb", "-c", package]).stdout
    assert "./usr/sbin/postilion\n" in listing
    assert "sendmail" not in listing and "mailq" not in listing and "./etc/aliases" not in listing
    assert "libsqlite3-0" in harness.run(["dpkg-deb", "-f", package, "Depends"]).stdout


def test_the_package_is_sealed(package, tmp_path):
    harness.run(["dpkg-deb", "-R", package, str(tmp_path / "content")])
    root = tmp_path / "content"
    assert (root / "DEBIAN/conffiles").read_text().splitlines() == ["/etc/fail2ban/filter.d/postilion.conf"]
    summed = {line.split("  ", 1)[1] for line in (root / "DEBIAN/md5sums").read_text().splitlines()}
    assert summed == {name for name in files_in(root) if not name.startswith("DEBIAN/")}
    assert harness.run(["md5sum", "-c", "--quiet", "DEBIAN/md5sums"], cwd=root).returncode == 0
    for script in ("postinst", "prerm", "postrm"):
        assert harness.run(["sh", "-n", str(root / "DEBIAN" / script)]).returncode == 0


@ORDINARY
def test_lintian_has_nothing_to_say(package):
    result = harness.run(["lintian", "--allow-root", "--fail-on", "error,warning", package])
    assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr
