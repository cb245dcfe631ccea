"""SMTP smuggling through the whole house: every end of data that some server took for one, by DATA and by
BDAT, to next hops of both kinds. Looked at is what reaches the next hop's socket, octet by octet."""
import re

import pytest

from harness import Client

KINDS = {"chunking": ("PIPELINING", "8BITMIME", "CHUNKING", "DSN"), "data": ("PIPELINING", "8BITMIME"), "slow": ()}
SECOND = b"MAIL FROM:<evil@evil.test>\r\nRCPT TO:<info@fwd.test>\r\nDATA\r\nS: y\r\n\r\nb"

# The end, and by DATA: is the message taken (the end is content), or refused with the session closed?
ENDS = {
    "LF . LF": (b"\n.\n", False), "LF . CRLF": (b"\n.\r\n", False), "LF . CR": (b"\n.\r", False),
    "CR . CR": (b"\r.\r", False), "CR . LF": (b"\r.\n", False), "CR . CRLF": (b"\r.\r\n", False),
    "CRLF . LF": (b"\r\n.\n", False), "CRLF . CR": (b"\r\n.\r", False), "CRLF . CR CRLF": (b"\r\n.\r\r\n", False),
    "LF CR . CRLF": (b"\n\r.\r\n", False), "CR CR . CRLF": (b"\r\r.\r\n", False), "LF LF . LF": (b"\n\n.\n", False),
    "CRLF NUL . CRLF": (b"\r\n\0.\r\n", False), "CR NUL LF . CRLF": (b"\r\0\n.\r\n", False),
    "CRLF . CR NUL LF": (b"\r\n.\r\0\n", False), "LF NUL . LF": (b"\n\0.\n", False),
    "CRLF . NUL CRLF": (b"\r\n.\0\r\n", True), "CRLF .. CRLF": (b"\r\n..\r\n", True),
    "CRLF . blank CRLF": (b"\r\n. \r\n", True), "a dot without CRLF": (b".\r\n", True),
}
# What careless next hops take for the end: nothing of the kind may leave, whatever came in.
CARELESS = re.compile(rb"(?:\r\n|(?<!\r)\n|\r(?!\n))\0*\.\0*(?:(?<!\r)\n|\r(?!\n))|[^\r]\n\0*\.\0*\r|\r\n\0+\.\0*\r\n")
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


def is_innocent(wire):
    """No octets that could end a message early, beside the ends that are ours."""
    return not BARE.search(wire) and not CARELESS.search(wire)


def record(hop):
    """All octets the hop reads, as they are on the wire."""
    wire = bytearray()
    dialogue = hop._dialogue

    class Recorder:
        def __init__(self, stream):
            self.stream = stream

        def readline(self, *size):
            wire.extend(data := self.stream.readline(*size))
            return data

        def read(self, *size):
            wire.extend(data := self.stream.read(*size))
            return data

    hop._dialogue = lambda connection, stream, session: dialogue(connection, Recorder(stream), session)
    return wire


def check_out(world, hop, wire, count):
    """`count` messages were taken, and that many have left."""
    if count:
        hop.wait(count)
        world.daemon.wait_log("accepted", count=count)
    accepted = world.daemon.log("accepted")
    assert len(accepted) == len(hop.attempts) == count
    assert all(line["from"] == "<anna@sender.test>" for line in accepted)
    commands = [line for line in hop.commands if line[:4].upper() in (b"MAIL", b"RCPT")]
    assert len(commands) == 2 * count and not [line for line in commands if b"evil" in line]
    assert is_innocent(bytes(wire))


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_message_in_at_most_one_out(world, kind, way):
    hop = world.hop(keywords=KINDS[kind])
    wire = record(hop)
    world.start()
    count = 0
    for name, (end, is_taken) in ENDS.items():
        if way == "BDAT":
            is_taken = not (BARE.search(end) or b"\r\n\0." in end)
        for second in (b"", SECOND):
            with Client(world.daemon.port) as client:
                client.hello()
                client.expect("MAIL FROM:<anna@sender.test>", 250)
                client.expect("RCPT TO:<info@fwd.test>", 250)
                content = b"Subject: x\r\n\r\na" + end + second + b"\r\n"
                if way == "DATA":
                    client.send(b"DATA\r\n" + content + b".\r\nNOOP\r\n")
                    assert client.reply()[0] == 354
                else:
                    client.send(b"BDAT %d LAST\r\n%sNOOP\r\n" % (len(content), content))
                code, lines = client.reply()
                assert code == (250 if is_taken else 550), (name, lines)
                if is_taken:
                    assert client.reply()[0] == 250, name
                    count += 1
                else:
                    assert " 5.6.11 " in lines[0] and client.is_closed(), name
    check_out(world, hop, wire, count)


@pytest.mark.parametrize("kind", KINDS)
def test_commands_behind_a_true_end_are_commands(world, kind):
    hop = world.hop(keywords=KINDS[kind])
    wire = record(hop)
    world.start()
    with Client(world.daemon.port) as client:
        client.hello()
        client.send(b"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<info@fwd.test>\r\nDATA\r\n\r\na\r\n.\r\n" * 3)
        assert [client.reply()[0] for _ in range(12)] == [250, 250, 354, 250] * 3
    check_out(world, hop, wire, 3)


DESYNC = [
    ("a chunk behind a refused recipient", b"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<nobody@fwd.test>\r\nBDAT 44 LAST\r\n"
     b"MAIL FROM:<evil@evil.test>\r\nRSET\r\nRSET\r\n\r\n\r\nNOOP\r\n", [250, 550, 554, 250], False),
    ("chunks behind a refused sender", b"MAIL FROM:<anna@sender.test> X=1\r\nRCPT TO:<info@fwd.test>\r\nBDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\n"
     b"NOOP\r\n", [555, 503, 503, 503, 250], False),
    ("leading zeros are the same number", b"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<nobody@fwd.test>\r\nBDAT 006 LAST\r\nQUIT\r\nNOOP\r\n",
     [250, 550, 554, 250], False),
    ("a sign", b"BDAT +6 LAST\r\nQUIT\r\nNOOP\r\n", [501], True),
    ("2 to the 64", b"BDAT 18446744073709551616 LAST\r\nNOOP\r\n", [501], True),
    ("2 to the 32", b"BDAT 4294967296 LAST\r\nNOOP\r\n", [552], True),
    ("hexadecimal", b"BDAT 0x10 LAST\r\nNOOP\r\n", [501], True),
    ("exponent", b"BDAT 1e1 LAST\r\nNOOP\r\n", [501], True),
    ("a tab", b"BDAT\t6 LAST\r\nQUIT\r\nNOOP\r\n", [500, 221], True),
    ("LAST alone", b"BDAT LAST\r\nNOOP\r\n", [501], True),
    ("RSET in between", b"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<info@fwd.test>\r\nBDAT 6\r\nS: x\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\n"
     b"NOOP\r\n", [250, 250, 250, 250, 503, 250], False),
    ("BDAT 0 LAST twice", b"RSET\r\nBDAT 0 LAST\r\nBDAT 0 LAST\r\nNOOP\r\n", [250, 503, 503, 250], False),
    ("octets that never come", b"MAIL FROM:<anna@sender.test>\r\nRCPT TO:<info@fwd.test>\r\nBDAT 100 LAST\r\nS: x\r\n", [250, 250], False),
    ("STARTTLS where there is none", b"STARTTLS\r\nMAIL FROM:<anna@sender.test>\r\n", [502, 250], False),
    ("a PROXY header", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\nNOOP\r\n", [500, 250], False),
    ("XCLIENT", b"XCLIENT ADDR=10.0.0.1 LOGIN=root\r\nNOOP\r\n", [550, 250], False),
]


@pytest.mark.parametrize("name,octets,replies,is_closed", DESYNC, ids=[row[0] for row in DESYNC])
def test_chunks_are_never_commands(world, name, octets, replies, is_closed):
    hop = world.hop(keywords=KINDS["chunking"])
    wire = record(hop)
    world.start()
    with Client(world.daemon.port) as client:
        client.hello()
        client.send(octets)
        assert [client.reply()[0] for _ in replies] == replies
        if is_closed:
            assert client.is_closed()
    check_out(world, hop, wire, 0)


def test_content_cut_by_the_end_of_the_connection_is_no_message(world):
    hop = world.hop()
    wire = record(hop)
    world.start()
    for tail in (b"DATA\r\nS: x\r\n\r\na\r\n.", b"DATA\r\nS: x\r\n\r\na\r\n.\r", b"BDAT 9 LAST\r\nS: x\r\n\r\n", b"BDAT 8\r\nS: x\r\n\r\n"):
        with Client(world.daemon.port) as client:
            client.hello()
            client.expect("MAIL FROM:<anna@sender.test>", 250)
            client.expect("RCPT TO:<info@fwd.test>", 250)
            client.send(tail)
    assert world.daemon.wait_log("session-end", count=4)
    check_out(world, hop, wire, 0)


def test_the_recorder_sees_what_is_careless():
    for end, is_taken in ENDS.values():
        if not is_taken:
            assert not is_innocent(b"x" + end + b"x")
    assert is_innocent(b"a\r\n..\r\nb\r\n.\r\n")
