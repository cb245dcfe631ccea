"""make bench: postilion beside Debian's Postfix and Exim, in one run on one machine.

Both take 4 KB messages on loopback, rewrite the sender with SRS, and relay to the same sink. Cells are
measured in turn, several rounds of them, and the table shows medians: what else the machine does then
hits both alike, and the ratios stand. The figures are shown, not judged.

Everything runs in a mount and a network namespace of its own: the ports are nobody else's, and the
users Postfix wants exist only there. Where the file system has no journal, the queues lie on a journaled
ext4 in a file, because file-per-message queues behave quite differently without one. Needs root for that,
and because Postfix's master does.

    BENCH_QUICK=1    one short round
    BENCH_MODE=handoff  next hops are asked before clients are answered; otherwise mode store
    BENCH_CELLS=x,y  only these parts: load, open, calls, idle, aliases, auth, crowd, handoff
"""
import ctypes
import fcntl
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

import crowd_cells
import signed_mail
from bench_peers import (BUILD, COUNTS, DISK, PEERS, QUICK, SINK_PORT, WORK, Postfix, PostfixRspamd,
                         Postilion, greets, load, run, wait_for)

SIGNED = WORK / "signed"
PARTS = os.environ.get("BENCH_CELLS", "load,open,calls,idle,aliases,auth,crowd,handoff").split(",")
ROUNDS = 1 if QUICK else 5
SECONDS = 1.0 if QUICK else 2.0
MILLION = 1000000
IDLE = 1000
OPEN_RATE = 300


# --- the place: namespaces, users, disk ---------------------------------------------------------

def enter_namespaces():
    """A private mount table, a network of nothing but loopback, and processes that end with us: what
    goes on is the first process of its own namespace, and the caller waits for it."""
    clone_newns, clone_newnet, clone_newpid = 0x20000, 0x40000000, 0x20000000
    ms_rec, ms_private, pr_set_pdeathsig = 16384, 1 << 18, 1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newns | clone_newnet | clone_newpid) != 0:
        sys.exit(f"bench: no private namespaces here: {os.strerror(ctypes.get_errno())}")
    child = os.fork()
    if child != 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child hears it too
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xff)
    libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
    if libc.mount(b"none", b"/", None, ms_rec | ms_private, None) != 0:
        sys.exit(f"bench: the mount table cannot be made private: {os.strerror(ctypes.get_errno())}")
    run("mount", "-t", "proc", "proc", "/proc")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:  # ip link set lo up
        name = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, 0x8913, name))[1]
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))


def show_rspamd_its_files():
    """rspamd has paths of the installed package in it. False: they cannot be made here."""
    if not (PEERS / "usr/bin/rspamd").exists():
        return False
    return subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={PEERS}/usr/share:/usr/share", "overlay",
                           "/usr/share"], stderr=subprocess.DEVNULL).returncode == 0


def bind_over(path, text):
    """Lays a file of ours over one of the system's, in this namespace only."""
    if not path.exists():
        return  # no resolv.conf: the resolver is asked on 127.0.0.1 then, too
    ours = WORK / ("etc-" + path.name)
    ours.write_text(text)
    ours.chmod(0o644)
    run("mount", "--bind", ours, path.resolve())


def add_users():
    passwd = pathlib.Path("/etc/passwd").read_text()
    group = pathlib.Path("/etc/group").read_text()
    for name, number in (("postfix", 64001), ("postdrop", 64002), ("postsrsd", 64003),
                         ("Debian-exim", 64004)):
        if f"\n{name}:" not in passwd and name != "postdrop":
            passwd += f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
        if f"\n{name}:" not in group:
            group += f"{name}:x:{number}:\n"
    bind_over(pathlib.Path("/etc/passwd"), passwd)
    bind_over(pathlib.Path("/etc/group"), group)
    bind_over(pathlib.Path("/etc/resolv.conf"), "nameserver 127.0.0.1\n")


def has_journal(path):
    """True unless the file system is an ext4 without a journal."""
    number = os.stat(path).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind, source = fields[fields.index("-") + 1:fields.index("-") + 3]
        if fields[2] == device and kind == "ext4":
            task = pathlib.Path("/sys/fs/ext4", os.path.basename(os.path.realpath(source)), "journal_task")
            return not (task.exists() and "none" in task.read_text())
    return True


def prepare_disk():
    """Where the queues lie; says what it is."""
    shutil.rmtree(DISK, ignore_errors=True)
    DISK.mkdir(parents=True)
    if has_journal(WORK):
        return "the file system of the build"
    image = WORK / "disk.img"
    part = WORK / "disk.img.part"
    try:
        if not image.exists():
            run("dd", "if=/dev/zero", f"of={part}", "bs=1M", "count=1536", "oflag=direct", "status=none")
            part.rename(image)
        run("/sbin/mkfs.ext4", "-q", "-F", image)
        run("mount", "-o", "loop", image, DISK)
    except (OSError, subprocess.CalledProcessError) as error:
        part.unlink(missing_ok=True)
        return f"the file system of the build, WITHOUT A JOURNAL ({error})"
    return "ext4 with a journal, in a preallocated file"


# --- the world around them ----------------------------------------------------------------------

def start_resolver():
    """Local data only: the client's name, and what the domains of the signed mail publish."""
    zone = signed_mail.prepare(SIGNED)
    config = WORK / "unbound.conf"
    config.write_text(f"""server:
    interface: 127.0.0.1
    port: 53
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{WORK}"
    pidfile: ""
    use-syslog: no
    logfile: ""
    num-threads: 1
    module-config: "iterator"
    local-zone: "." static
    local-zone: "127.in-addr.arpa." redirect
    local-data: '127.in-addr.arpa. 3600 IN PTR mail.sender.test.'
    local-zone: "2.0.192.in-addr.arpa." redirect
    local-data: '2.0.192.in-addr.arpa. 3600 IN PTR mail.sender.test.'
    local-zone: "test." static
{zone}""" + "remote-control:\n    control-enable: no\n")
    return subprocess.Popen([PEERS / "usr/sbin/unbound", "-d", "-c", config], stdin=subprocess.DEVNULL,
                            stdout=open(WORK / "unbound.log", "wb"), stderr=subprocess.STDOUT)


def start_sink():
    log = WORK / "sink.log"
    process = subprocess.Popen([BUILD / "load_sink", COUNTS, str(SINK_PORT), "fwd.test"], stderr=open(log, "wb"))
    wait_for(lambda: greets(SINK_PORT), "the sink", log)
    return process


# --- what is measured ---------------------------------------------------------------------------

def measure_load(peers, cells, figures):
    rates = {}
    for peer in peers:  # a first run, not counted: caches warm, rates known
        for sessions, connection in cells:
            count = 150 if peer.name == "postfix" else 1000
            rates[peer.name, sessions, connection] = load(
                peer, "-c", str(sessions), "-n", str(count), "-k", str(connection))["rate"]
    for _ in range(ROUNDS):
        for sessions, connection in cells:
            for peer in peers:
                key = peer.name, sessions, connection
                count = max(100, min(60000, int(rates[key] * SECONDS)))
                got = load(peer, "-c", str(sessions), "-n", str(count), "-k", str(connection))
                rates[key] = got["rate"]
                figures.setdefault(("load", *key), []).append(got)


def measure_open(peers, figures):
    count = int(OPEN_RATE * (3 if QUICK else 4))
    for _ in range(ROUNDS):
        for peer in peers:
            figures.setdefault(("open", peer.name), []).append(
                load(peer, "-c", "200", "-q", str(OPEN_RATE), "-n", str(count)))


def measure_calls(peer, sessions, count):
    """System calls a message, of all threads and processes."""
    output = WORK / "strace"
    output.unlink(missing_ok=True)
    attach = [word for pid in sorted(peer.family()) for word in ("-p", str(pid))]
    trace = subprocess.Popen(["strace", "-f", "-c", "-o", output, *attach], stderr=subprocess.DEVNULL)
    time.sleep(1)
    load(peer, "-c", str(sessions), "-n", str(count))
    trace.send_signal(signal.SIGINT)
    trace.wait(20)
    calls = {}
    for line in output.read_text().splitlines() if output.exists() else []:
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3]) / count
    return calls


def measure_idle(peer):
    holder = subprocess.Popen(
        [BUILD / "load_generator", "-m", COUNTS, "-p", str(peer.port), "-I", str(IDLE), "-t", "20"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    opened = json.loads(holder.stdout.readline())["idle"]
    resident = peer.resident()
    holder.stdin.close()
    holder.wait(20)
    return opened, resident


def measure_aliases():
    """A million aliases: `check`, and from the start to the first greeting."""
    peer = Postilion("million", 2528, MILLION).configure()
    config = peer.directory / "postilion.conf"
    checks, starts = [], []
    for _ in range(1 if QUICK else 3):
        begin = time.monotonic()
        run(BUILD / "postilion", "check", "-c", config, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checks.append(time.monotonic() - begin)
        begin = time.monotonic()
        peer.start()
        starts.append(time.monotonic() - begin)
        resident = peer.resident()
        peer.stop()
    return statistics.median(checks), statistics.median(starts), resident


def refuses_forgery(peer):
    """Unsigned, from an address that the author's domain (p=reject) does not name."""
    with socket.create_connection(("127.0.0.1", peer.port), 10) as connection:
        reader = connection.makefile("rb")
        connection.sendall(peer.first_line if isinstance(peer, Postfix) else b"")
        for line in (b"", b"EHLO mail.sender.test\r\n", b"MAIL FROM:<a@nobody.test>\r\n",
                     b"RCPT TO:<u1@fwd.test>\r\n", b"DATA\r\n", signed_mail.unsigned("sender1.test") + b".\r\n"):
            connection.sendall(line)
            answer = reader.readline()
            while answer[3:4] == b"-":
                answer = reader.readline()
    return answer[:1] == b"5"


def measure_auth(figures, cells):
    """Signed mail: us without authentication and with it, and Postfix with rspamd."""
    peers = [Postilion("signed", 2529), Postilion("authenticated", 2530, authenticate="on")]
    if show_rspamd_its_files():
        peers.append(PostfixRspamd())
    notes = [] if len(peers) == 3 else ["rspamd could not be shown its files: left out."]
    try:
        for peer in peers:
            peer.configure().start()
            if peer.name != "signed" and not refuses_forgery(peer):
                notes.append(f"{peer.name} took a forged message: its figures mean nothing.")
        rates = {}
        for turn in range(ROUNDS + 1):  # the first is not counted: caches warm, rates known
            for sessions, connection in cells:
                for peer in peers:
                    key = peer.name, sessions, connection
                    count = max(100, min(60000, int(rates.get(key, 75 if peer.name == "postfix-rspamd" else 500)
                                                    * SECONDS)))
                    got = load(peer, "-M", str(SIGNED), "-c", str(sessions), "-n", str(count), "-k", str(connection))
                    rates[key] = got["rate"]
                    if turn > 0:
                        figures.setdefault(("auth", *key), []).append(got)
    finally:
        for peer in peers:
            peer.stop()
    return " ".join(notes)


# --- what is shown ------------------------------------------------------------------------------

def median(figures, key, field, part=None):
    values = [got[field][part] if part else got[field] for got in figures.get(key, [])]
    return statistics.median(values) if values else float("nan")


def show_load(figures, cells):
    targets = {1: "3x", 20: "10x", 100: "10x"}
    for sessions, connection in cells:
        both = [("load", name, sessions, connection) for name in ("postilion", "postfix")]
        where = f"{sessions} session{'s' if sessions > 1 else ''}"
        if connection > 1:
            where += f", {connection} a connection"
        ours, theirs = (median(figures, key, "rate") for key in both)
        target = targets[sessions] if connection == 1 else ""
        best = [max(got["rate"] for got in figures[key]) for key in both]
        print(f"| messages/s, {where} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.1f}x | {target} |")
        print(f"| best round, {where} | {best[0]:,.0f} | {best[1]:,.0f} | {best[0] / best[1]:.1f}x | |")
        ours, theirs = (median(figures, key, "cpu") for key in both)
        print(f"| CPU s per 1,000, {where} | {ours:.3f} | {theirs:.2f} | 1/{theirs / ours:.1f} | 1/12 |")
        for part in ("p50", "p99"):
            ours, theirs = (median(figures, key, "accept_ms", part) for key in both)
            print(f"| final dot {part} ms, {where} | {ours:.1f} | {theirs:.1f} | 1/{theirs / ours:.1f} | |")
        ours, theirs = (median(figures, key, "peak") / 1048576 for key in both)
        print(f"| peak resident MiB, {where} | {ours:.0f} | {theirs:.0f} | 1/{theirs / ours:.1f} | |")


def show_open(figures):
    for part, target in (("p50", ""), ("p99", "< 10 ms")):
        ours, theirs = (median(figures, ("open", name), "accept_ms", part) for name in ("postilion", "postfix"))
        print(f"| final dot {part} ms at {OPEN_RATE}/s | {ours:.2f} | {theirs:.1f} | 1/{theirs / ours:.1f} | {target} |")
    ours, theirs = (median(figures, ("open", name), "cpu") for name in ("postilion", "postfix"))
    print(f"| CPU s per 1,000 at {OPEN_RATE}/s | {ours:.3f} | {theirs:.2f} | 1/{theirs / ours:.1f} | |")


def show_calls(calls):
    if not all(calls.values()):
        return "System calls: strace could not attach here."
    for sessions in sorted({sessions for _, sessions in calls}):
        ours, theirs = calls["postilion", sessions], calls["postfix", sessions]
        print(f"| system calls a message, {sessions} sessions | {sum(ours.values()):.1f} | {sum(theirs.values()):.0f} | "
              f"1/{sum(theirs.values()) / sum(ours.values()):.0f} | <= 40 |")
    often = sorted(ours.items(), key=lambda item: -item[1])[:14]
    return "Most frequent of postilion's: " + ", ".join(f"{name} {count:.1f}" for name, count in often) + "."


def show_auth(figures, cells):
    print("\nSigned mail of 20 domains; SPF, DKIM, DMARC; beside Postfix with rspamd, and beside ourselves without:\n")
    print("| | postilion | Postfix, rspamd | ratio | target | postilion, off | on/off | target |\n"
          "|---|--:|--:|--:|--:|--:|--:|--:|")
    for sessions, connection in cells:
        names = ("authenticated", "postfix-rspamd", "signed")
        keys = [("auth", name, sessions, connection) for name in names]
        where = f"{sessions} session{'s' if sessions > 1 else ''}"
        if connection > 1:
            where += f", {connection} a connection"
        on, theirs, off = (median(figures, key, "rate") for key in keys)
        print(f"| messages/s, {where} | {on:,.0f} | {theirs:,.0f} | {on / theirs:.1f}x | 8x | {off:,.0f} | "
              f"{on / off:.2f} | |")
        on, theirs, off = (median(figures, key, "cpu") for key in keys)
        print(f"| CPU s per 1,000, {where} | {on:.3f} | {theirs:.2f} | 1/{theirs / on:.1f} | | {off:.3f} | "
              f"{on / off:.2f} | 1.8 |")
        on, theirs, off = ([median(figures, key, "accept_ms", part) for part in ("p50", "p99")] for key in keys)
        print(f"| final dot p50 / p99 ms, {where} | {on[0]:.1f} / {on[1]:.1f} | {theirs[0]:.1f} / {theirs[1]:.1f} | | | "
              f"{off[0]:.1f} / {off[1]:.1f} | | |")


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main():
    if os.getuid() != 0:
        sys.exit("bench: needs root: Postfix's master runs only as root, and the namespaces, the users in them\n"
                 "and the journaled file system are root's to make. Run: sudo make bench")
    for program in (BUILD / "postilion", BUILD / "load_generator", PEERS / "usr/lib/postfix/sbin/master"):
        if not program.exists():
            sys.exit(f"bench: {program} is missing: run it by make bench")
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, max(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    os.nice(-15)  # all that is measured, alike: what else runs here disturbs less
    began = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    enter_namespaces()
    add_users()
    disk = prepare_disk()
    helpers = [start_resolver(), start_sink()]
    peers = [Postilion().configure().start(), Postfix().configure().start()]
    ours = peers[0]
    figures, notes = {}, []
    cells = [(1, 1), (20, 1), (100, 1)] if QUICK else [(1, 1), (20, 1), (100, 1), (20, 10)]
    try:
        print(f"{processor()}, {os.cpu_count()} CPUs, Linux {platform.release()}; "
              f"queues on {disk}; {ROUNDS} round{'s' if ROUNDS > 1 else ''}; load average {os.getloadavg()[0]:.1f}\n")
        if not set(PARTS) <= {"auth", "crowd", "handoff"}:
            print("| | postilion | Postfix | ratio | target |\n|---|--:|--:|--:|--:|", flush=True)
        if "load" in PARTS:
            measure_load(peers, cells, figures)
            show_load(figures, cells)
        if "open" in PARTS:
            measure_open(peers, figures)
            show_open(figures)
        if "calls" in PARTS:
            notes.append(show_calls({(peer.name, sessions): measure_calls(peer, sessions, 100 if QUICK else 200)
                                     for sessions in (4, 20) for peer in peers}))
        if "idle" in PARTS:
            opened, resident = measure_idle(ours)
            print(f"| resident MiB, {opened:,} idle connections | {resident / 1048576:.1f} | | | < 64 |")
        if "aliases" in PARTS:
            check, start, resident = measure_aliases()
            print(f"| a million aliases: check, seconds | {check:.2f} | | | |")
            print(f"| a million aliases: start to greeting, seconds | {start:.2f} | | | < 1.5 |")
            print(f"| a million aliases: resident MiB | {resident / 1048576:.0f} | | | |")
        if "auth" in PARTS:
            signed_cells = [(20, 1)] if QUICK else [(1, 1), (20, 1), (20, 10)]
            notes.append(measure_auth(figures, signed_cells))
            show_auth(figures, signed_cells)
        if "crowd" in PARTS:
            crowd_cells.show_crowd()
        if "handoff" in PARTS:
            notes.append(crowd_cells.show_handoff(ROUNDS, SECONDS))
        wrong = [(key, got["first_error"]) for key, all_ in figures.items() for got in all_ if not got["good"]]
        notes.append(f"Runs in which not every message came exactly once with an SRS sender: {len(wrong)}"
                     + (f": {wrong}." if wrong else "."))
        print("\n" + "\n".join(note for note in notes if note) + f"\nTook {time.monotonic() - began:.0f} s.")
    finally:
        for peer in peers:
            peer.stop()
        for helper in helpers:
            helper.terminate()


if __name__ == "__main__":
    main()
