"""SPF by the conformance suites of openspf.org, as Debian's python3-spf brings them.

Every case runs three ways that must agree: all answers known at once, all that is wanted
answered in each round, and one answer a round. The driver dies when anything but the closed
alphabet is handed to libspf2.
"""
import gzip
import pathlib
import re
import subprocess

import pytest
import yaml

import harness

SUITES = pathlib.Path("/usr/share/doc/python3-spf")
TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
ROUNDS_LIMIT = 130


class SuiteLoader(yaml.SafeLoader):
    """Leaves texts such as "2001:db8::1" and "1:20" what they are: texts."""


SuiteLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def octets(text):
    return text if isinstance(text, bytes) else str(text).encode("latin-1")


def as_hex(text):
    return octets(text).hex() or "-"


class Zone:
    """The zone data of one scenario, answering as a resolver would."""

    def __init__(self, data):
        self.names = {}
        for name, records in data.items():
            self.names[str(name).lower().rstrip(".")] = self.records_of(records)

    @staticmethod
    def records_of(records):
        """(type or None for TIMEOUT, value); SPF stands for TXT unless there are TXT records."""
        made = []
        has_txt = any(isinstance(record, dict) and "TXT" in record for record in records)
        for record in records:
            if record == "TIMEOUT":
                made.append((None, None))
                continue
            (kind, value), = record.items()
            if kind == "SPF" and not has_txt:
                kind = "TXT"
            if kind == "TXT" and value == "NONE":
                continue
            made.append((kind, value))
        return made

    def answer(self, name, kind, depth=0):
        """(status, values)"""
        records = self.names.get(name.lower().rstrip("."))
        if records is None:
            return "nxdomain", []
        values = [value for found, value in records if found == kind]
        if values:
            return "ok", values
        if any(found is None for found, _ in records):
            return "tempfail", []
        aliases = [value for found, value in records if found == "CNAME"]
        if aliases:
            return self.answer(str(aliases[0]), kind, depth + 1) if depth < 8 else ("tempfail", [])
        return "nodata", []

    def fact(self, name, number):
        """For a name as protocol/dns_message writes it, with \\ddd for unusual octets."""
        kind = TYPE_NAMES[number]
        name = re.sub(r"\\(\d\d\d)", lambda match: chr(int(match.group(1))), name)
        status, values = self.answer(name, kind)
        return status, [self.as_word(kind, value) for value in values]

    @staticmethod
    def as_word(kind, value):
        if kind in ("A", "AAAA"):
            return str(value)
        if kind == "MX":
            return f"{value[0]}:" + as_hex(str(value[1]).rstrip("."))
        if kind == "TXT":
            return as_hex(b"".join(octets(part) for part in value) if isinstance(value, list) else value)
        return as_hex(str(value).rstrip("."))


class Driver:
    def __init__(self):
        self.process = subprocess.Popen([harness.program("spf_driver")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def say(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()

    def check(self, scope="mailfrom"):
        self.say("check", scope)
        words = self.process.stdout.readline().split()
        assert words, "the driver ended"
        return words

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=harness.PATIENCE) == 0

    def identify(self, case):
        local, at, domain = str(case.get("mailfrom") or "").rpartition("@")
        self.say("identity", case["host"], as_hex(case.get("helo") or ""), as_hex(local), as_hex(domain))

    def replay(self, case, zone, answers_a_round):
        """(result, explanation, facts given, rounds)"""
        self.identify(case)
        facts, rounds = [], 0
        while True:
            words = self.check()
            rounds += 1
            if words[0] == "done":
                return words[1], bytes.fromhex(words[2].strip("-")).decode(), words[3], facts, rounds
            assert rounds < ROUNDS_LIMIT
            wanted = list(zip(words[1::2], words[2::2]))[:answers_a_round]
            assert wanted, "waits for nothing"
            for name_hex, number in wanted:
                name = bytes.fromhex(name_hex.strip("-")).decode("latin-1")
                status, values = zone.fact(name, int(number))
                facts.append((name_hex, number, status, *values))
                self.say("fact", *facts[-1])

    def direct(self, case, facts):
        self.identify(case)
        for fact in facts:
            self.say("fact", *fact)
        words = self.check()
        assert words[0] == "done"
        return words[1], bytes.fromhex(words[2].strip("-")).decode(), words[3]


def scenarios(name):
    with gzip.open(SUITES / name) as file:
        return [scenario for scenario in yaml.load_all(file.read(), SuiteLoader) if scenario]


@pytest.fixture
def driver():
    made = Driver()
    yield made
    made.stop()


def complaint(name, case, got):
    """What is wrong with (result, explanation), or None."""
    want = case["result"] if isinstance(case["result"], list) else [case["result"]]
    if got[0] not in want:
        return f"{name}: got {got[0]}, want {want}"
    if "explanation" in case:
        explanation = "" if case["explanation"] == "DEFAULT" else str(case["explanation"])
        if got[1] != explanation:
            return f"{name}: explanation {got[1]!r}, want {explanation!r}"
    return None


@pytest.mark.parametrize("suite, count", [("rfc7208-tests.yml.gz", 203), ("rfc4408-tests.yml.gz", 191)])
def test_suite(driver, suite, count):
    wrong, cases = [], 0
    for scenario in scenarios(suite):
        zone = Zone(scenario["zonedata"])
        for name, case in scenario["tests"].items():
            cases += 1
            *got, facts, _ = driver.replay(case, zone, None)
            *slow, _, rounds = driver.replay(case, zone, 1)
            direct = list(driver.direct(case, facts))
            wrong += [text for text in [complaint(name, case, got)] if text]
            if not got == slow == direct:
                wrong.append(f"{name}: {got} in rounds, {slow} one by one, {direct} directly")
            if got[0] in ("pass", "fail", "softfail", "neutral") and got[2] == "-":
                wrong.append(f"{name}: no mechanism is named")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong)
    assert cases == count


def test_hosts_of_an_mx_come_in_one_round(driver):
    zone = Zone({"example.com": [{"TXT": "v=spf1 mx include:a.example include:b.example -all"}] +
                 [{"MX": [10, f"mx{i}.example.com"]} for i in range(10)],
                 "a.example": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}],
                 "b.example": [{"TXT": "v=spf1 ip4:198.51.100.0/24 -all"}],
                 **{f"mx{i}.example.com": [{"A": f"203.0.113.{i}"}] for i in range(10)}})
    case = {"host": "198.51.100.7", "helo": "mail.example.com", "mailfrom": "x@example.com"}
    result, _, mechanism, facts, rounds = driver.replay(case, zone, None)
    assert (result, len(facts), rounds) == ("pass", 14, 4)
    assert bytes.fromhex(mechanism) == b"include:b.example"
