"""SRS beside the programs people come from: postsrsd, Mail::SRS (`srs`) and python3-srs.

With one secret, what one side makes the other must take back, and the classic form must be the
same to the byte. A peer that is not there is a failure, not a reason to test less.
"""
import random
import shutil
import socket
import subprocess
import time

import pytest

import harness

SECRET = "interop-secret-0123456789"
DOMAIN = "srs.example.org"
SENDERS = [
    "alice@example.net",
    "Alice.B@Example.NET",
    "a+b-c=d@x.example",
    "a=b==c=@x.example",
    "!#$&'*/?^_`{|}~@x.example",
    "x@a-b.c_d.e.example",
    "jörg@x.example",
    "1234@5.example",
]
CHAINED = [
    "SRS0=abcd=KX=first.example=bob@fwd.example",
    "SRS0+abcd=KX=first.example=Bob@fwd.example",
    "SRS0-ab/d=KX=first.example=b=o=b@fwd.example",
    "SRS1=wxyz=fwd.example==abcd=KX=first.example=bob@second.example",
    "SRS1+wxyz=fwd.example=+abcd=KX=first.example=bob@second.example",
]


def ours(command, *addresses, settings=("format=classic",)):
    """(exit code, lines, complaints) of our own program."""
    done = subprocess.run(
        [harness.program("srs_driver"), f"secret={SECRET}", f"domain={DOMAIN}", *settings, command, *addresses],
        capture_output=True, timeout=harness.PATIENCE)
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode()


def ours_one(command, address, settings=("format=classic",)):
    code, lines, complaints = ours(command, address, settings=settings)
    assert code == 0, complaints
    return lines[0]


class MailSrs:
    """The command of Mail::SRS."""

    def __init__(self, separator="="):
        self.program = shutil.which("srs")
        assert self.program, "the program srs (package srs) is not installed"
        self.separator = separator

    def run(self, *arguments):
        done = subprocess.run([self.program, f"--secret={SECRET}", f"--separator={self.separator}", *arguments],
                              capture_output=True, timeout=harness.PATIENCE)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def forward(self, address):
        return self.run("--forward", f"--alias={DOMAIN}", address)

    def reverse(self, address):
        return self.run("--reverse", address)

    def stop(self):
        pass


class PySrs:
    """The module of python3-srs."""

    def __init__(self, separator="="):
        import SRS
        self.srs = SRS.new(secret=SECRET, separator=separator)

    def forward(self, address):
        return self.srs.forward(address, DOMAIN)

    def reverse(self, address):
        try:
            return self.srs.reverse(address)
        except (AssertionError, ValueError):
            return None

    def stop(self):
        pass


class PostSrsd:
    """The daemon, by its tcp_table protocol."""

    def __init__(self, separator="=", directory=None):
        unpacked = harness.PEERS / "usr" / "sbin" / "postsrsd"
        binary = str(unpacked) if unpacked.exists() else shutil.which("postsrsd")
        assert binary, f"postsrsd is neither at {unpacked} nor installed"
        secret = directory / "postsrsd.secret"
        secret.write_text(SECRET + "\n")
        self.ports = {"forward": harness.free_port(), "reverse": harness.free_port()}
        self.process = subprocess.Popen(
            [binary, "-4", "-l", "127.0.0.1", "-f", str(self.ports["forward"]), "-r", str(self.ports["reverse"]),
             "-s", str(secret), "-d", DOMAIN, "-a", separator])
        harness.wait_until(lambda: self.is_up(), "postsrsd")

    def is_up(self):
        assert self.process.poll() is None, "postsrsd ended"
        try:
            for port in self.ports.values():
                socket.create_connection(("127.0.0.1", port)).close()
            return True
        except ConnectionRefusedError:
            return False

    def ask(self, which, address):
        encoded = "".join(chr(o) if 33 <= o < 127 and o != 37 else f"%{o:02X}" for o in address.encode())
        with socket.create_connection(("127.0.0.1", self.ports[which]), timeout=harness.PATIENCE) as table:
            table.sendall(f"get {encoded}\n".encode())
            answer = table.makefile("rb").readline()
        if not answer.startswith(b"200 "):
            return None
        raw, at, octets = answer[4:].rstrip(b"\n"), 0, bytearray()
        while at < len(raw):
            is_escape = raw[at] == 37
            octets.append(int(raw[at + 1:at + 3], 16) if is_escape else raw[at])
            at += 3 if is_escape else 1
        return octets.decode()

    def forward(self, address):
        return self.ask("forward", address)

    def reverse(self, address):
        return self.ask("reverse", address)

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=[(kind, separator) for kind in ("Mail::SRS", "python3-srs", "postsrsd") for separator in "=+-"],
                ids=lambda p: f"{p[0]}{p[1]}")
def peer(request, tmp_path):
    kind, separator = request.param
    if kind == "postsrsd":
        made = PostSrsd(separator, tmp_path)
    else:
        made = {"Mail::SRS": MailSrs, "python3-srs": PySrs}[kind](separator)
    made.separator_setting = f"separator={separator}"
    yield made
    made.stop()


def same_day(make):
    """Both sides made on one day: once more when midnight came between them."""
    before = int(time.time() // 86400)
    result = make()
    return result if int(time.time() // 86400) == before else make()


def test_the_same_address_to_the_byte(peer):
    settings = ("format=classic", peer.separator_setting)
    for sender in SENDERS + CHAINED:
        mine, theirs = same_day(lambda: (ours_one("forward", sender, settings), peer.forward(sender)))
        assert mine == theirs, sender


def test_theirs_come_back_through_us(peer):
    rewritten = [peer.forward(sender) for sender in SENDERS]
    for settings in (("format=classic",), ("format=modern", f"classic-secret={SECRET}")):
        code, lines, complaints = ours("reverse", *rewritten, settings=settings)
        assert code == 0, complaints
        assert lines == SENDERS


def test_ours_come_back_through_them(peer):
    for sender in SENDERS:
        assert peer.reverse(ours_one("forward", sender, ("format=classic", peer.separator_setting))) == sender


def test_chains_lead_to_the_first_forwarder(peer):
    for sender in CHAINED:
        first = "SRS0" + sender.split("=", 3)[3] if sender.startswith("SRS1=") else None
        theirs, mine = peer.forward(sender), ours_one("forward", sender, ("format=classic", peer.separator_setting))
        back = ours_one("reverse", theirs)
        assert back == peer.reverse(mine)
        assert back.startswith("SRS0") and back.endswith("@fwd.example")
        if sender.startswith("SRS0"):
            assert back == sender
        elif first is not None:
            assert back.startswith("SRS0=abcd=KX=")


def test_changed_case_does_no_harm(peer):
    for sender in ("alice@example.net", "Bob.C@Example.NET"):
        theirs, mine = peer.forward(sender), ours_one("forward", sender)
        for change in (str.lower, str.upper):
            assert ours_one("reverse", change(theirs)).lower() == sender.lower()
            assert peer.reverse(change(mine)).lower() == sender.lower()


def test_changed_octets_are_refused_by_both(peer):
    genuine = peer.forward("alice@example.net")
    for old, new in (("alice", "alicf"), ("example.net", "example.com"), (genuine[5:9], "AAAA")):
        forged = genuine.replace(old, new, 1)
        code, lines, complaints = ours("reverse", forged)
        assert (code, lines) == (65, []) and "forged" in complaints, complaints
        assert peer.reverse(forged) is None


def test_every_day_has_the_same_stamp(monkeypatch):
    """python3-srs at another time: stamps are the same over the whole cycle of 1024 days."""
    srs = PySrs()
    draw = random.Random(1)
    for day in [0, 1, 31, 32, 1023, 1024, 20778] + [draw.randrange(40000) for _ in range(40)]:
        monkeypatch.setattr(time, "time", lambda: day * 86400 + 4711.0)
        theirs = srs.forward("alice@example.net") if day else None
        monkeypatch.undo()
        if theirs is None:
            continue  # python3-srs takes day 0 for "no time given"
        assert ours_one("forward", "alice@example.net", ("format=classic", f"today={day}")) == theirs
        for age, code, word in ((0, 0, ""), (21, 0, ""), (22, 65, "expired"), (400, 65, "expired"), (700, 65, "future")):
            got, lines, complaints = ours("reverse", theirs, settings=("format=classic", f"today={day + age}"))
            assert got == code and word in complaints, (day, age, complaints)


def test_quoted_local_parts_with_python_srs():
    srs = PySrs()
    sender = '"a b"@x.example'
    mine, theirs = same_day(lambda: (ours_one("forward", sender), srs.forward(sender)))
    assert mine == theirs
    assert ours_one("reverse", theirs) == sender
    assert srs.reverse(mine) == sender


def test_migration_keeps_old_bounces(tmp_path):
    """A new secret signs with our own tags; what postsrsd made before still comes back."""
    before = PostSrsd("=", tmp_path)
    try:
        old = before.forward("alice@example.net")
    finally:
        before.stop()
    settings = ("secret=a-new-secret-0123456789", f"classic-secret={SECRET}", f"domain={DOMAIN}")
    run = [harness.program("srs_driver"), *settings]
    done = subprocess.run([*run, "reverse", old], capture_output=True, text=True)
    assert done.stdout.strip() == "alice@example.net"
    new = subprocess.run([*run, "forward", "alice@example.net"], capture_output=True, text=True).stdout.strip()
    assert len(new.split("=")[1]) == 8
    # Without the mark "classic" the four digits are not enough.
    code, _, complaints = ours("reverse", old, settings=("format=modern",))
    assert code == 65 and "forged" in complaints


def test_the_command_tells_its_refusals_apart():
    for address, word in (("alice@example.net", "not an SRS address"), ("SRS0=x@y.example", "malformed"),
                          ("SRS0=AAAAAAAA=AA=b.example=c@x.example", "forged"), ("no address", "bad address")):
        code, lines, complaints = ours("reverse", address, settings=())
        assert (code, lines) == (65, []) and word in complaints, complaints
    code, lines, complaints = ours("forward", f"info@{DOMAIN}", settings=())
    assert (code, lines) == (0, [f"info@{DOMAIN}"]) and "not rewritten" in complaints
    assert ours("frob", "a@b.example", settings=())[0] == 64
    assert ours("forward", settings=())[0] == 64
