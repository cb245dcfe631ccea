"""Cells of make bench with very many clients (load_clients), and of mode handoff beside Exim's cutthrough."""
import json
import statistics
import subprocess

from bench_peers import BUILD, COUNTS, QUICK, SINK_PORT, WORK, EximCut, Peer, Postilion, PostfixCrowd, load, run

CROWDS = (1000,) if QUICK else (1000, 5000, 10000)
PROCESSES = 100 if QUICK else 1000  # clients of a peer that has a process for each
NOOPS = 500


class Crowd:
    def __init__(self, peer):
        self.process = subprocess.Popen([BUILD / "load_clients", str(peer.port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)

    def begin(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def end(self):
        return json.loads(self.process.stdout.readline())

    def do(self, command, count=None):
        self.begin(command)
        result = self.end()
        if result["bad"] or count not in (None, result["good"]):
            raise RuntimeError(f"{command}: {result}")
        return result


def make_pair():
    certificate, key = WORK / "crowd.pem", WORK / "crowd.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
        "/CN=mx.fwd.test", "-addext", "subjectAltName=DNS:mx.fwd.test", "-days", "30", "-keyout", key, "-out",
        certificate, stderr=subprocess.DEVNULL)
    key.chmod(0o644)  # Exim reads it when it is not root any more; it is nobody's
    return certificate, key


# --- very many ----------------------------------------------------------------------------------

def idle_kib(peer, counts, is_secure):
    """{clients: KiB each}, shared pages counted once."""
    figures = {}
    with Crowd(peer) as crowd:
        crowd.do("visit 20 0")
        crowd.do("shake 20 4 full")
        before, there = peer.proportional(), 0
        for count in counts:
            more = count - there
            crowd.do(f"open {0 if is_secure else more} {more if is_secure else 0}", more)
            there = count
            figures[count] = (peer.proportional() - before) / 1024 / count
        crowd.do("quit", there)
    return figures


def shakes(peer, count, kind):
    """(TLS sessions a second, CPU ms of the peer each, how many were resumed)"""
    with Crowd(peer) as crowd:
        crowd.do("shake 20 4 full")
        before = peer.cpu()
        got = crowd.do(f"shake {count} 20 {kind}", count)
        return count / got["seconds"], (peer.cpu() - before) * 1000 / count, got["resumed"] / count


def noops(peer, is_busy):
    """NOOPs of one client, beside mail of 20 others when that is wanted."""
    with Crowd(peer) as crowd:
        crowd.do("open 1 0")
        if not is_busy:
            return crowd.do(f"noop {NOOPS} 2", NOOPS)
        rate = load(peer, "-c", "20", "-n", "100")["rate"]
        sender = subprocess.Popen([BUILD / "load_generator", "-m", COUNTS, "-p", str(peer.port), "-c", "20", "-n",
                                   str(max(100, int(rate * NOOPS * 4 / 1000)))], stdout=subprocess.DEVNULL)
        result = crowd.do(f"noop {NOOPS} 2", NOOPS)
        sender.wait()
        return result


def show_crowd():
    pair = make_pair()
    print(f"\nVery many clients; TLS 1.3 with an ECDSA key; Postfix and Exim have a process for each, so {PROCESSES:,} "
          "at the most; memory is each one's share (Pss):\n\n| | postilion | Postfix | Exim |\n|---|--:|--:|--:|")
    columns = []
    for make, crowds, count in ((lambda: Postilion("crowd", 2537, mode="handoff", pair=pair), CROWDS, 4000),
                                (lambda: PostfixCrowd(pair, PROCESSES), (PROCESSES,), 400),
                                (lambda: EximCut(pair, PROCESSES), (PROCESSES,), 400)):
        rows = {}
        for is_secure in (False, True):
            peer = make()
            if not peer.directory.exists():
                peer.configure()
            peer.start()
            try:
                for clients, kib in idle_kib(peer, crowds, is_secure).items():
                    rows[f"KiB a client, {clients:,} idle" + (", TLS" if is_secure else "")] = f"{kib:,.1f}"
                if is_secure:
                    for kind in ("full", "resumed"):
                        rate, cpu, part = shakes(peer, count // (4 if QUICK else 1), kind)
                        what = f"TLS sessions a second, {kind}"
                        rows[what] = f"{rate:,.0f}" if kind == "full" or part > 0.5 else "none resumed"
                        rows[f"CPU ms for one, {kind}"] = f"{cpu:.2f}" if kind == "full" or part > 0.5 else ""
                    for is_busy in (False, True):
                        got = noops(peer, is_busy)
                        where = "mail of 20 sessions beside it" if is_busy else "nothing else"
                        rows[f"NOOP p50 / p99 ms, {where}"] = f"{got['p50']:.2f} / {got['p99']:.2f}"
            finally:
                peer.stop()
        columns.append(rows)
    for row in dict.fromkeys(name for rows in columns for name in rows):
        print(f"| {row} | " + " | ".join(rows.get(row, "") for rows in columns) + " |", flush=True)


# --- asked before answered ----------------------------------------------------------------------

class Sink(Peer):
    """Nothing in between: how long the next hop itself takes."""

    rewrites = False

    def __init__(self):
        super().__init__("sink", SINK_PORT)


def show_handoff(rounds, seconds):
    """Every next hop is asked while the client waits."""
    peers = [Sink(), Postilion("handoff", 2539, mode="handoff").configure().start(),
             EximCut(make_pair(), 200)]
    if not peers[2].directory.exists():
        peers[2].configure()
    peers[2].start()
    cells = [("-c", "1"), ("-c", "20"), ("-c", "100"), ("-c", "200", "-q", "300"), ("-c", "200", "-q", "1000")]
    figures, wrong = {}, 0
    try:
        rates = {}
        for turn in range(rounds + 1):  # the first is not counted
            for cell in cells:
                for peer in peers:
                    if peer.name == "exim-cut" and cell[-1] == "1000":
                        continue  # more than it can
                    rate = float(cell[3]) if "-q" in cell else rates.get((peer.name, cell), 200)
                    count = max(100, min(60000, int(rate * seconds)))
                    got = load(peer, *cell, "-n", str(count))
                    rates[peer.name, cell] = got["rate"] if got["rate"] > 0 else got["accepted"] / got["seconds"]
                    wrong += not got["good"]
                    if turn > 0:
                        figures.setdefault((peer.name, cell), []).append(got)
    finally:
        for peer in peers:
            peer.stop()
    print("\nMode handoff beside Exim's cutthrough (which cannot rewrite the sender), and beside the sink alone:\n\n"
          "| | postilion | Exim | ratio | sink | ours / sink's | target |\n|---|--:|--:|--:|--:|--:|--:|")
    for cell in cells:
        where = f"{cell[3]}/s" if "-q" in cell else f"{cell[1]} session{'s' if cell[1] != '1' else ''}"

        def middle(name, field, part=None, cell=cell):
            values = [got[field][part] if part else got[field] for got in figures.get((name, cell), [])]
            return statistics.median(values) if values else float("nan")

        if "-q" not in cell:
            ours, exims, sinks = (middle(name, "rate") for name in ("handoff", "exim-cut", "sink"))
            print(f"| messages/s, {where} | {ours:,.0f} | {exims:,.0f} | {ours / exims:.1f}x | {sinks:,.0f} | | |")
            ours, exims = (middle(name, "cpu") for name in ("handoff", "exim-cut"))
            print(f"| CPU s per 1,000, {where} | {ours:.3f} | {exims:.2f} | 1/{exims / ours:.1f} | | | |")
        for part in ("p50", "p99"):
            ours, exims, sinks = (middle(name, "accept_ms", part) for name in ("handoff", "exim-cut", "sink"))
            print(f"| final dot {part} ms, {where} | {ours:.2f} | {exims:.2f} | 1/{exims / ours:.1f} | {sinks:.2f} | "
                  f"{ours / sinks:.1f} | {'3' if part == 'p99' else ''} |")
    return f"Runs of mode handoff in which not every message came exactly once: {wrong}."
