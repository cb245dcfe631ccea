"""A next hop that enforces: SPF by pyspf, DKIM and ARC by dkimpy, and an evaluation of DMARC of its own,
which shares no line with ours. It asks the resolver of the test.

All connections of a test come from loopback; SPF is judged as if they came from the address given.
"""
import email.policy
import email.utils
import re
import threading

import dkim
import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import spf

CLIENT = "198.51.100.25"  # documentation address (RFC 5737): where the forwarder "is"
WEAKER = {"reject": "quarantine", "quarantine": "none", "none": "none"}
POLICIES = tuple(WEAKER)


class Names:
    """Answers of one resolver."""

    def __init__(self, port):
        self.port = port

    def ask(self, name, kind):
        """(rcode, [rdata])"""
        query = dns.message.make_query(name, kind)
        answer, _ = dns.query.udp_with_fallback(query, "127.0.0.1", port=self.port, timeout=10)
        wanted = dns.rdatatype.from_text(kind)
        return answer.rcode(), [data for found in answer.answer if found.rdtype == wanted for data in found]

    def texts(self, name):
        """Every TXT record, its strings joined."""
        return [b"".join(data.strings) for data in self.ask(name, "TXT")[1]]

    def exists(self, name):
        return self.ask(name, "A")[0] != dns.rcode.NXDOMAIN

    def for_dkimpy(self, name, timeout=5):
        found = self.texts(name.decode() if isinstance(name, bytes) else name)
        return found[0] if found else None

    def for_pyspf(self, name, kind, strict=True, timeout=10):
        if kind == "SPF":
            return []
        try:
            rcode, found = self.ask(name, kind)
        except dns.exception.DNSException as error:
            raise spf.TempError(f"DNS {error}") from None
        if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise spf.TempError(f"DNS {dns.rcode.to_text(rcode)}")
        value = {"A": lambda data: data.address, "AAAA": lambda data: data.address,
                 "MX": lambda data: (data.preference, data.exchange.to_text(True)),
                 "PTR": lambda data: data.target.to_text(True), "TXT": lambda data: list(data.strings)}[kind]
        return [((name, kind), value(data)) for data in found]


# --- DMARC --------------------------------------------------------------------------------


def dmarc_record(names, domain):
    """The tags of the one DMARC record at a domain, or None."""
    records = []
    for text in names.texts("_dmarc." + domain):
        tags = {}
        for tag in text.decode("ascii", "replace").split(";"):
            name, equals, value = tag.partition("=")
            if equals:
                tags.setdefault(name.strip().lower(), value.strip())
        if re.match(rb"[vV]\s*=\s*DMARC1\s*(;|$)", text):
            records.append(tags)
    return records[0] if len(records) == 1 else None


def tree_walk(names, start):
    """{domain: tags} from the longest name to the shortest."""
    found, labels = {}, start.split(".")
    while labels:
        tags = dmarc_record(names, ".".join(labels))
        if tags:
            found[".".join(labels)] = tags
            if tags.get("psd") in ("y", "n"):
                break
        labels = labels[-7:] if len(labels) > 7 and ".".join(labels) == start else labels[1:]
    return found


def organization(found, start):
    for domain, tags in found.items():
        if tags.get("psd") == "n":
            return domain
        if tags.get("psd") == "y" and domain != start:
            return ".".join(start.split(".")[-len(domain.split(".")) - 1:])
    return list(found)[-1] if found else start


def published_policy(names, author):
    """(tags, policy) for mail of an author domain, or (None, None)."""
    found = tree_walk(names, author)
    place = author if author in found else organization(found, author)
    if place not in found:
        place = next((domain for domain, tags in found.items() if tags.get("psd") == "y"), None)
    if place is None:
        return None, None
    tags = found[place]
    policy = tags.get("p", "").lower()
    if place != author:
        below = tags.get("sp", policy).lower()
        policy = below if names.exists(author) else tags.get("np", below).lower()
    if policy not in POLICIES:
        return (tags, "none") if "mailto:" in tags.get("rua", "") else (None, None)
    return tags, WEAKER[policy] if tags.get("t") == "y" else policy


def is_aligned(names, author, domain, mode):
    if author == domain:
        return True
    if mode == "s":
        return False
    return organization(tree_walk(names, author), author) == organization(tree_walk(names, domain), domain)


# --- a message ----------------------------------------------------------------------------


class Verdict:
    """What the hop found: spf, dkim [(d=, result)], arc, dmarc, policy, aligned, place."""

    def __init__(self):
        self.spf, self.spf_domain = "none", ""
        self.dkim = []
        self.arc, self.sealers, self.arc_why = "none", [], ""
        self.author = ""
        self.dmarc, self.policy, self.aligned = "none", "", []
        self.is_vouched = False
        self.place = "inbox"   # inbox, junk, refused
        self.reply = None

    def __repr__(self):
        return " ".join(f"{key}={value}" for key, value in vars(self).items())


class Judge:
    """`sealers`: whose ARC sets are believed."""
    lock = threading.Lock()  # pyspf looks names up through one function of its module

    def __init__(self, port, client=CLIENT, sealers=()):
        self.names = Names(port)
        self.client = client
        self.sealers = [sealer.encode() for sealer in sealers]

    def judge(self, helo, sender, data):
        verdict = Verdict()
        self._judge_spf(verdict, helo, sender)
        self._judge_dkim(verdict, data)
        self._judge_arc(verdict, data)
        fields = email.message_from_bytes(data.split(b"\r\n\r\n")[0] + b"\r\n\r\n", policy=email.policy.compat32)
        authors = {address.rpartition("@")[2].lower()
                   for _, address in email.utils.getaddresses(map(str, fields.get_all("From", [])))}
        if len(authors) != 1 or len(fields.get_all("From")) != 1:
            verdict.place, verdict.reply = "refused", "550 5.6.0 one author, please"
            return verdict
        verdict.author = authors.pop()
        self._judge_dmarc(verdict)
        self._place(verdict)
        return verdict

    def _judge_spf(self, verdict, helo, sender):
        verdict.spf_domain = (sender.rpartition("@")[2] or helo).lower()
        with self.lock:
            spf.DNSLookup = self.names.for_pyspf
            verdict.spf = spf.check2(i=self.client, s=sender or f"postmaster@{helo}", h=helo)[0]

    def _judge_dkim(self, verdict, data):
        signatures = [value for name, value in dkim.DKIM(data).headers if name.lower() == b"dkim-signature"]
        for index, signature in enumerate(signatures):
            tags = {name.strip(): value.strip() for name, _, value in
                    (tag.partition(b"=") for tag in signature.replace(b"\r\n", b"").split(b";"))}
            try:
                is_valid = tags.get(b"a", b"").endswith(b"-sha256") and dkim.DKIM(data).verify(
                    idx=index, dnsfunc=self.names.for_dkimpy)
            except dkim.DKIMException:
                is_valid = False
            verdict.dkim.append((tags.get(b"d", b"").decode().lower(), "pass" if is_valid else "fail"))

    def _judge_arc(self, verdict, data):
        try:
            result, sets, verdict.arc_why = dkim.ARC(data).verify(dnsfunc=self.names.for_dkimpy)
        except (dkim.DKIMException, AttributeError) as error:  # 1.1.4 stumbles over some closed chains
            result, sets, verdict.arc_why = b"fail", [], str(error)
        verdict.arc = (result or b"fail").decode()
        verdict.sealers = [(found["instance"], found["as-domain"], found["aar-value"]) for found in sets
                           if "as-domain" in found]

    def _judge_dmarc(self, verdict):
        tags, verdict.policy = published_policy(self.names, verdict.author)
        if tags is None:
            return
        if verdict.spf == "pass" and is_aligned(self.names, verdict.author, verdict.spf_domain, tags.get("aspf")):
            verdict.aligned.append(("spf", verdict.spf_domain))
        verdict.aligned += [("dkim", domain) for domain, result in verdict.dkim if result == "pass"
                            and is_aligned(self.names, verdict.author, domain, tags.get("adkim"))]
        verdict.dmarc = "pass" if verdict.aligned else "fail"

    def _is_vouched_for(self, verdict):
        """From the newest set down, as long as we believe who sealed it."""
        for _, domain, results in verdict.sealers if verdict.arc == "pass" else ():
            if domain.lower() not in self.sealers:
                return False
            if re.search(rb";\s*dmarc=pass\b[^;]*header\.from=" + re.escape(verdict.author.encode()) + rb"\s*(;|$)",
                         re.sub(rb"\([^()]*\)", b"", results)):
                return True
        return False

    def _place(self, verdict):
        if verdict.dmarc == "fail" and verdict.policy != "none":
            verdict.is_vouched = self._is_vouched_for(verdict)
            if verdict.is_vouched:
                return
            if verdict.policy == "reject":
                verdict.place = "refused"
                verdict.reply = f"550 5.7.1 DMARC: {verdict.author} asks us to refuse this"
            else:
                verdict.place = "junk"
        elif verdict.dmarc == "none" and verdict.spf == "fail":
            verdict.place, verdict.reply = "refused", f"550 5.7.23 SPF: {verdict.spf_domain} does not send from here"


class Enforcer:
    """The script of a harness.NextHop: `hop = world.hop(script=enforcer)`, and once there is a resolver
    `enforcer.judge = Judge(port)`. Every message it has seen carries its verdict."""

    def __init__(self, judge=None):
        self.judge = judge

    def __call__(self, stage, line, session):
        if stage == "ehlo":
            session["helo"] = line.split(b" ")[-1].decode()
        if stage != "dot":
            return None
        message = session["message"]
        try:
            message.verdict = self.judge.judge(session["helo"], message.sender, message.data)
        except Exception as error:  # must reach the test as an answer, not end a thread
            message.verdict = error
            return f"451 4.3.0 {type(error).__name__}"
        return message.verdict.reply


def resolver_port(world):
    return int(world.daemon.settings["resolver"].rsplit(":", 1)[1])
