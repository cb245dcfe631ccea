"""The status page: what it serves and to whom, and that mail goes on whatever is done to it."""
import html.parser
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

import chromium
from harness import Client, NextHop, Postilion, a_message, free_port, program, wait_until

PATHS = ("/", "/?span=1h", "/?span=7d", "/status.json", "/metrics")
HOSTILE = '"<script>alert(1)</script>&\'`=\u202egnp.exe"'


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


def get(port, path="/", method="GET", host=None, **fields):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"127.0.0.1:{port}")
    for name, value in fields.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


class Reader(html.parser.HTMLParser):
    """Every tag that is opened is closed, in order; what it shows and where it leads is kept."""

    VOID = {"meta", "link", "input", "br", "hr", "img"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.links, self.ids, self.shown, self.attributes = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"
        assert len(self.ids) == len(set(self.ids)), "an id is there twice"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        for name, value in attributes:
            if name in ("href", "src", "action"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        self.shown.append(data)


def check_page(body):
    text = body.decode()
    assert text.startswith("<!DOCTYPE html>")
    reader = Reader(text)
    for link in reader.links:
        assert re.match(r"(/[^/]|/$|#|data:,$)", link), f"it leads outside: {link}"
    assert not re.search(r"(https?:)?//[a-z]", text), "something of another place"
    assert "script" not in reader.tags and "style" not in [name for name, _ in reader.attributes]
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert reader.tags.count("main") == 1 and "nan" not in text.lower().split()
    return reader


@pytest.fixture
def daemon(tmp_path):
    started = []

    def make(admin="127.0.0.1:0", **settings):
        extra = f"admin {admin}\n" + settings.pop("extra", "")
        postilion = Postilion(tmp_path / f"d{len(started)}", extra=extra, **settings).start()
        started.append(postilion)
        if admin != "off":
            address = postilion.wait_log("admin-listening")["address"]
            postilion.admin = int(address.rsplit(":", 1)[1]) if not admin.startswith("unix") else address
        return postilion

    yield make
    for postilion in started:
        if postilion.process is not None:
            assert postilion.stop() == 0


def test_every_page_is_whole_and_asks_nobody_else(daemon):
    port = daemon().admin
    for path in PATHS:
        answer, body = get(port, path)
        assert answer.status == 200, path
        policy = answer.getheader("Content-Security-Policy")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert answer.getheader("Cache-Control") == "no-store"
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Referrer-Policy") == "no-referrer"
        assert int(answer.getheader("Content-Length")) == len(body)
        if path == "/status.json":
            assert answer.getheader("Content-Type") == "application/json"
            assert json.loads(body)["health"]["hostname"] == "mx.fwd.test"
        elif path != "/metrics":
            check_page(body)
        head, nothing = get(port, path, method="HEAD")
        assert head.status == 200 and nothing == b""
        assert head.getheader("Content-Length") != "0"
    answer, _ = get(port, "/nothing-here")
    assert answer.status == 404


def test_what_it_says_is_what_the_daemon_knows(daemon):
    dead = free_port()
    postilion = daemon(extra=f"route dest.test to [127.0.0.9]:{dead}\n", domain="    forward info to anna@dest.test")
    with Client(postilion.port) as client:
        client.hello()
        client.message("anna@sender.test", ["info@fwd.test"], a_message())
    postilion.wait_log("deferred")
    postilion.command("pause", "outbound")
    wait_until(lambda: json.loads(get(postilion.admin, "/status.json")[1])["health"]["paused"], "the pause")
    said = json.loads(get(postilion.admin, "/status.json")[1])
    told = json.loads(postilion.command("status", "--json").stdout)
    for mine, theirs in (("messages", "messages"), ("deliveries", "deliveries"), ("held", "held"), ("oldest", "oldest")):
        assert said["health"][mine] == told[theirs], mine
    assert said["health"]["messages"] == 1 and said["health"]["paused"][0]["what"] == "outbound"
    assert [row["destination"] for row in said["queue"]] == [f"route:[127.0.0.9]:{dead}"]
    page = check_page(get(postilion.admin)[1])
    shown = " ".join(page.shown)
    assert "[127.0.0.9]" in shown and "sending mail" in shown and "not sent" in shown


def test_what_the_log_says_is_on_the_page(daemon):
    dead = free_port()
    postilion = daemon(extra=f"route dest.test to [127.0.0.9]:{dead}\n", domain="    forward info to anna@dest.test")
    with Client(postilion.port) as client:
        client.hello()
        client.message("anna@sender.test", ["info@fwd.test"], a_message())
        for name in "abc":
            client.command(f"RCPT TO:<{name}@fwd.test>")
        client.command("MAIL FROM:<anna@sender.test>")
        client.command("RCPT TO:<nobody@fwd.test>")
    postilion.wait_log("deferred")
    postilion.wait_log("session-end")
    said = wait_until(lambda: (lambda page: page if page["failing"] else None)(
        json.loads(get(postilion.admin, "/status.json")[1])), "the destination that fails")
    assert said["failing"][0]["destination"] == "dest.test"
    assert said["failing"][0]["class"] == "connection" and said["failing"][0]["failures"] == 1
    assert {"why": "unknown-recipient", "count": 1, "note": "recipients refused"} in said["refusals"]
    shares = {share["title"]: {part["name"]: part["value"] for part in share["parts"]} for share in said["tls"]}
    assert shares["Sessions of clients"]["in clear"] == 1
    titles = [chart["title"] for chart in said["flow"]]
    assert "Deliveries" in titles and len(said["flow"][0]["series"][0]["values"]) == 96
    shown = " ".join(check_page(get(postilion.admin)[1]).shown)
    assert "dest.test" in shown and said["failing"][0]["reply"] in shown and "unknown-recipient" in shown
    answer, body = get(postilion.admin, "/metrics")
    assert answer.status == 200 and answer.getheader("Content-Type").startswith("text/plain; version=0.0.4")
    assert re.search(rb'^postilion_recipients_refused_total\{reason="unknown-recipient"\} 1$', body, re.M)


def test_messages_are_found_and_their_story_is_told(daemon):
    dead = free_port()
    postilion = daemon(extra=f"history 1d\nroute dest.test to [127.0.0.9]:{dead}\n", domain="    forward info to anna@dest.test")
    with Client(postilion.port) as client:
        client.hello()
        for number in range(2):
            client.message("anna+1@sender.test", ["info@fwd.test"], a_message(subject=f"n{number}"))
    postilion.wait_log("accepted", count=2)
    postilion.wait_log("deferred")
    ident = postilion.log("accepted")[0]["id"]

    def ask(query):
        answer, body = get(postilion.admin, "/trace.json?q=" + urllib.parse.quote(query))
        assert answer.status == 200
        return json.loads(body)

    wait_until(lambda: ask(ident)["result"] == "one" and any("in the queue" in str(step) or step["step"] == "queue"
                                                             for step in ask(ident)["story"]["steps"]), "its story")
    story = ask(ident)["story"]
    assert story["id"] == ident and story["state"] == "waiting"
    assert ask("anna+1@sender.test")["result"] == "several"
    assert {row["id"] for row in ask("<Anna+1@Sender.Test>")["messages"]} == {line["id"] for line in postilion.log("accepted")}
    assert ask("<n0@sender.test>")["story"]["id"] == ident
    assert ask("nobody@else.test")["result"] == "nothing"
    page = check_page(get(postilion.admin, f"/trace?q={ident}")[1])
    shown = " ".join(page.shown)
    assert ident in shown and "waiting" in shown and "anna@dest.test" in shown
    page = check_page(get(postilion.admin, "/trace?q=anna%2B1%40sender.test")[1])
    assert f"/trace?q={ident}" in page.links
    assert ("value", "anna+1@sender.test") in page.attributes
    check_page(get(postilion.admin, "/trace")[1])
    check_page(get(postilion.admin, "/trace?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")[1])
    check_page(get(postilion.admin, "/trace?q=" + "%27%00%FF" * 300)[1])


def test_no_history_says_so(daemon):
    postilion = daemon(extra="history off\n")
    assert json.loads(get(postilion.admin, "/trace.json?q=anna%40x.test")[1])["result"] == "off"
    assert "No history" in " ".join(check_page(get(postilion.admin, "/trace?q=anna%40x.test")[1]).shown)
    assert "/trace" not in check_page(get(postilion.admin)[1]).links


def test_only_names_that_are_ours_are_served(daemon):
    """DNS rebinding: a stranger's page in the operator's browser has a name of its own for this address."""
    port = daemon().admin
    for host in ("127.0.0.1", f"localhost:{port}", "LOCALHOST", "[::1]:9000", "mx.fwd.test", "mx.fwd.test.", "127.0.0.1:1"):
        assert get(port, host=host)[0].status == 200, host
    for host in ("evil.example", f"evil.example:{port}", "mx.fwd.test.evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example",
                 "localhost:80:80", "[::1", "user@localhost"):
        answer, body = get(port, host=host)
        assert answer.status in (400, 403), host
        assert b"fwd.test" not in body, host
    with socket.create_connection(("127.0.0.1", port), timeout=20) as bare:
        bare.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 403 " in bare.makefile("rb").readline()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as whole:
        whole.sendall(b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 400 " in whole.makefile("rb").readline()


def test_it_can_be_read_and_nothing_else(daemon):
    port = daemon().admin
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        answer, _ = get(port, method=method)
        assert answer.status == 405, method
        assert answer.getheader("Allow") == "GET, HEAD"
    assert get(port, method="BREW")[0].status in (400, 405, 501)


def raw(port, octets, patience=30):
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(octets)
        answer = b""
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            answer += part
        return answer


def test_requests_that_are_none(daemon):
    port = daemon().admin
    ours = f"Host: localhost:{port}\r\n".encode()
    assert raw(port, b"GET / HTTP/1.1\r\n" + ours + b"X: " + b"a" * 20000 + b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert b"200 OK" not in raw(port, b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + ours + b"\r\n")
    assert b"200 OK" not in raw(port, b"POST / HTTP/1.1\r\n" + ours + b"Content-Length: 99999999\r\n\r\n" + b"x" * 5000)
    assert b"200 OK" not in raw(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert b"200 OK" not in raw(port, b"GET / HTTP/1.1\r\n" + ours + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n")
    assert raw(port, b"GET /?span=%zz%00%&&=&span=%3Cscript%3E HTTP/1.1\r\n" + ours + b"\r\n").startswith(b"HTTP/1.1 200")
    # One request a connection: what stands behind it is nobody's.
    answer = raw(port, (b"GET /status.json HTTP/1.1\r\n" + ours + b"\r\n") * 3)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert get(port)[0].status == 200


def test_whoever_feeds_it_slowly_is_cut(daemon):
    """An octet a second is no silence; the whole has its time all the same."""
    postilion = daemon()
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", postilion.admin), timeout=40) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        slow.settimeout(1)
        ended = False
        while not ended and time.monotonic() - begin < 30:
            try:
                ended = slow.recv(100) == b""
            except TimeoutError:
                pass
            except ConnectionResetError:
                ended = True
            if not ended:
                try:
                    slow.sendall(b"a")
                except (BrokenPipeError, ConnectionResetError):
                    ended = True
    assert ended and 10 < time.monotonic() - begin < 25


def open_handles(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_many_connections_wait_and_all_are_closed(daemon):
    postilion = daemon()
    before = open_handles(postilion.worker_pid())
    idle = [socket.create_connection(("127.0.0.1", postilion.admin), timeout=20) for _ in range(200)]
    wait_until(lambda: open_handles(postilion.worker_pid()) == before + 32, "the first ones")
    # Mail does not notice.
    with Client(postilion.port) as client:
        client.hello()
    for connection in idle:
        connection.close()
    wait_until(lambda: get(postilion.admin)[0].status == 200, "a place")
    wait_until(lambda: open_handles(postilion.worker_pid()) <= before, "the end of all connections")


def test_a_client_that_leaves_before_its_answer(daemon):
    postilion = daemon()
    before = open_handles(postilion.worker_pid())
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", postilion.admin), timeout=20) as gone:
            gone.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert get(postilion.admin)[0].status == 200
    wait_until(lambda: open_handles(postilion.worker_pid()) <= before + 1, "the end of all connections")


def test_mail_goes_on_while_it_is_hammered(daemon):
    hop = NextHop("127.0.0.9")
    postilion = daemon(extra=f"route dest.test to [127.0.0.9]:{hop.port}\n", domain="    forward info to anna@dest.test")
    stop = threading.Event()
    answers = []

    def hammer():
        while not stop.is_set():
            answers.append(get(postilion.admin)[0].status)

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        with Client(postilion.port) as client:
            client.hello()
            for number in range(50):
                client.message("anna@sender.test", ["info@fwd.test"], a_message(subject=str(number)))
        hop.wait(50)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        hop.stop()
    assert len(answers) > 50 and set(answers) == {200}


def test_what_peers_said_is_text(daemon):
    """Its own script would run with the rights of whoever looks at the page."""
    dead = free_port()
    postilion = daemon(extra=f"route dest.test to [127.0.0.9]:{dead}\n", domain="    forward info to anna@dest.test")
    with Client(postilion.port) as client:
        client.send(b"EHLO <script>alert(1)</script>\r\n")
        client.reply()
        client.envelope("a'b`c=d@sender.test", "info@fwd.test")
    for path in PATHS[:3]:
        page = check_page(get(postilion.admin, path)[1])
        assert "script" not in page.tags
    answer, body = get(postilion.admin, "/?span=%22%3E%3Cscript%3E")
    check_page(body)


def test_off_means_no_port(daemon, tmp_path):
    postilion = daemon("off")
    assert postilion.log("admin-listening") == []
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    mine = [line for line in listening.splitlines()
            if f"pid={postilion.worker_pid()}," in line or f"pid={postilion.process.pid}," in line]
    assert len(mine) == 1, mine
    assert "http" not in {(task / "comm").read_text().strip() for task in
                          __import__("pathlib").Path(f"/proc/{postilion.worker_pid()}/task").iterdir()}


def test_unix_socket(daemon, tmp_path):
    path = tmp_path / "admin.sock"
    postilion = daemon(f"unix:{path}")
    assert postilion.admin == str(path)
    assert path.stat().st_mode & 0o777 == 0o660
    connection = UnixConnection(path)
    connection.request("GET", "/status.json", headers={"Host": "whoever.may.open.it"})
    assert json.loads(connection.getresponse().read())["health"]["hostname"] == "mx.fwd.test"
    connection.close()


def test_reload_and_restart_go_on_serving(daemon):
    postilion = daemon()
    postilion.signal(1)
    postilion.wait_log("reloaded")
    said = json.loads(get(postilion.admin, "/status.json")[1])["health"]
    assert said["reloaded"] is not None and said["reload_failed"] is False
    good = postilion.config.read_text()
    postilion.config.write_text(good + "nonsense\n")
    postilion.signal(1)
    postilion.wait_log("reload-failed")
    wait_until(lambda: json.loads(get(postilion.admin, "/status.json")[1])["health"]["reload_failed"], "the bad news")
    assert "reload failed" in " ".join(check_page(get(postilion.admin)[1]).shown)
    postilion.config.write_text(good)
    worker = postilion.worker_pid()
    postilion.signal(12)
    postilion.wait_log("restarting")
    wait_until(lambda: len(postilion.log("admin-listening")) == 2, "the new program")
    assert get(postilion.admin)[0].status == 200
    assert postilion.worker_pid() != worker


def test_a_new_hostname_is_served_before_anybody_asked_by_another_name(daemon):
    """Whoever came by the new name, through a proxy, was refused until somebody looked at the page by an address."""
    postilion = daemon(extra="history off\n")
    assert get(postilion.admin, "/metrics", host="mx.fwd.test")[0].status == 200
    assert json.loads(get(postilion.admin, "/trace.json?q=anna%40x.test")[1])["result"] == "off"
    text = postilion.config.read_text()
    assert "hostname mx.fwd.test" in text and "history off" in text
    postilion.config.write_text(text.replace("hostname mx.fwd.test", "hostname new.fwd.test").replace("history off\n", ""))
    postilion.signal(1)
    postilion.wait_log("reloaded")
    wait_until(lambda: get(postilion.admin, "/metrics", host="new.fwd.test")[0].status == 200, "the new name")
    assert get(postilion.admin, "/metrics", host="mx.fwd.test")[0].status == 403
    assert json.loads(get(postilion.admin, "/trace.json?q=anna%40x.test")[1])["result"] == "nothing"


def long_name(letter):
    return ".".join([letter * 63, letter * 60, "test"])


@pytest.fixture(scope="module")
def browser():
    assert chromium.program(), "Debian's chromium is needed (make deps)"
    browser = chromium.Chromium()
    yield browser
    browser.close()


def look_at(browser, url, checks_requests=True):
    """At a desk and on phones, by day and by night: nothing is cut off, nothing is hard to read, nothing else is fetched."""
    origin = url.split("/")[2]
    for width in (1280, 390, 360):
        for dark in (False, True):
            browser.open(url, width, dark=dark)
            where = f"{url} {width} {'dark' if dark else 'light'}"
            assert browser.complaints == [], where
            if checks_requests:
                assert {asked.split("/")[2] for asked in browser.asked if not asked.startswith("data:")} == {origin}, where
            wide = browser.value(chromium.WIDE)
            assert wide["bad"] == [] and wide["scroll"] <= wide["width"] == width, f"{where}: {wide}"
            assert browser.value(chromium.CONTRAST) == [], where
            lightness = sum(int(part) for part in re.findall(r"\d+", browser.value(
                "getComputedStyle(document.body).backgroundColor")))
            assert lightness < 150 if dark else lightness > 600, f"{where}: the stylesheet is not used"
            assert browser.value("document.scripts.length") == 0


def test_a_browser_shows_it_well(daemon, browser):
    hostile = f"{long_name('a')}"
    postilion = daemon(extra=f"route * to [127.0.0.9]:{free_port()}\n",
                       domain=f"    forward info to {'x' * 60}@{hostile}\n    forward other to y@{long_name('b')}")
    with Client(postilion.port) as client:
        client.hello()
        client.message(f"{'l' * 60}@{long_name('c')}", ["info@fwd.test"], a_message())
        client.message("anna@sender.test", ["other@fwd.test"], a_message())
        client.command("MAIL FROM:<a@b.test>")
        client.command("RCPT TO:<nobody@fwd.test>")
    postilion.wait_log("deferred")
    postilion.command("pause", long_name("d"))
    base = f"http://127.0.0.1:{postilion.admin}"
    ident = postilion.log("accepted")[0]["id"]
    wait_until(lambda: json.loads(get(postilion.admin, f"/trace.json?q={ident}")[1])["result"] == "one", "its story")
    for path in ("/", "/?span=1h", f"/trace?q={ident}", f"/trace?q={'l' * 60}%40{long_name('c')}", "/trace?q=" + "w" * 300,
                 "/trace?q=info%40fwd.test"):
        look_at(browser, base + path)


def test_a_browser_shows_a_full_week_well(browser, tmp_path):
    """Many numbers of all sizes: the page of make screenshots."""
    page = tmp_path / "page.html"
    page.write_bytes(subprocess.run([program("page_sample")], capture_output=True, check=True).stdout)
    check_page(page.read_bytes())
    look_at(browser, f"file://{page}", checks_requests=False)


def test_what_is_measured_can_fail(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><meta name='viewport' content='width=device-width'><body style='background:#fff'><p style='color:#aaa'>pale</p><div style='width:900px'>wide</div>"
                    "<script>nobody()</script>")
    browser.open(f"file://{page}", 390)
    assert browser.value(chromium.CONTRAST) and browser.value(chromium.WIDE)["bad"] and browser.complaints
