"""postilion doctor: a healthy set-up is found healthy; then one thing is broken at a time, the finding names it, and
where DNS is to be changed exactly the record that was printed is published and the finding goes away."""
import json
import pathlib
import re
import socket
import time
import urllib.request

import pytest

import harness
from harness import free_port
from test_authentication import txt
from test_dkim_interop import RSA, make_rsa
from test_starttls import make_certificate

US, OTHER = "192.0.2.1", "192.0.2.99"
SRS, DOMAIN, HOST = "srs.fwd.test", "fwd.test", "mx.fwd.test"
KEY = "s1._domainkey.fwd.test"
SOUND, WARNED, BROKEN = 0, 1, 2
ZONE = {
    HOST: [("A", US), *txt("v=spf1 a -all")],
    "1.2.0.192.in-addr.arpa": [("PTR", f"{HOST}.")],
    DOMAIN: [("MX", f"10 {HOST}.")],
    f"_dmarc.{DOMAIN}": txt("v=DMARC1; p=reject"),
    SRS: [("MX", f"10 {HOST}."), *txt(f"v=spf1 ip4:{US} -all")],
    KEY: txt(RSA.record),
    "2.0.0.127.bl.test": [("A", "127.0.0.2")],
    "dest.test": [("MX", "10 mx.dest.test.")],
    "mx.dest.test": [("A", "127.0.0.2")],
}
# What this machine is like, whatever postilion does: containers have no clock of their own, unbound here does not validate.
MACHINE = ("clock", "dnssec")


@pytest.fixture
def doctor(world, tmp_path):
    """Runs the command on a host that is well but for what is changed. Returns its report."""
    state = {}
    key = tmp_path / "s1.pem"
    key.write_bytes(RSA.pem)
    key.chmod(0o600)
    certificate, private = make_certificate(tmp_path, "ours", names=(HOST,))

    def prepare(**settings):
        world.hop()
        state["port"] = free_port()
        extra = (f"seal {{\n    domain {DOMAIN}\n    selector s1\n    key-file {key}\n}}\n"
                 f"tls {{\n    certificate {certificate}\n    key {private}\n}}\nblocklist bl.test\n")
        settings.setdefault("extra", extra + settings.pop("more", ""))
        settings = {"listen": f"127.0.0.1:{state['port']}", **settings}
        daemon = world.start(zone=ZONE, is_started=False, **settings)
        daemon.secret.write_text("kfQ2vZ8xT4mW9pLr7BnC3dYh6sGj1aUe\n")
        daemon.settings["resolver"] = ""
        daemon.write_config()
        return daemon

    def run(changes=None, arguments=(), status=None, **settings):
        if "daemon" not in state:
            state["daemon"] = prepare(**settings).start()
        zone = {name: records for name, records in {**ZONE, **(changes or {})}.items() if records is not None}
        port = world.make_resolver(zone).port
        done = state["daemon"].command("doctor", "--address", US, "--lists", "configured", "--resolver", f"127.0.0.1:{port}",
                                       "--signed", "test", "--json", *arguments, check=False)
        assert done.returncode in (SOUND, WARNED, BROKEN) and done.stderr == "", done.stderr
        report = Report(json.loads(done.stdout), done.returncode)
        assert status is None or report.status == status, report
        return report
    run.state = state
    run.prepare = prepare
    return run


class Report:
    def __init__(self, report, status):
        self.status, self.findings = status, report["findings"]
        counts = {word: report[word] for word in ("ok", "note", "unknown", "warning", "error")}
        assert counts == {word: sum(f["severity"] == word for f in self.findings) for word in counts}
        assert status == (BROKEN if counts["error"] else WARNED if counts["warning"] else SOUND)

    def __repr__(self):
        return "\n".join(f"{f['severity']:8} {f['check']:16} {f['found']} | {f['fix']}" for f in self.findings)

    def bad(self):
        return [f for f in self.findings if f["severity"] != "ok" and f["check"] not in MACHINE]

    def of(self, check):
        found = [f for f in self.findings if f["check"] == check]
        assert found, f"nothing of {check}:\n{self}"
        return found


def published(finding):
    """The lines of a zone in the fix, as {name: [(type, value)]}."""
    records = {}
    assert finding["remedy"] == "publish", finding
    for line in finding["fix"].splitlines():
        match = re.fullmatch(r"(\S+)\. IN (A|AAAA|MX|PTR|TXT) (.*)", line)
        if match is None:
            assert line.startswith("("), line
            continue
        name, kind, value = match.groups()
        if kind == "TXT":
            value = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', value))
        records.setdefault(name, []).append((kind, value))
    return records


def merged(zone, records):
    """`records` in the place of those of the same type."""
    zone = dict(zone)
    for name, added in records.items():
        kinds = {kind for kind, _ in added}
        zone[name] = [r for r in zone.get(name) or [] if r[0] not in kinds] + added
    return zone


def test_sound(doctor):
    report = doctor(status=None)
    assert report.bad() == [], report
    for check in ("address", "reverse-name", "helo-spf", "mx", "srs-mx", "srs-spf", "dmarc", "key", "blocklist", "resolver",
                  "port-25", "listener", "open-relay", "secret", "file-rights", "disk", "certificate", "certificate-name",
                  "srs", "postmaster", "abuse"):
        assert {f["severity"] for f in report.of(check)} == {"ok"}, report


# name, what is different in DNS, the check that finds it, how bad that is, words of it
BY_RECORD = [
    ("no address of HELO", {HOST: txt("v=spf1 ip4:192.0.2.1 -all")}, "address", "error", "no A record"),
    ("HELO leads elsewhere", {HOST: [("A", OTHER), *txt("v=spf1 ip4:192.0.2.1 -all")]}, "address", "error", OTHER),
    ("no PTR", {"1.2.0.192.in-addr.arpa": None}, "reverse-name", "error", "no reverse name"),
    ("PTR does not lead back", {"1.2.0.192.in-addr.arpa": [("PTR", "mx.dest.test.")]}, "reverse-name", "error", "leads elsewhere"),
    ("another name", {"1.2.0.192.in-addr.arpa": [("PTR", "host7.test.")], "host7.test": [("A", US)]}, "reverse-name", "note",
     "host7.test"),
    ("no SPF of HELO", {HOST: [("A", US)]}, "helo-spf", "warning", "no TXT record"),
    ("SPF of HELO fails", {HOST: [("A", US), *txt("v=spf1 -all")]}, "helo-spf", "warning", "v=spf1 -all"),
    ("no SPF of the SRS domain", {SRS: [("MX", f"10 {HOST}.")]}, "srs-spf", "error", "no TXT record"),
    ("SPF without our address", {SRS: [("MX", f"10 {HOST}."), *txt(f"v=spf1 ip4:{OTHER} include:more.test -all")],
                                 "more.test": txt("v=spf1 ip4:192.0.2.50 -all")}, "srs-spf", "error", OTHER),
    ("two SPF records", {SRS: [("MX", f"10 {HOST}."), *txt(f"v=spf1 ip4:{US} -all", "v=spf1 ip4:192.0.2.7 -all")]}, "srs-spf",
     "error", "192.0.2.7"),
    ("no MX of the SRS domain", {SRS: txt(f"v=spf1 ip4:{US} -all")}, "srs-mx", "error", "no MX record"),
    ("MX of the SRS domain elsewhere", {SRS: [("MX", "10 other.test."), *txt(f"v=spf1 ip4:{US} -all")],
                                        "other.test": [("A", OTHER)]}, "srs-mx", "error", "other.test"),
    ("no MX", {DOMAIN: [("A", OTHER)]}, "mx", "error", "no MX record"),
    ("MX elsewhere", {DOMAIN: [("MX", "10 other.test.")], "other.test": [("A", OTHER)]}, "mx", "error", "other.test"),
    ("null MX", {DOMAIN: [("MX", "0 .")]}, "mx", "error", "takes no mail"),
    ("implicit MX", {DOMAIN: [("A", US)]}, "mx", "note", "its own address"),
    ("no DMARC", {f"_dmarc.{DOMAIN}": None}, "dmarc", "warning", "no DMARC record"),
    ("DMARC asks for nothing", {f"_dmarc.{DOMAIN}": txt("v=DMARC1; p=perhaps")}, "dmarc", "warning", "nothing that can be read"),
    ("no key", {KEY: None}, "key", "warning", "not in DNS"),
    ("another key", {KEY: txt(make_rsa(2048).record)}, "key", "error", "another key"),
    ("no key record", {KEY: txt("hello")}, "key", "error", "no key record"),
    ("several records at the key", {KEY: txt(RSA.record, "hello")}, "key", "warning", "beside it"),
]


# What cannot be well any more, either.
FOLLOWS = {"address": {"reverse-name", "mx-host"}}


@pytest.mark.parametrize("changes, check, severity, words", [case[1:] for case in BY_RECORD], ids=[case[0] for case in BY_RECORD])
def test_the_printed_record_mends_it(doctor, changes, check, severity, words):
    broken = doctor(changes)
    (finding,) = [f for f in broken.of(check) if f["severity"] != "ok"]
    assert finding["severity"] == severity and words in finding["found"], broken
    assert finding["why"], finding
    assert {f["check"] for f in broken.bad()} - {check} <= FOLLOWS.get(check, set()), broken
    mended = doctor(merged({**ZONE, **changes}, published(finding)))
    wanted = "note" if finding["fix"].count("p=none") else "ok"  # a DMARC policy begins with p=none
    assert {f["severity"] for f in mended.of(check)} == {wanted}, mended
    assert {f["severity"] for f in mended.bad()} <= {"note"}, mended


# The same for what no record of ours mends: only that it is found, and said what to do.
BY_WORDS = [
    ("DMARC p=none", {f"_dmarc.{DOMAIN}": txt("v=DMARC1; p=none")}, "dmarc", "note", "p=none", None),
    ("two DMARC records", {f"_dmarc.{DOMAIN}": txt("v=DMARC1; p=none", "v=DMARC1; p=reject")}, "dmarc", "error", "2 DMARC", "do"),
    ("revoked key", {KEY: txt("v=DKIM1; k=rsa; p=")}, "key", "error", "revoked", "run"),
    ("SPF lets everybody send", {SRS: [("MX", f"10 {HOST}."), *txt("v=spf1 +all")]}, "srs-spf", "warning", "everybody", "do"),
    ("MX host is an alias", {DOMAIN: [("MX", f"10 alias.{DOMAIN}."), ("MX", f"20 {HOST}.")],
                             f"alias.{DOMAIN}": [("CNAME", f"{HOST}.")]}, "mx-host", "warning", "alias (CNAME)", "do"),
    ("MX host without address", {DOMAIN: [("MX", f"10 {HOST}."), ("MX", "20 void.test.")]}, "mx-host", "warning",
     "void.test of fwd.test has no address", "do"),
    ("MX host is private", {DOMAIN: [("MX", f"10 {HOST}."), ("MX", "20 inner.test.")], "inner.test": [("A", "10.1.2.3")]},
     "mx-host", "warning", "nobody outside", "do"),
    ("others come first", {DOMAIN: [("MX", f"20 {HOST}."), ("MX", "10 other.test.")], "other.test": [("A", OTHER)]}, "mx", "note",
     "others come first", None),
    ("listed", {"1.2.0.192.bl.test": [("A", "127.0.0.4"), *txt("sends spam, see https://bl.test/192.0.2.1")]}, "blocklist",
     "warning", "(127.0.0.4): sends spam, see https://bl.test/192.0.2.1", "do"),
    ("the list has everybody", {"1.2.0.192.bl.test": [("A", "127.0.0.2")], "1.0.0.127.bl.test": [("A", "127.0.0.2")]},
     "blocklist", "unknown", "names everybody", None),
    ("the list does not let us ask", {"1.2.0.192.bl.test": [("A", "127.255.255.254")]}, "blocklist", "unknown",
     "does not let our resolver ask", None),
    ("no answer", {f"_dmarc.{DOMAIN}": [("CNAME", "x.servfail.test.")]}, "dmarc", "unknown", "no answer", None),
    ("certificate without an MX name", {DOMAIN: [("MX", "10 second.test."), ("MX", f"20 {HOST}.")], "second.test": [("A", US)]},
     "certificate-name", "warning", "second.test", "do"),
]


@pytest.mark.parametrize("changes, check, severity, words, remedy", [case[1:] for case in BY_WORDS],
                         ids=[case[0] for case in BY_WORDS])
def test_it_is_found(doctor, changes, check, severity, words, remedy):
    report = doctor(changes)
    (finding,) = [f for f in report.of(check) if f["severity"] != "ok"]
    assert finding["severity"] == severity and words in finding["found"] and finding["remedy"] == remedy, report
    assert finding["why"], finding


# ---- on this machine ---------------------------------------------------------------------------------------------------------


def test_the_machine(doctor, world):
    """A file everybody reads, a secret from a manual, a certificate that ends, a domain with a catch-all: one run."""
    daemon = doctor.prepare(domain="    forward * to anna@dest.test\n")
    daemon.secret.write_text("changeme-changeme-changeme\n")
    daemon.secret.chmod(0o644)
    pathlib.Path(daemon.settings["spool"]).mkdir(mode=0o755)
    report = json.loads(daemon.command("doctor", "--offline", "--json", check=False).stdout)
    found = {f["check"]: f for f in report["findings"] if f["severity"] in ("warning", "error")}
    assert found["secret-file"]["severity"] == "error" and found["secret-file"]["fix"] == f"chmod 640 {daemon.secret}"
    assert 'the word "changeme"' in found["secret"]["found"] and "changeme-" not in json.dumps(report)
    assert "every address" in found["catch-all"]["found"]
    checks = {f["check"] for f in report["findings"]}
    assert not checks & {"resolver", "dnssec", "blocklist", "listener", "port-25", "mx"}, checks  # nobody is asked
    harness.run(found["secret-file"]["fix"], check=True)
    report = json.loads(daemon.command("doctor", "--offline", "--json", check=False).stdout)
    assert not [f for f in report["findings"] if f["check"] == "secret-file"]


@pytest.mark.parametrize("days, severity", [(-1, "error"), (5, "warning"), (90, "ok")])
def test_days_of_a_certificate(doctor, tmp_path, days, severity):
    certificate, key = make_certificate(tmp_path, "other", names=(HOST,), days=days)
    daemon = doctor.prepare(extra=f"tls {{\n    certificate {certificate}\n    key {key}\n}}\n")
    report = json.loads(daemon.command("doctor", "--offline", "--json", check=False).stdout)
    assert [f["severity"] for f in report["findings"] if f["check"] == "certificate"] == [severity]


def test_nobody_listens_and_no_way_out(doctor, world):
    """The daemon is down, and so is the next hop."""
    daemon = doctor.prepare()
    for hop in [world.hop("127.0.0.9")]:
        hop.stop()
    done = daemon.command("doctor", "--address", US, "--lists", "configured", "--resolver",
                          f"127.0.0.1:{world.make_resolver({**ZONE, 'mx.dest.test': [('A', '127.0.0.9')]}).port}", "--signed", "test",
                          "--json", check=False)
    found = {f["check"]: f for f in json.loads(done.stdout)["findings"]}
    assert found["listener"]["severity"] == "error" and "nobody listens" in found["listener"]["found"]
    assert found["port-25"]["severity"] == "error" and "mx.dest.test 127.0.0.9" in found["port-25"]["found"]


def test_somebody_else_listens(doctor, world, next_hop):
    daemon = doctor.prepare()
    next_hop("127.0.0.1", port=doctor.state["port"])
    done = daemon.command("doctor", "--offline", "--json", check=False)
    assert not [f for f in json.loads(done.stdout)["findings"] if f["check"] == "listener"]  # offline connects to nobody
    done = daemon.command("doctor", "--address", US, "--lists", "configured", "--resolver",
                          f"127.0.0.1:{world.make_resolver(ZONE).port}", "--signed", "test", "--json", check=False)
    (finding,) = [f for f in json.loads(done.stdout)["findings"] if f["check"] == "listener"]
    assert finding["severity"] == "error" and "somebody else: 220 sink" in finding["found"]


def test_no_resolver(doctor):
    """Nothing that needs it is waited for, and nothing else is left out."""
    daemon = doctor.prepare()
    done = daemon.command("doctor", "--address", US, "--resolver", f"127.0.0.1:{free_port()}", "--json", check=False)
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == BROKEN
    assert [f["severity"] for f in findings if f["check"] == "resolver"] == ["error", "unknown"]
    checks = {f["check"] for f in findings}
    assert "blocklist" not in checks and "mx" not in checks and {"srs", "open-relay", "disk", "postmaster"} <= checks


def test_one_domain(doctor):
    report = doctor(arguments=("FWD.test",))
    assert {f["kind"] for f in report.findings} == {"SRS domain", "domain"}
    assert {f["subject"] for f in report.findings} == {SRS, DOMAIN}
    report = doctor(arguments=(SRS,))
    assert {(f["kind"], f["subject"]) for f in report.findings} == {("SRS domain", SRS)}


@pytest.mark.parametrize("arguments, words", [
    (["--nonsense"], "unknown option"), (["--address", "here"], "no IP address"), (["--address"], "the value is missing"),
    (["a.test", "b.test"], "one domain"), (["elsewhere.test"], "none of our domains"), (["--lists", "all"], "public or configured"),
    (["--resolver", "x"], "no address of a resolver"), (["--port-25", "a b"], "no host name"),
])
def test_wrong_arguments(postilion, arguments, words):
    done = postilion().command("doctor", *arguments, check=False)
    assert done.returncode == 64 and words in done.stderr and done.stdout == "", done


# ---- in the daemon -----------------------------------------------------------------------------------------------------------


def test_the_daemon_looks_by_itself(doctor, world):
    """At its start; what is found stands in the log once, in status and metrics; a reload with the cause mended says so, and
    off is off. All of it under the strict sandbox."""
    page = free_port()
    daemon = doctor.prepare(doctor=f"    run daily\n    delay 0s\n    lists configured\n    address {US}\n",
                            more=f"admin 127.0.0.1:{page}\nresolver 127.0.0.1:{world.make_resolver({name: records for name, records in ZONE.items() if name != SRS}).port}\n")
    daemon.start()
    done = daemon.wait_log("doctor-done")
    assert int(done["error"]) == 2 and int(done["ok"]) > 10, daemon.log_text()
    errors = daemon.log("doctor-finding", severity="error")
    assert {line["check"] for line in errors} == {"srs-mx", "srs-spf"}
    assert all(line["level"] == "error" and line["subject"] == SRS and line["fix"] for line in errors), errors
    status = daemon.command("status").stdout
    assert re.search(r"^doctor +2 errors,.* at 20", status, re.M) and "error srs-spf: srs.fwd.test has no TXT record" in status
    told = json.loads(daemon.command("status", "--json").stdout)["doctor"]
    assert told["error"] == 2 and told["ok"] == int(done["ok"]) and "ok" not in {f["severity"] for f in told["findings"]}
    assert 'postilion_doctor_findings{severity="error"} 2' in daemon.command("status", "--metrics").stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{page}/status.json") as answer:
        shown = json.load(answer)["doctor"]
    assert shown["looked"] and [f["severity"] for f in shown["findings"][:2]] == ["bad", "bad"]
    assert shown["findings"][0]["title"].startswith(f"SRS domain {SRS}: srs-") and shown["findings"][0]["fix"]
    assert "198.51.100.25" not in daemon.log_text()  # the rehearsed client leaves no trace
    daemon.write_config(doctor="    run off\n")
    daemon.command("reload")
    daemon.wait_log("reloaded")
    assert json.loads(daemon.command("status", "--json").stdout)["doctor"] is None
    assert daemon.stop() == 0


def test_a_stop_does_not_wait_for_it(doctor, world):
    """The resolver is silent: every look-up would take its time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        daemon = doctor.prepare(doctor=f"    run daily\n    delay 0s\n    address {US}\n",
                                more=f"resolver 127.0.0.1:{silent.getsockname()[1]}\n")
        daemon.start()
        silent.settimeout(harness.PATIENCE)
        silent.recv(1000)  # it has begun
        begin = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begin < 5
        assert not daemon.log("doctor-done")
