"""Installs the package into a clean Debian, beside another MTA, and forwards a message from there.

    deb_test.py PACKAGE.deb

Needs root, debootstrap and Debian's archive; says why it skips otherwise. The system is chroot'ed, its
sockets are on this machine's loopback. The last line says what was shown.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
CONFIG = """\
hostname mx.fwd.test
listen 127.0.0.1:{port}
resolver 127.0.0.1:{resolver}
srs {{
    domain srs.fwd.test
    secret-file /etc/postilion/srs.secret
}}
domain fwd.test {{
    forward postmaster to admin@dest.test
    forward abuse      to admin@dest.test
    forward info       to anna@dest.test
}}
policy {{
    authenticate off
}}
delivery {{
    port {hop}
}}
allow-next-hop 127.0.0.0/8
"""


def skip(why):
    print(f"deb-test skipped: {why}")
    sys.exit(77)


class Root:
    """A Debian of its own in a directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def make(self):
        if os.getuid() != 0 or shutil.which("debootstrap") is None:
            skip("it needs root and debootstrap")
        made = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(self.directory), MIRROR],
                              capture_output=True, text=True)
        if made.returncode != 0:
            skip("debootstrap failed: " + (made.stdout + made.stderr).strip().splitlines()[-1])

    def run(self, *words, check=True):
        result = subprocess.run(["chroot", str(self.directory), *words], capture_output=True, text=True,
                                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                                     "LC_ALL": "C"})
        if check and result.returncode != 0:
            raise AssertionError(f"{words}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def stat(self, path):
        return self.run("stat", "-c", "%U:%G %a", path).strip()


def install(root, package):
    """No service starts while packages are unpacked; another MTA is there first."""
    policy = root.directory / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    shutil.copy("/etc/resolv.conf", root.directory / "etc/resolv.conf")
    shutil.copy(package, root.directory / "postilion.deb")
    root.run("apt-get", "-q", "-y", "--no-install-recommends", "install", "nullmailer")
    root.run("apt-get", "-q", "-y", "--no-install-recommends", "install", "/postilion.deb")
    installed = root.run("dpkg-query", "-W", "-f", "${Package} ${Status}\n")
    for name in ("nullmailer", "postilion"):
        assert f"{name} install ok installed" in installed, name
    assert "nullmailer" in root.run("dpkg", "-S", "/usr/sbin/sendmail")
    assert root.stat("/etc/postilion/srs.secret") == "root:postilion 640"
    assert root.stat("/var/spool/postilion") == "postilion:postilion 700"
    assert root.stat("/var/lib/postilion") == "postilion:postilion 700"
    assert not (root.directory / "etc/postilion/postilion.conf").exists()


def identities(pid):
    """The user ids of a process and of its children."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    ids = {line.split()[1] for line in status.splitlines() if line.startswith("Uid:")}
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        ids |= identities(child)
    return ids


def forward(root, work):
    """The installed program, its own configuration directory, account and secret; one message."""
    hop = harness.NextHop(harness.World.DEST)
    resolver = harness.Unbound(work / "unbound", harness.World.ZONE).start()
    port = harness.lasting_port()
    (root.directory / "etc/postilion/postilion.conf").write_text(
        CONFIG.format(port=port, resolver=resolver.port, hop=hop.port))
    root.run("install", "-d", "-o", "postilion", "-g", "postilion", "-m", "750", "/run/postilion")
    root.run("postilion", "check", "--no-dns")
    log = work / "log"
    daemon = subprocess.Popen(["chroot", str(root.directory), "/usr/sbin/postilion", "serve"],
                              stdout=log.open("wb"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: "event=ready" in log.read_text() or daemon.poll() is not None, "the daemon")
        assert daemon.poll() is None, log.read_text()
        with harness.Client(port) as client:
            code, lines = client.hello().message("anna@sender.test", "info@fwd.test", harness.a_message())
            assert code == 250, lines
        message = hop.wait(1)[0]
        assert message.sender.startswith("SRS0=") and message.sender.endswith("@srs.fwd.test"), message.sender
        assert root.run("postilion", "srs", "reverse", message.sender).strip() == "anna@sender.test"
        assert root.run("postilion", "status").startswith("postilion")
        account = root.run("id", "-u", "postilion").strip()
        assert account != "0" and identities(daemon.pid) == {account}, identities(daemon.pid)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(harness.PATIENCE)
        resolver.stop()
        hop.stop()
    assert daemon.returncode == 0, log.read_text()


def upgrade_and_purge(root):
    """The same package again leaves the secret alone; a purge leaves nothing but the operator's own files."""
    secret = (root.directory / "etc/postilion/srs.secret").read_text()
    assert len(secret.strip()) >= 40
    root.run("dpkg", "-i", "/postilion.deb")
    assert (root.directory / "etc/postilion/srs.secret").read_text() == secret
    root.run("dpkg", "--purge", "postilion")
    left = {path.name for path in (root.directory / "etc/postilion").iterdir()}
    assert left == {"postilion.conf"}, left
    assert not (root.directory / "var/lib/postilion").exists()
    assert not (root.directory / "usr/sbin/postilion").exists()


def main():
    package = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="postilion-deb-") as directory:
        work = pathlib.Path(directory)
        work.chmod(0o755)
        root = Root(os.environ.get("DEB_TEST_ROOT", work / "root"))
        if not (root.directory / "etc/debian_version").exists():
            root.make()
        install(root, package)
        forward(root, work)
        upgrade_and_purge(root)
    print("deb-test passed: installed beside another MTA, forwarded a message as its own user, upgraded, purged")


if __name__ == "__main__":
    main()
