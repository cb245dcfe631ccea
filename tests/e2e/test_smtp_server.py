"""The server's dialogue over a real socket: codes, limits, order, line ends."""
import re
import select
import socket
import time

import pytest

import harness
from harness import Client, a_message

ALIASES = """
    forward info to anna@dest.test
    forward many to anna@dest.test bert@dest.test
    forward "a b" to anna@dest.test
    refuse gone "550 5.1.6 moved away"
    refuse spam
    defer later
    discard null
"""


@pytest.fixture
def server(postilion, next_hop):
    hop = next_hop("127.0.0.1")
    daemon = postilion(domain=ALIASES, extra=f"route * to 127.0.0.1:{hop.port}\n").start()
    daemon.hop = hop
    return daemon


def test_banner_and_ehlo(server):
    with Client(server.port) as client:
        assert client.banner[0] == 220
        assert client.banner[1][0].startswith("220 mx.fwd.test ESMTP")
        lines = client.expect("EHLO client.example", 250)
        keywords = {line[4:].split()[0] for line in lines[1:]}
        assert {"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN"} <= keywords
        assert "STARTTLS" not in keywords
        client.expect("HELO client.example", 250)


ROWS = [
    ("unknown verb", ["FROB x"], "500 5.5.1"),
    ("EHLO without a name", ["EHLO"], "501 5.5.4"),
    ("MAIL before EHLO", ["MAIL FROM:<a@b.test>"], "503 5.5.1"),
    ("RCPT before MAIL", ["EHLO c", "RCPT TO:<info@fwd.test>"], "503 5.5.1"),
    ("DATA before RCPT", ["EHLO c", "MAIL FROM:<a@b.test>", "DATA"], "554 5.5.1"),
    ("DATA with an argument", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<info@fwd.test>", "DATA x"],
     "501 5.5.4"),
    ("two MAIL", ["EHLO c", "MAIL FROM:<a@b.test>", "MAIL FROM:<a@b.test>"], "503 5.5.1"),
    ("null sender", ["EHLO c", "MAIL FROM:<>"], "250 2.1.0"),
    ("blank behind the colon", ["EHLO c", "MAIL FROM: <a@b.test>"], "250 2.1.0"),
    ("sender without a domain", ["EHLO c", "MAIL FROM:<anna>"], "501 5.1.7"),
    ("sender without brackets", ["EHLO c", "MAIL FROM:a@b.test"], "501 5.1.7"),
    ("quoted sender", ["EHLO c", 'MAIL FROM:<"a b"@b.test>'], "250 2.1.0"),
    ("source route", ["EHLO c", "MAIL FROM:<@r.test,@s.test:a@b.test>"], "250 2.1.0"),
    ("address literal", ["EHLO c", "MAIL FROM:<a@[192.0.2.1]>"], "250 2.1.0"),
    ("8-bit sender", ["EHLO c", "MAIL FROM:<\xe4@b.test>"], "553 5.6.7"),
    ("local part too long", ["EHLO c", f"MAIL FROM:<{'a' * 65}@b.test>"], "501 5.1.7"),
    ("SIZE", ["EHLO c", "MAIL FROM:<a@b.test> SIZE=1000"], "250 2.1.0"),
    ("SIZE over the limit", ["EHLO c", "MAIL FROM:<a@b.test> SIZE=99999999999"], "552 5.3.4"),
    ("SIZE is no number", ["EHLO c", "MAIL FROM:<a@b.test> SIZE=ten"], "501 5.5.4"),
    ("BODY", ["EHLO c", "MAIL FROM:<a@b.test> BODY=8BITMIME"], "250 2.1.0"),
    ("BODY unknown", ["EHLO c", "MAIL FROM:<a@b.test> BODY=9BIT"], "501 5.5.4"),
    ("BODY without lines", ["EHLO c", "MAIL FROM:<a@b.test> BODY=BINARYMIME"], "555 5.6.1"),
    ("unknown parameter", ["EHLO c", "MAIL FROM:<a@b.test> FOO=bar"], "555 5.5.4"),
    ("parameter after HELO", ["HELO c", "MAIL FROM:<a@b.test> SIZE=10"], "555 5.5.4"),
    ("known recipient", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<info@fwd.test>"], "250 2.1.5"),
    ("case of the domain", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<INFO@FWD.Test>"], "250 2.1.5"),
    ("sub-address", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<info+x@fwd.test>"], "250 2.1.5"),
    ("quoted recipient", ["EHLO c", "MAIL FROM:<a@b.test>", 'RCPT TO:<"a b"@fwd.test>'], "250 2.1.5"),
    ("postmaster alone", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<Postmaster>"], "250 2.1.5"),
    ("postmaster", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<postmaster@fwd.test>"], "250 2.1.5"),
    ("unknown user", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<nobody@fwd.test>"], "550 5.1.1"),
    ("relay denied", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<info@other.test>"], "550 5.7.1"),
    ("percent is no route", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<a%other.test@fwd.test>"],
     "550 5.1.1"),
    ("relay by source route", ["EHLO c", "MAIL FROM:<a@b.test>",
                               "RCPT TO:<@fwd.test:info@other.test>"], "550 5.7.1"),
    ("relay to a literal", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<info@[127.0.0.1]>"], "550 5.7.1"),
    ("refused with its own text", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<gone@fwd.test>"],
     "550 5.1.6 moved away"),
    ("deferred", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<later@fwd.test>"], "45"),
    ("recipient parameter", ["EHLO c", "MAIL FROM:<a@b.test>",
                             "RCPT TO:<info@fwd.test> FOO=bar"], "555 5.5.4"),
    ("NOTIFY", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<info@fwd.test> NOTIFY=NEVER"], "250 2.1.5"),
    ("NOTIFY unknown", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<info@fwd.test> NOTIFY=OFTEN"], "501 5.5.4"),
    ("BDAT without a recipient", ["EHLO c", "BDAT 0 LAST"], "503 5.5.1"),
    ("empty recipient", ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<>"], "501 5.1.3"),
    ("VRFY", ["VRFY info"], "252"),
    ("NOOP", ["NOOP whatever"], "250 2.0.0"),
    ("RSET", ["RSET"], "250 2.0.0"),
    ("HELP", ["HELP"], "214"),
    ("EXPN", ["EXPN x"], "502"),
    ("STARTTLS is not offered", ["EHLO c", "STARTTLS"], "502"),
    ("forged SRS", ["EHLO c", "MAIL FROM:<>",
                    "RCPT TO:<SRS0=AAAAAAAA=AB=b.test=a@srs.fwd.test>"], "550"),
]


@pytest.mark.parametrize("name,lines,want", ROWS, ids=[row[0] for row in ROWS])
def test_reply(server, name, lines, want):
    with Client(server.port) as client:
        for line in lines[:-1]:
            client.expect(line, 250)
        client.send(lines[-1].encode("latin-1") + b"\r\n")
        _, reply = client.reply()
        assert reply[-1].startswith(want), reply
        client.expect("NOOP", 250)  # the session goes on whatever was answered


def test_the_250_names_the_id_that_the_log_knows(server):
    with Client(server.port) as client:
        code, lines = client.hello().message("a@b.test", "info@fwd.test", a_message())
        assert code == 250
        ident = re.search(r"id=([0-9a-z]{13})$", lines[0]).group(1)
        client.expect("QUIT", 221)
    server.hop.wait(1)
    assert server.wait_log("accepted", id=ident)["orig_to"] == "<info@fwd.test>"
    assert server.wait_log("delivered", id=ident)["status"] == "sent"


def test_pipelined_group_gets_one_reply_each(server):
    with Client(server.port) as client:
        client.send("EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@fwd.test>\r\n"
                    "RCPT TO:<info@fwd.test>\r\nDATA\r\n")
        codes = [client.reply()[0] for _ in range(5)]
        assert codes == [250, 250, 550, 250, 354]
        client.send(a_message() + b".\r\nRSET\r\nQUIT\r\n")
        assert [client.reply()[0] for _ in range(3)] == [250, 250, 221]
        assert client.is_closed()
    assert server.hop.wait(1)[0].recipients == ["anna@dest.test"]


def test_everything_in_one_segment_and_octet_by_octet(server):
    dialogue = (b"EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<info@fwd.test>\r\nDATA\r\n"
                + harness.stuff(a_message(body=".dot\r\n..two\r\nend")) + b".\r\nQUIT\r\n")
    for cut in (len(dialogue), 1):
        with Client(server.port) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(dialogue), cut):
                client.send(dialogue[at:at + cut])
            assert [client.reply()[0] for _ in range(6)] == [250, 250, 250, 354, 250, 221]
    first, second = server.hop.wait(2)
    assert first.data.endswith(b"\r\n\r\n.dot\r\n..two\r\nend\r\n")
    assert first.data.split(b"\r\n\r\n", 1)[1] == second.data.split(b"\r\n\r\n", 1)[1]


SMUGGLING = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n", b"\r\r\n.\r\r\n",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n"]


@pytest.mark.parametrize("variant", SMUGGLING, ids=[repr(v) for v in SMUGGLING])
def test_no_odd_end_of_data_ends_the_message(server, variant):
    evil = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<info@fwd.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
    with Client(server.port) as client:
        client.hello().envelope("a@b.test", "info@fwd.test")
        client.send(b"Subject: outer\r\n\r\nbody" + variant + evil)
        client.send(b"\r\n.\r\n")
        code, lines = client.reply()
        if b"\0" in variant:
            assert code in (250, 550)
        else:
            assert (code, lines[0][:10]) == (550, "550 5.6.11"), lines
            assert client.is_closed()
    if b"\0" not in variant:
        assert server.hop.messages == []
        assert server.wait_log("message-refused", why="bare-cr-or-lf")
    else:
        assert len(server.hop.attempts) <= 1


@pytest.mark.parametrize("line", [b"NOOP\n", b"NO\rOP\r\n", b"NOOP\r\r\n", b"NO\0OP\r\n"])
def test_bare_line_ends_and_nul_in_commands_are_refused(server, line):
    with Client(server.port) as client:
        client.send(line)
        assert client.reply()[0] == 500
        client.expect("NOOP", 250)


def test_an_over_long_line_gets_one_answer_and_its_tail_is_no_command(server):
    with Client(server.port) as client:
        client.send(b"NOOP " + b"x" * 3000 + b" QUIT\r\nNOOP\r\n")
        assert client.reply()[0] == 500
        assert client.reply()[0] == 250
        client.send(b"y" * 200_000)
        with pytest.raises((ConnectionError, BrokenPipeError)):
            while True:
                code, _ = client.reply()
                assert code in (500, 421)


def test_too_many_errors_end_the_session(postilion):
    server = postilion(limits="    errors 3\n").start()
    with Client(server.port) as client:
        assert client.command("FROB")[0] == 500
        assert client.command("FROB")[0] == 500
        assert client.command("FROB")[0] == 500
        assert client.reply()[0] == 421
        assert client.is_closed()
    assert server.wait_log("session-end", why="too-many-errors")


def test_endless_noop_ends(server):
    with Client(server.port) as client:
        client.send("NOOP\r\n" * 5000)
        codes = []
        try:
            while True:
                codes.append(client.reply()[0])
        except ConnectionError:
            pass
        assert codes[-1] == 421 and len(codes) < 2000


def test_a_slow_client_is_cut_by_the_command_deadline(postilion):
    server = postilion(limits="    command-timeout 1s\n").start()
    with Client(server.port) as client:
        begin = time.monotonic()
        try:
            for _ in range(100):  # an octet now and then does not buy more time
                client.send("N")
                if select.select([client.socket], [], [], 0.1)[0]:
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - begin < 8
    assert server.wait_log("session-end", why="timeout")


def test_message_size_is_a_limit_while_it_streams(postilion, next_hop):
    hop = next_hop("127.0.0.1")
    server = postilion(domain=ALIASES, limits="    message-size 100K\n",
                       extra=f"route * to 127.0.0.1:{hop.port}\n").start()
    with Client(server.port) as client:
        assert any("SIZE 102400" in line for line in client.expect("EHLO c", 250))
        code, lines = client.message("a@b.test", "info@fwd.test",
                                     a_message(body="x" * 70 + ("\r\n" + "y" * 70) * 2000))
        assert (code, lines[0][:9]) == (552, "552 5.3.4")
        assert client.message("a@b.test", "info@fwd.test", a_message())[0] == 250
    hop.wait(1)


def test_header_size_hops_and_recipients_are_limits(postilion, next_hop):
    hop = next_hop("127.0.0.1")
    server = postilion(domain=ALIASES, limits="    header-size 16K\n    hops 10\n    recipients 2\n",
                       extra=f"route * to 127.0.0.1:{hop.port}\n").start()
    with Client(server.port) as client:
        client.hello()
        big = "".join(f"X-{i}: {'z' * 60}\r\n" for i in range(400))
        assert client.message("a@b.test", "info@fwd.test", a_message(extra=big))[1][0][:9] == "552 5.3.4"
        received = "Received: from a by b; Sat, 21 Nov 2026 12:00:00 +0000\r\n"
        assert client.message("a@b.test", "info@fwd.test",
                              a_message(extra=received * 11))[1][0][:9] == "554 5.4.6"
        assert client.message("a@b.test", "info@fwd.test", a_message(extra=received * 10))[0] == 250
        client.expect("MAIL FROM:<a@b.test>", 250)
        client.expect("RCPT TO:<info@fwd.test>", 250)
        client.expect("RCPT TO:<many@fwd.test>", 250)
        client.expect("RCPT TO:<info+x@fwd.test>", 452)


def test_one_client_may_not_take_all_connections(postilion):
    server = postilion(limits="    per-client 3\n").start()
    clients = [Client(server.port) for _ in range(3)]
    refused = Client(server.port)
    assert refused.banner[0] == 421
    other = Client(server.port, source="127.0.0.9")
    assert other.banner[0] == 220
    for client in [*clients, refused, other]:
        client.close()
    harness.wait_until(lambda: _may_connect(server.port), "a free place")


def _may_connect(port):
    with Client(port) as client:
        return client.banner[0] == 220


def test_discard_is_accepted_and_logged(server):
    with Client(server.port) as client:
        assert client.hello().message("a@b.test", "null@fwd.test", a_message())[0] == 250
    assert server.wait_log("discarded")["orig_to"] == "<null@fwd.test>"
    assert server.hop.messages == []


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(server):
    client = Client(server.port)
    client.hello().envelope("a@b.test", "info@fwd.test")
    client.send(b"Subject: half\r\n\r\nhalf a mess")
    client.close()
    server.wait_log("session-end")
    assert server.log("accepted") == []
    assert server.command("queue", "list").stdout.count("info@fwd.test") == 0
