"""Metrics: what is counted is what happened, by names that documents, dashboard and rules know."""
import collections
import json
import re
import signal
import sqlite3
import ssl
import subprocess

import pytest
import yaml

import harness
from harness import Client, a_message, wait_until
from test_starttls import make_certificate, tls_block

PROMTOOL = harness.PEERS / "usr/bin/promtool"
METRICS_PAGE = harness.ROOT / "docs/METRICS.md"


def samples(text):
    """{(name, ((label, value), ...)): value}"""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = re.fullmatch(r'([a-z_]+)(?:\{(.*)\})? (\S+)', line).groups()
            pairs = tuple(sorted(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels or "")))
            assert (name, pairs) not in found, line
            found[name, pairs] = float(value)
    return found


def metrics_of(daemon):
    return daemon.command("status", "--metrics").stdout


def types_of(text):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def labels_of(text, name, label):
    return set(re.findall(rf'^{name}\{{(?:[^}}]*,)?{label}="([^"]*)"', text, re.M))


# Of another process, whose lines the worker never sees, or from before anybody counts: threads begin in the sandbox.
NOT_SEEN = ("running-as-root", "sandbox")


def recount(lines):
    """The same counters, from the log, by nobody else's rules."""
    counts = collections.Counter()

    def add(name, amount=1, **labels):
        counts[f"postilion_{name}", tuple(sorted(labels.items()))] += amount

    for line in lines:
        event, why = line["event"], line.get("why", "other")
        if event in NOT_SEEN:
            continue
        add("log_lines_total", level=line["level"])
        if event == "session-end":
            add("sessions_total", tls=line.get("tls", "none"))
            add("session_ends_total", reason=why)
        elif event == "accepted":
            add("messages_accepted_total", how=line["how"])
            add("recipients_accepted_total", int(line["rcpts"]))
            if "returns" in line:
                add("srs_returns_total", int(line["returns"]), result="accepted")
            if "manner" in line:
                add("forwards_total", manner=line["manner"])
            add("message_size_bytes_sum", int(line["size"]))
            add("message_size_bytes_count")
        elif event in ("message-refused", "message-deferred"):
            add("messages_" + event.split("-")[1] + "_total", reason=why)
        elif event in ("recipient-refused", "recipient-deferred"):
            add("recipients_" + event.split("-")[1] + "_total", reason=why)
            if why.startswith("srs-"):
                add("srs_returns_total", result=why[4:])
        elif event in ("delivered", "deferred", "bounced", "dropped", "held", "refused", "redirected", "rerouted"):
            add("deliveries_total", outcome=event)
            if event == "delivered":
                add("delivered_tls_total", tls=line["tls"], verified=line.get("verified", "no"))
                add("delivery_delay_seconds_sum", float(line["delay"]))
                add("delivery_delay_seconds_count")
            elif "class" in line:
                add("delivery_failures_total", outcome=event, **{"class": line["class"]})
            if event in ("dropped", "held"):
                add("unreported_failures_total", outcome=event, reason=why)
        elif event == "client-judged":
            add("clients_judged_total", verdict=line["verdict"])
            for name, value in harness.parse_logfmt(line.text):
                if name == "found":
                    add("client_findings_total", finding=value.split(":")[0])
        elif event == "bounce-queued":
            add("bounces_queued_total", reason=why)
        elif event in ("reloaded", "reload-failed"):
            add("reloads_total", result=event)
        for name, value in harness.parse_logfmt(line.text):
            if name == "mark":
                add("marks_total", mark=value)
        if "spf" in line:
            for method in ("spf", "dkim", "dmarc", "arc", "iprev"):
                add("authentication_total", method=method, result=line[method])
            if "answer_ms" in line:
                add("answer_seconds_count")
            if "forecast" in line:
                add("forecasts_total", forecast=line["forecast"], reason=line["forecast-why"])
        elif "answer_ms" in line:
            add("answer_seconds_count")
    return counts


# What the log says nothing about.
NOT_OF_THE_LOG = re.compile(r"process_|postilion_(build_info|sessions_open|clients_memory|paused|destinations_paused|queue_|"
                            r"spool_|last_reload|certificate_|doctor_|history_)|.*_bucket$|postilion_answer_seconds_sum")


def compare(daemon):
    """Every counter against the log; the writer may be a moment behind the log's own reader."""
    def differences():
        text = metrics_of(daemon)
        want = recount([line for line in daemon.log() if "event" in line and line["event"] != "minute"])
        got = {key: value for key, value in samples(text).items() if value and not NOT_OF_THE_LOG.match(key[0])}
        # one line a minute that no log shows
        got.pop(("postilion_log_lines_total", (("level", "info"),)), None)
        want.pop(("postilion_log_lines_total", (("level", "info"),)), None)
        return {key: (got.get(key), want.get(key)) for key in {*got, *want}
                if abs(got.get(key, 0) - want.get(key, 0)) > 1e-6}
    last = [None]

    def are_equal():
        last[0] = differences()
        return not last[0]
    try:
        wait_until(are_equal, "equal counts", 10)
    except AssertionError:
        raise AssertionError(last[0]) from None


def test_what_is_counted_is_what_happened(world):
    state = {"refuse": False}

    def script(stage, line, session):
        if stage == "rcpt" and b"sepp" in line:
            return "451 4.7.1 Greylisted, come back later"
        if stage == "rcpt" and state["refuse"]:
            return "550 5.1.1 no such user"
        return None
    hop, back = world.hop(script=script), world.hop(world.SENDER)
    daemon = world.start(authenticate="on", policy="    spf-fail tag")
    world.send()
    world.send(["info@fwd.test", "many@fwd.test"])
    rewritten = hop.wait(2)[0].sender
    world.send(rewritten, sender="", data=a_message())          # a bounce comes back
    forged = rewritten.replace("SRS0=", "SRS0=aaaa")
    with Client(daemon.port) as client:
        client.hello()
        client.expect("MAIL FROM:<>", 250)
        client.expect(f"RCPT TO:<{forged}>", 550)
        client.expect("RCPT TO:<nobody@fwd.test>", 550)
        client.expect("RCPT TO:<info@elsewhere.test>", 550)
        client.expect("QUIT", 221)
    with Client(daemon.port) as client:
        client.hello().envelope("anna@sender.test", "info@fwd.test")
        client.send(b"Subject: x\r\n\r\nbare\nlf\r\n.\r\n")
        assert client.reply()[0] == 550
    world.send("sales@fwd.test")                                  # deferred there
    state["refuse"] = True
    world.send()                                                  # bounced
    back.wait(2)
    daemon.wait_log("deferred")
    daemon.wait_log("bounce-queued")
    wait_until(lambda: len(daemon.log("session-end")) == 7, "the ends of all sessions")
    compare(daemon)
    found = samples(metrics_of(daemon))
    assert found["postilion_srs_returns_total", (("result", "accepted"),)] == 1
    assert found["postilion_srs_returns_total", (("result", "forged"),)] == 1
    assert found["postilion_messages_refused_total", (("reason", "bare-cr-or-lf"),)] == 1
    assert found["postilion_delivery_failures_total", (("class", "greylist"), ("outcome", "deferred"))] == 1
    assert found["postilion_bounces_queued_total", (("reason", "permanent-failure"),)] == 1
    assert found["postilion_queue_messages", ()] == 1
    assert found["postilion_queue_due_deliveries", (("age", "5m"),)] == 1
    assert found["postilion_queue_oldest_age_seconds", ()] >= 0
    other = {key: value for key, value in found.items() if ("other" in dict(key[1]).values()) and value}
    assert not other, other


def test_how_things_stand(postilion, tmp_path):
    daemon = postilion(limits="    free-space 12345678").start()
    before = samples(metrics_of(daemon))
    assert before["postilion_spool_free_floor_bytes", ()] == 12345678
    assert before["postilion_last_reload_successful", ()] == 1
    assert before["postilion_sessions_open", ()] == 0
    daemon.command("pause", "inbound")
    daemon.command("pause", "dest.test")
    daemon.command("resume", "inbound")
    good = tmp_path / "good.conf"  # the tool wants one it can read
    good.write_text(daemon.config.read_text())
    daemon.config.write_text(good.read_text() + "nonsense\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reload-failed")
    daemon.config = good
    with Client(daemon.port) as client:
        client.hello()
        after = samples(metrics_of(daemon))
    assert after["postilion_sessions_open", ()] == 1
    assert after["postilion_paused", (("what", "inbound"),)] == 0
    assert after["postilion_destinations_paused", ()] == 1
    assert after["postilion_last_reload_successful", ()] == 0
    assert after["postilion_reloads_total", (("result", "reload-failed"),)] == 1
    assert after["process_open_fds", ()] > before["process_open_fds", ()]
    assert after["process_resident_memory_bytes", ()] > 1e6


def test_when_certificates_end(postilion, tmp_path):
    pairs = [make_certificate(tmp_path, label, kind=kind, days=days)
             for label, kind, days in (("first", "ec", 90), ("second", "2048", 5))]
    found = samples(metrics_of(postilion(extra=tls_block(*pairs)).start()))
    for number, (certificate, _) in enumerate(pairs, 1):
        end = harness.run(["openssl", "x509", "-in", str(certificate), "-noout", "-enddate"]).stdout.strip()
        want = ssl.cert_time_to_seconds(end.removeprefix("notAfter="))
        assert found["postilion_certificate_expiry_timestamp_seconds", (("certificate", str(number)),)] == want


def test_what_strangers_say_is_no_label(world):
    world.hop(script=lambda stage, line, session: "550 5.1.1 evil-reply" if stage == "rcpt" else None)
    daemon = world.start()
    before = metrics_of(daemon)
    for number in range(20):
        with Client(daemon.port) as client:
            client.command(f"EHLO evil-{number}.example")
            client.command(f'MAIL FROM:<"evil\\" {{}} {number}"@sender.test>')
            client.command(f"RCPT TO:<evil-{number}@fwd.test>")
            client.command("QUIT")
    world.send(sender="evil@sender.test")
    daemon.wait_log("bounced")
    after = metrics_of(daemon)
    assert "evil" not in after
    assert set(samples(before)) == set(samples(after))


def test_without_a_daemon_and_with_nonsense(postilion):
    daemon = postilion()
    assert daemon.command("status", "--metrics", check=False).returncode == 69
    assert daemon.command("status", "--metric", check=False).returncode == 64


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    daemon = harness.Postilion(tmp_path_factory.mktemp("postilion")).start()
    yield metrics_of(daemon)
    daemon.kill()


@pytest.fixture
def promtool():
    if not PROMTOOL.exists():
        pytest.skip("no promtool (make peers)")

    def run(*arguments, **options):
        return subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, timeout=harness.PATIENCE,
                              **options)
    return run


def test_prometheus_takes_it(text, promtool):
    result = promtool("check", "metrics", input=text)
    assert result.returncode == 0 and not result.stdout + result.stderr, result.stdout + result.stderr
    broken = promtool("check", "metrics", input=text.replace("sessions_total", "sessions"))
    assert broken.returncode != 0


def documented():
    """{name: (type, {label: {words}})} of docs/METRICS.md"""
    found = {}
    for line in METRICS_PAGE.read_text().splitlines():
        row = re.match(r"\| `([a-z_]+)` \| (counter|gauge|histogram) \| (.*?) \|", line)
        if row:
            name, kind, labels = row.groups()
            found[name] = (kind, set(re.findall(r"`([a-z_]+)`", labels)))
    return found


# Where there is something to tell only sometimes.
SOMETIMES = {"postilion_history_lines_kept_total", "postilion_history_lines_dropped_total", "postilion_history_bytes",
             "postilion_history_in_trouble"}


def test_every_metric_is_documented(text):
    page, types = documented(), types_of(text)
    assert set(types) - set(page) == set()
    assert set(page) - set(types) <= SOMETIMES
    for name, kind in types.items():
        assert page[name][0] == kind, name
        labels = {label for key in samples(text) for label, _ in key[1]
                  if re.fullmatch(name + "(_bucket)?", key[0])} - {"le"}
        assert labels <= page[name][1], name


def words_in_logging(heading):
    """First column of the table that follows this text."""
    page = (harness.ROOT / "docs/LOGGING.md").read_text()
    table = page[page.index(heading):].split("\n\n", 2)[1]
    words = set()
    for row in table.splitlines()[2:]:
        words |= set(re.findall(r"`([^`]+)`", row.split("|")[1]))
    return words


def list_in_logging(start, end="."):
    page = (harness.ROOT / "docs/LOGGING.md").read_text()
    begin = page.index(start) + len(start)
    return set(re.findall(r"`([a-z0-9-]+)`", page[begin:page.index(end, begin)]))


@pytest.mark.parametrize("name,label,words", [
    ("postilion_messages_refused_total", "reason", lambda: words_in_logging("`why` of a refused or deferred message:")),
    ("postilion_messages_deferred_total", "reason", lambda: words_in_logging("`why` of a refused or deferred message:")),
    ("postilion_recipients_refused_total", "reason", lambda: words_in_logging("`why` of a refused or deferred recipient:")),
    ("postilion_recipients_deferred_total", "reason", lambda: words_in_logging("`why` of a refused or deferred recipient:")),
    ("postilion_session_ends_total", "reason", lambda: list_in_logging("`why` of a session's end:", ".\n")),
    ("postilion_client_findings_total", "finding",
     lambda: {word.split(":")[0] for word in words_in_logging("`accepted` ends with `found`")}),
    ("postilion_marks_total", "mark", lambda: words_in_logging("| `sender-domain:WHAT`")),
    ("postilion_delivery_failures_total", "class", lambda: list_in_logging("told from the codes and the words of the reply:", " |\n")),
    ("postilion_connections_refused_total", "reason", lambda: list_in_logging("has named the client: `client`, `why`:", " |\n") -
     {"client-penalised"}),
])
def test_every_word_of_the_log_is_counted_as_itself(text, name, label, words):
    wanted = words()
    assert len(wanted) > 5
    known = labels_of(text, name, label)
    assert wanted - known == set()
    assert known - wanted <= {"other", "proxy-not-trusted", "proxy-header"}


def minutes_of(daemon):
    """What the history has of event=minute, summed up."""
    sums = collections.Counter()
    for path in sorted((daemon.directory / "state/history").glob("*.db")):
        with sqlite3.connect(path) as database:
            for line, in database.execute("SELECT line FROM event ORDER BY number"):
                text = line if isinstance(line, str) else line.decode()
                if "event=minute" in text:
                    sums.update({name: int(value) for name, value in harness.parse_logfmt(text)
                                 if value.isdigit() and name != "start"})
    return sums


def test_each_minute_is_kept_and_nobody_reads_of_it(world):
    world.hop()
    daemon = world.start()
    for _ in range(3):
        world.send()
    wait_until(lambda: len(daemon.log("delivered")) == 3, "deliveries")
    daemon.stop()
    assert daemon.log("minute") == []
    sums = minutes_of(daemon)
    assert (sums["accepted"], sums["delivered"], sums["sessions"]) == (3, 3, 3), sums
    daemon.start()
    world.send()
    wait_until(lambda: len(daemon.log("delivered")) == 1, "the delivery")
    daemon.stop()
    assert minutes_of(daemon)["accepted"] == 4


RULES = harness.ROOT / "conf/prometheus-rules.yml"
DASHBOARD = harness.ROOT / "conf/grafana-dashboard.json"
OF_PROMETHEUS = {"up"}


def expressions_in_rules():
    return {rule["alert"]: rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"]
            for rule in group["rules"]}


def expressions_in_dashboard():
    board = json.loads(DASHBOARD.read_text())
    found = {f"{panel['title']} {target['refId']}": target["expr"] for panel in board["panels"]
             for target in panel.get("targets", [])}
    found.update({f"annotation {entry['name']}": entry["expr"] for entry in board["annotations"]["list"]})
    assert len(found) > 40 and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    return found


def family(name, types):
    """The metric a name in an expression belongs to, or None."""
    base = re.sub("_(bucket|sum|count)$", "", name)
    return name if name in types else base if types.get(base) == "histogram" else None


def mistakes_in(expression, text, types):
    """Names and words that the daemon does not give."""
    for name, matchers in re.findall(r"\b((?:postilion|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?", expression):
        metric = family(name, types)
        if name not in OF_PROMETHEUS and metric is None:
            yield name
            continue
        for label, operator, words in re.findall(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"', matchers):
            if label in ("job", "instance"):
                continue
            known = labels_of(text, metric, label)
            yield from (f'{name}{{{label}="{word}"}}' for word in words.split("|") if word not in known)
    for label in re.findall(r"\bby \(([^)]*)\)", expression):
        of_all = {label for key in samples(text) for label, _ in key[1]} | {"instance", "le"}
        yield from (word for word in re.split(r",\s*", label) if word not in of_all)


@pytest.mark.parametrize("expressions", [expressions_in_rules, expressions_in_dashboard])
def test_rules_and_dashboard_know_only_what_the_daemon_gives(text, expressions):
    types = types_of(text)
    text += 'postilion_certificate_expiry_timestamp_seconds{certificate="1"} 1\n'  # this daemon has none
    for name, expression in expressions().items():
        assert list(mistakes_in(expression, text, types)) == [], name
    assert list(mistakes_in('rate(postilion_session_total[1m])', text, types)) == ["postilion_session_total"]
    assert list(mistakes_in('postilion_sessions_total{tls="TLSv1"}', text, types)) == ['postilion_sessions_total{tls="TLSv1"}']


def test_prometheus_takes_the_rules(promtool):
    result = promtool("check", "rules", str(RULES))
    assert result.returncode == 0 and "SUCCESS" in result.stdout, result.stdout + result.stderr


def test_prometheus_takes_the_dashboards_expressions(promtool, tmp_path):
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, expression in enumerate(expressions_in_dashboard().values())]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    result = promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_alerts_fire_when_they_should_and_not_before(promtool, tmp_path):
    cases = (harness.ROOT / "tests/support/prometheus_rules_test.yml").read_text()

    def run(rules):
        (tmp_path / "rules.yml").write_text(rules)
        (tmp_path / "cases.yml").write_text(cases.replace("RULES", str(tmp_path / "rules.yml")))
        return promtool("test", "rules", str(tmp_path / "cases.yml"))
    result = run(RULES.read_text())
    assert result.returncode == 0, result.stdout + result.stderr
    assert run(RULES.read_text().replace("> 1000\n", "> 10000\n")).returncode != 0
