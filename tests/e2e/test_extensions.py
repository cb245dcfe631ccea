"""SMTP extensions in both directions: CHUNKING, SMTPUTF8, DSN; between scripted and real peers."""
import email
import email.policy
import os
import re
import smtplib
import subprocess

import dkim
import pytest

import harness
from harness import Client, a_message, wait_until
from test_real_peers import exim, let_others_in  # noqa: F401

ALL = ("PIPELINING", "8BITMIME", "SIZE 100000000", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN")
PLAIN = ("PIPELINING", "8BITMIME", "SIZE 100000000", "ENHANCEDSTATUSCODES")


def mail(client, sender, recipients, mail_parameters="", rcpt_parameters=""):
    client.expect(f"MAIL FROM:<{sender}>{mail_parameters}", 250)
    for recipient in recipients:
        client.expect(f"RCPT TO:<{recipient}>{rcpt_parameters}", 250)


def bdat(client, data, size=None):
    """The message in chunks of `size`, all in one go; the replies."""
    size = size or len(data)
    chunks = [data[i:i + size] for i in range(0, len(data), size)]
    client.send(b"".join(b"BDAT %d%s\r\n%s" % (len(chunk), b" LAST" if i == len(chunks) - 1 else b"", chunk)
                         for i, chunk in enumerate(chunks)))
    return [client.reply() for _ in chunks]


def send_chunked(world, data, size=None, recipients=("info@fwd.test",), sender="anna@sender.test", **parameters):
    with Client(world.daemon.port) as client:
        mail(client.hello(), sender, recipients, **parameters)
        replies = bdat(client, data, size)
        assert all(code == 250 for code, _ in replies), replies
        return replies[-1][1][0].rsplit("id=", 1)[1]


# --- chunks ---------------------------------------------------------------------------------

TRICKY = a_message(body=".\r\n..\r\n.\r\nMAIL FROM:<x@evil.test>\r\nRCPT TO:<x@evil.test>\r\nDATA\r\n.\r\nQUIT\r\nBDAT 3 LAST\r\nend.")


@pytest.mark.parametrize("keywords", [ALL, PLAIN], ids=["chunking", "data"])
@pytest.mark.parametrize("size", [None, 7, 1], ids=["whole", "sevens", "octets"])
@pytest.mark.parametrize("mode", ["store", "handoff"])
def test_what_comes_in_chunks_goes_out_as_it_was(world, keywords, size, mode):
    hop = world.hop(keywords=keywords)
    world.start(mode=mode)
    send_chunked(world, TRICKY, size)
    message = hop.wait()[0]
    assert message.data.endswith(TRICKY) and message.data.count(b"Received:") == 1
    assert message.chunks == (1 if "CHUNKING" in keywords else 0)
    assert len(hop.attempts) == 1 and hop.connections == 1


def test_data_in_and_chunks_out(world):
    hop = world.hop(keywords=ALL)
    world.start()
    for number in range(3):
        world.send(data=a_message(f"n{number}", body=".\r\n..x"))
        assert hop.wait(number + 1)[-1].data.endswith(b"\r\n.\r\n..x\r\n")
    assert not [line for line in hop.commands if line == b"DATA"]
    assert len([line for line in hop.commands if line.startswith(b"BDAT") and line.endswith(b" LAST")]) == 3


def test_a_big_message_goes_from_chunks_to_a_file_to_a_chunk(world):
    hop = world.hop(keywords=ALL)
    world.start()
    data = a_message(body="\r\n".join("." * (i % 70) + str(i) for i in range(60000)))
    assert len(data) > 2_000_000
    send_chunked(world, data, 65536)
    message = hop.wait()[0]
    assert message.data.endswith(data) and message.chunks == 1


def test_no_end_of_line_at_the_end(world):
    hop = world.hop(keywords=ALL)
    world.start()
    send_chunked(world, a_message()[:-2])
    assert hop.wait()[0].data.endswith(a_message())


def test_a_refused_recipient_leaves_the_connection_in_step(world):
    hop = world.hop(keywords=ALL, script=lambda stage, line, session: "550 5.1.1 no" if stage == "rcpt"
                    and b"sepp" in line else None)
    world.hop(world.SENDER)
    world.start()
    with Client(world.daemon.port) as client:
        client.hello()
        for name in ("sales", "info", "sales", "info"):
            mail(client, "anna@sender.test", [f"{name}@fwd.test"])
            assert bdat(client, a_message(name, body="QUIT\r\nRSET"))[0][0] == 250
    messages = hop.wait(2)
    assert all(message.data.endswith(b"\r\nQUIT\r\nRSET\r\n") for message in messages)
    world.daemon.wait_log("bounced", count=2)


SMUGGLING = [
    # what is sent behind an envelope; what it is answered; None: the connection ends
    ("end of data in a chunk", b"BDAT 40 LAST\r\nS: x\r\n\r\n.\r\nMAIL FROM:<x@evil.test>\r\n\r\n\r\nNOOP\r\n", [250, 250]),
    ("LF . LF", b"BDAT 14 LAST\r\nS: x\r\n\r\n\n.\n\r\n\r\nNOOP\r\n", [550, None]),
    ("LF . CRLF", b"BDAT 12 LAST\r\nS: x\r\n\r\n\n.\r\nNOOP\r\n", [550, None]),
    ("CR . CR", b"BDAT 11 LAST\r\nS: x\r\n\r\n\r.\rNOOP\r\n", [550, None]),
    ("LF of another chunk", b"BDAT 11\r\nS: x\r\n\r\na\r\nBDAT 4 LAST\r\n\n.\r\nNOOP\r\n", [250, 550, None]),
    ("DATA in between", b"BDAT 8\r\nS: x\r\n\r\nDATA\r\nBDAT 3 LAST\r\n.\r\nNOOP\r\n", [250, 503, 250, 250]),
    ("size and one octet more", b"BDAT 7 LAST\r\nS: x\r\n\r\n", [550, None]),
    ("one size too small", b"BDAT 8 LAST\r\nS: x\r\n\r\nMAIL FROM:<x@evil.test>\r\nRCPT TO:<y@evil.test>\r\nRSET\r\n", [250, 250, 550, 250]),
    ("negative size", b"BDAT -1 LAST\r\nNOOP\r\n", [501, None]),
    ("size with a sign", b"BDAT +8 LAST\r\nS: x\r\n\r\nNOOP\r\n", [501, None]),
    ("size that wraps at 32 bits is that size", b"BDAT 4294967304 LAST\r\nS: x\r\n\r\nNOOP\r\n", [552, None]),
    ("size that wraps at 64 bits", b"BDAT 18446744073709551624 LAST\r\nS: x\r\n\r\nNOOP\r\n", [501, None]),
    ("hexadecimal", b"BDAT 0x8 LAST\r\nS: x\r\n\r\nNOOP\r\n", [501, None]),
    ("blank inside", b"BDAT 1 0 LAST\r\nS: x\r\n\r\nNOOP\r\n", [501, None]),
    ("LASTX", b"BDAT 8 LASTX\r\nS: x\r\n\r\nNOOP\r\n", [501, None]),
    ("BDAT ended by LF", b"BDAT 8 LAST\nS: x\r\n\r\nNOOP\r\n", [501, None]),
    ("BDAT after LAST", b"BDAT 8 LAST\r\nS: x\r\n\r\nBDAT 23 LAST\r\nMAIL FROM:<x@evil.test>NOOP\r\n", [250, 503, 250]),
    ("BDAT with no size where none may come", b"RSET\r\nBDAT LAST\r\nNOOP\r\n", [250, 501, None]),
    ("refused chunk full of commands", b"RSET\r\nBDAT 23 LAST\r\nMAIL FROM:<x@evil.test>NOOP\r\n", [250, 503, 250]),
]


@pytest.mark.parametrize("name,octets,replies", SMUGGLING, ids=[row[0] for row in SMUGGLING])
@pytest.mark.parametrize("keywords", [ALL, PLAIN], ids=["chunking", "data"])
def test_content_is_never_a_command(world, keywords, name, octets, replies):
    hop = world.hop(keywords=keywords)
    world.start()
    with Client(world.daemon.port) as client:
        mail(client.hello(), "anna@sender.test", ["info@fwd.test"])
        client.send(octets)
        for want in replies:
            if want is None:
                assert client.is_closed()
            else:
                code, lines = client.reply()
                assert code == want, lines
    accepted = world.daemon.log("accepted")
    if accepted:
        hop.wait(len(accepted))
    assert len(hop.attempts) == len(accepted) <= 1
    assert all(line["from"] == "<anna@sender.test>" for line in accepted)
    assert not [line for line in hop.commands if b"evil" in line and line.startswith((b"MAIL", b"RCPT"))]


def test_signatures_are_the_same_by_data_and_by_chunks(world, tmp_path):
    from test_arc import HERE, OURS, ZONE, seal, signed
    hop = world.hop(keywords=ALL)
    world.start(zone=ZONE, authenticate="on", domain=world.DOMAIN + seal(tmp_path, sign="yes"))
    data = signed(a_message(body="  trailing \t \r\n.\r\n\r\n\r\n"))
    with Client(world.daemon.port, source=HERE) as client:
        client.hello()
        for way in ("DATA", "BDAT"):
            if way == "DATA":
                assert client.message("anna@sender.test", "info@fwd.test", data)[0] == 250
            else:
                mail(client, "anna@sender.test", ["info@fwd.test"])
                assert all(code == 250 for code, _ in bdat(client, data, 11))
    for message in hop.wait(2):
        results = re.search(rb"^Authentication-Results: (?:.*\r\n)(?:[ \t].*\r\n)*", message.data, re.M).group()
        assert b"dkim=pass" in results and b"spf=pass" in results and b"dmarc=pass" in results
        lookup = {f"{name}.".encode(): records[0][1].encode() for name, records in ZONE.items()
                  if "_domainkey" in name}
        found = dkim.DKIM(message.data)
        count = sum(name.lower() == b"dkim-signature" for name, _ in found.headers)
        assert count == 2 and OURS is not None
        for index in range(count):
            assert dkim.DKIM(message.data).verify(index, dnsfunc=lambda name, timeout=5: lookup.get(
                name if name.endswith(b".") else name + b"."))


def test_results_about_a_sender_in_utf8(world):
    from test_arc import HERE, ZONE
    hop = world.hop(keywords=ALL)
    zone = {**ZONE, "ex.test": [("TXT", "v=spf1 exists:%{l}._.%{d} ip4:" + HERE + " -all"), ("MX", "10 mx.sender.test.")]}
    world.start(zone=zone, authenticate="on")
    for sender in ("jörg@sender.test", "jörg@ex.test"):
        with Client(world.daemon.port, source=HERE) as client:
            mail(client.hello(), sender, ["info@fwd.test"], " SMTPUTF8")
            assert bdat(client, UTF8_MAIL)[0][0] == 250
    for message in hop.wait(2):
        assert b"spf=pass" in message.data and b"jorg" not in message.data


@pytest.mark.parametrize("is_said", [True, False])
def test_a_munged_author_in_utf8(world, tmp_path, is_said):
    from test_forecast import HERE, ZONE, seal
    hop, back = world.hop(keywords=ALL), world.hop(world.SENDER, keywords=ALL)
    world.start(zone={**ZONE, "reject.test": [*ZONE["reject.test"], ("MX", "10 mx.sender.test.")]}, authenticate="on",
                policy="doomed munge\nmunge-from when-needed", extra=seal(tmp_path))
    data = UTF8_MAIL.replace(b"@sender.test>\r\nTo", b"@reject.test>\r\nTo")
    with Client(world.daemon.port, source=HERE) as client:
        mail(client.hello(), "jörg@reject.test" if is_said else "anna@reject.test", ["info@fwd.test"],
             " SMTPUTF8" if is_said else "")
        code, lines = bdat(client, data)[0]
        assert code == 250, lines
    message = hop.wait()[0]
    address = re.search(rb"^From: .*<(.*)>\r$", message.data, re.M).group(1).decode()
    assert address.startswith("REPLY0=") and address.endswith("@fwd.test")
    assert address.isascii() != is_said and ("=jörg@" in address) == is_said
    assert ("SMTPUTF8" in message.parameters) == is_said
    with Client(world.daemon.port, source=HERE) as client:
        mail(client.hello(), "anna@sender.test", [address], "" if address.isascii() else " SMTPUTF8")
        assert bdat(client, a_message("reply"))[0][0] == 250
    assert back.wait()[0].recipients == ["jörg@reject.test"]


# --- UTF-8 ----------------------------------------------------------------------------------

UTF8_MAIL = ("From: Jörg <jörg@sender.test>\r\nTo: info@fwd.test\r\nSubject: grüße\r\n"
             "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <u@sender.test>\r\n\r\nhallo\r\n").encode()
UTF8_DOMAIN = """
    forward info to anna@dest.test
    forward büro to anna@dest.test
    forward mixed to anna@dest.test änne@dest.test
    """


def test_a_sender_in_utf8_there_and_back(world):
    hop, back = world.hop(keywords=ALL), world.hop(world.SENDER, keywords=ALL)
    world.start(domain=UTF8_DOMAIN)
    send_chunked(world, UTF8_MAIL, recipients=["büro@fwd.test"], sender="jörg@sender.test",
                 mail_parameters=" SMTPUTF8 BODY=8BITMIME")
    message = hop.wait()[0]
    assert re.fullmatch(r"SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=sender\.test=jörg@srs\.fwd\.test", message.sender)
    assert message.parameters.split()[1:] == ["BODY=8BITMIME", "SMTPUTF8"]
    assert message.data.endswith(UTF8_MAIL) and b"with UTF8SMTP id" in message.data
    with Client(world.daemon.port) as client:
        client.hello()
        assert client.command("MAIL FROM:<>")[0] == 250
        assert client.command(f"RCPT TO:<{message.sender}>")[0] == 553
        client.expect("RSET", 250)
        mail(client, "", [message.sender], " SMTPUTF8")
        assert bdat(client, a_message("bounce"))[0][0] == 250
    returned = back.wait()[0]
    assert (returned.sender, returned.recipients) == ("", ["jörg@sender.test"])
    assert "SMTPUTF8" in returned.parameters


@pytest.mark.parametrize("mode", ["store", "handoff"])
def test_a_next_hop_without_smtputf8_refuses_what_needs_it(world, mode):
    hop, back = world.hop(keywords=PLAIN), world.hop(world.SENDER, keywords=ALL)
    world.start(domain=UTF8_DOMAIN, mode=mode)
    with Client(world.daemon.port) as client:
        mail(client.hello(), "jörg@sender.test", ["info@fwd.test"], " SMTPUTF8")
        code, lines = bdat(client, UTF8_MAIL)[0]
    if mode == "handoff":
        assert code == 550 and " 5.6.7 " in lines[0]
    else:
        assert code == 250
        bounce = back.wait()[0]
        assert bounce.recipients == ["jörg@sender.test"] and b"Status: 5.6.7" in bounce.data
        assert "SMTPUTF8" in bounce.parameters
    assert hop.attempts == []


def test_what_does_not_need_smtputf8_goes_without(world):
    hop = world.hop(keywords=PLAIN)
    world.start(domain=UTF8_DOMAIN)
    send_chunked(world, a_message(), recipients=["büro@fwd.test"], mail_parameters=" SMTPUTF8")
    message = hop.wait()[0]
    assert "SMTPUTF8" not in message.parameters and message.data.isascii()


def test_one_target_in_utf8_does_not_fail_the_other(world):
    hop, back = world.hop(keywords=PLAIN), world.hop(world.SENDER)
    world.start(domain=UTF8_DOMAIN)
    world.send("mixed@fwd.test")
    assert hop.wait()[0].recipients == ["anna@dest.test"]
    bounce = back.wait()[0]
    assert b"5.6.7" in bounce.data and "änne".encode() not in bounce.data


def test_a_domain_in_utf8_is_the_one_dns_knows(world):
    hop = world.hop(keywords=PLAIN)
    world.start(zone={"xn--bcher-kva.test": [("MX", "10 mx.dest.test.")]},
                domain="    forward info to anna@bücher.test\n")
    send_chunked(world, a_message(), sender="anna@bücher.test", mail_parameters=" SMTPUTF8")
    message = hop.wait()[0]
    assert message.recipients == ["anna@xn--bcher-kva.test"]
    assert "=xn--bcher-kva.test=anna@" in message.sender


def test_a_domain_of_ours_in_utf8(world):
    hop = world.hop(keywords=ALL)
    world.start(extra="domain bücher.test {\n forward postmaster to anna@dest.test\n"
                      " forward abuse to anna@dest.test\n forward info to bert@dest.test\n}\n"
                      "route zwölf.test to 127.0.0.2:%d\n" % world.port,
                domain="    forward info to info@bücher.test\n    forward zwölf to anna@zwölf.test\n")
    send_chunked(world, a_message("one"), recipients=["info@fwd.test"])
    send_chunked(world, a_message("two"), recipients=["info@bücher.test"], mail_parameters=" SMTPUTF8")
    send_chunked(world, a_message("three"), recipients=["info@xn--bcher-kva.test"])
    send_chunked(world, a_message("four"), recipients=["zwölf@fwd.test"], mail_parameters=" SMTPUTF8")
    assert [message.recipients for message in hop.wait(4)] == 3 * [["bert@dest.test"]] + [["anna@xn--zwlf-6qa.test"]]


def test_python_smtplib_is_understood(world):
    hop = world.hop(keywords=ALL)
    world.start(domain=UTF8_DOMAIN)
    message = email.message_from_bytes(UTF8_MAIL, policy=email.policy.SMTPUTF8)
    with smtplib.SMTP("127.0.0.1", world.daemon.port) as client:
        client.send_message(message, "jörg@sender.test", ["büro@fwd.test"],
                            mail_options=["RET=HDRS", "ENVID=x"], rcpt_options=["NOTIFY=FAILURE"])
    assert "grüße".encode() in hop.wait()[0].data


# --- reports --------------------------------------------------------------------------------


def rcpts(hop):
    return [line.decode() for line in hop.commands if line.startswith(b"RCPT")]


def test_what_the_sender_wants_to_hear_is_passed_on(world):
    hop = world.hop(keywords=ALL)
    world.start()
    send_chunked(world, a_message(), mail_parameters=" RET=HDRS ENVID=QQ+2B1",
                 rcpt_parameters=" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first+2Bname@sender.test")
    assert hop.wait()[0].parameters.endswith("RET=HDRS ENVID=QQ+2B1")
    assert rcpts(hop) == ["RCPT TO:<anna@dest.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first+2Bname@sender.test"]


def test_a_next_hop_learns_the_alias(world):
    hop = world.hop(keywords=ALL)
    world.start()
    world.send()
    hop.wait()
    assert rcpts(hop) == ["RCPT TO:<anna@dest.test> ORCPT=rfc822;info@fwd.test"]


def test_nothing_is_said_to_a_next_hop_without_dsn(world):
    hop = world.hop(keywords=PLAIN)
    world.start()
    send_chunked(world, a_message(), mail_parameters=" RET=FULL ENVID=x",
                 rcpt_parameters=" NOTIFY=NEVER ORCPT=rfc822;x")
    assert hop.wait()[0].parameters.startswith("SIZE=") and " " not in hop.wait()[0].parameters
    assert rcpts(hop) == ["RCPT TO:<anna@dest.test>"]


def test_wishes_survive_a_restart(world):
    state = {"is_up": False}
    hop = world.hop(keywords=ALL, script=lambda stage, line, session: None if state["is_up"]
                    else "450 4.2.0 later" if stage == "mail" else None)
    world.start(delivery="    retry 1s\n")
    ident = send_chunked(world, a_message(), mail_parameters=" RET=FULL ENVID=again",
                         rcpt_parameters=" NOTIFY=FAILURE ORCPT=rfc822;o@sender.test")
    world.daemon.wait_log("deferred", id=ident)
    world.daemon.stop()
    state["is_up"] = True
    del hop.commands[:]
    world.daemon.start()
    assert hop.wait()[0].parameters.endswith("RET=FULL ENVID=again")
    assert rcpts(hop)[-1] == "RCPT TO:<anna@dest.test> NOTIFY=FAILURE ORCPT=rfc822;o@sender.test"


@pytest.mark.parametrize("notify,is_told", [("NEVER", False), ("SUCCESS", False), ("DELAY", False),
                                            ("FAILURE", True), ("SUCCESS,FAILURE", True)])
def test_a_failure_is_told_to_who_wants_to_hear_it(world, notify, is_told):
    world.hop(keywords=PLAIN, script=lambda stage, line, session: "550 5.1.1 no" if stage == "rcpt" else None)
    back = world.hop(world.SENDER)
    world.start()
    first = send_chunked(world, a_message(), rcpt_parameters=f" NOTIFY={notify}")
    last = send_chunked(world, a_message("second"))
    bounces = back.wait(2 if is_told else 1)
    assert [b"<second@" in bounce.data for bounce in bounces].count(True) == 1
    assert len(bounces) == (2 if is_told else 1) and first != last


# --- real peers -----------------------------------------------------------------------------


def test_exim_takes_chunks(world, exim):  # noqa: F811
    world.start()
    send_chunked(world, a_message(body=".dot\r\n..two\r\n.\r\nend"))
    line = world.daemon.wait_log("delivered")
    assert "chunk" in line["reply"] and re.search(r"<= .* K ", exim.log())
    _, recipients, _, body = wait_until(exim.messages, "the message in exim's spool")[0]
    assert recipients == ["anna@dest.test"] and body == b".dot\n..two\n.\nend\n"


EXIM_CLIENT = """
primary_hostname = exim.sender.test
exim_path = {peers}/usr/sbin/exim4
deliver_drop_privilege = true
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
never_users =
message_size_limit = 100M
begin acl
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1::{port} byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  hosts_try_fastopen =
  allow_localhost
begin retry
begin rewrite
begin authenticators
"""


def test_exim_sends_chunks(world, tmp_path):
    hop = world.hop(keywords=ALL)
    world.start()
    directory = tmp_path / "client"
    directory.mkdir()
    user, group = (65534, 65534) if os.getuid() == 0 else (os.getuid(), os.getgid())
    if os.getuid() == 0:
        os.chown(directory, user, group)
        let_others_in(directory)
    passwd, groups = directory / "passwd", directory / "group"
    passwd.write_text("root:x:0:0::/:/bin/sh\n"
                      f"Debian-exim:x:{user}:{group}::{directory}:/bin/false\n")
    groups.write_text(f"root:x:0:\nDebian-exim:x:{group}:\nmail:x:8:\n")
    wrapper = next((harness.PEERS / "usr/lib").glob("*/libnss_wrapper.so"))
    config = directory / "exim.conf"
    config.write_text(EXIM_CLIENT.format(directory=directory, port=world.daemon.port, peers=harness.PEERS))
    data = a_message(body="\n".join([".dot", "..two", ".", *(f"line {i} " + "x" * 60 for i in range(3000)), "end"]))
    done = subprocess.run(
        [str(harness.PEERS / "usr/sbin/exim4"), "-C", str(config), "-odf", "-oi", "-f", "anna@sender.test",
         "info@fwd.test"], input=data.replace(b"\r\n", b"\n"), capture_output=True, timeout=harness.PATIENCE,
        env={**os.environ, "LD_PRELOAD": str(wrapper), "NSS_WRAPPER_PASSWD": str(passwd),
             "NSS_WRAPPER_GROUP": str(groups)})
    log = (directory / "mainlog").read_text() if (directory / "mainlog").exists() else ""
    assert done.returncode == 0, done.stderr.decode() + log
    message = hop.wait()[0]
    assert re.search(r"=> info@fwd\.test .* K ", log), log
    assert b"\r\n.dot\r\n..two\r\n.\r\nline 0 " in message.data and message.data.endswith(b"\r\nend\r\n")


POSTFIX = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
command_directory = {peers}/usr/sbin
daemon_directory = {peers}/usr/lib/postfix/sbin
shlib_directory = {peers}/usr/lib/postfix
meta_directory = {directory}/etc
import_environment = MAIL_CONFIG LD_LIBRARY_PATH LANG=C LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP POSTLOG_SERVICE POSTLOG_HOSTNAME
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
myhostname = mx.dest.test
mydestination =
relay_domains = dest.test
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtputf8_enable = {utf8}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_client_access static:HOLD
"""
SERVICES = ("pickup", "cleanup", "qmgr", "trivial-rewrite", "bounce", "proxymap", "smtp", "showq", "error", "anvil",
            "postlogd", "rewrite", "defer", "trace", "flush", "verify", "relay", "smtpd")


class Postfix:
    """Takes mail for dest.test and puts it on hold."""

    def __init__(self, directory, port, utf8="yes"):
        self.directory = directory
        etc, queue = directory / "etc", directory / "queue"
        for path in (directory, etc, queue, directory / "data"):
            path.mkdir()
        let_others_in(etc)
        os.chown(directory / "data", 64001, 64001)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop",
                     "pid", "private", "public", "saved", "trace"):
            (queue / name).mkdir()
            os.chown(queue / name, 0 if name == "pid" else 64001, 64002 if name in ("maildrop", "public") else 0)
            (queue / name).chmod({"maildrop": 0o1730, "public": 0o2710, "pid": 0o755}.get(name, 0o700))
        (etc / "main.cf").write_text(POSTFIX.format(directory=directory, peers=harness.PEERS, utf8=utf8))
        (etc / "dynamicmaps.cf").write_text("")
        lines = []
        for line in (harness.PEERS / "usr/share/postfix/master.cf.dist").read_text().splitlines():
            fields = line.split()
            if not line or line[0] in "# " or fields[0] not in ("smtp", *SERVICES) or fields[7] not in SERVICES:
                continue
            if fields[7] == "smtpd":
                fields[0] = f"127.0.0.2:{port}"
            fields[4] = "n"
            lines.append(" ".join(fields))
        (etc / "master.cf").write_text("\n".join(lines) + "\n")
        passwd, groups = directory / "passwd", directory / "group"
        passwd.write_text(f"root:x:0:0::/:/bin/sh\npostfix:x:64001:64001::{directory}:/bin/false\n"
                          "nobody:x:65534:65534::/:/bin/false\n")
        groups.write_text("root:x:0:\npostfix:x:64001:\npostdrop:x:64002:\nnogroup:x:65534:\n")
        wrapper = next((harness.PEERS / "usr/lib").glob("*/libnss_wrapper.so"))
        self.environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(harness.PEERS / "usr/lib/postfix"),
                            "MAIL_CONFIG": str(etc), "LD_PRELOAD": str(wrapper),
                            "NSS_WRAPPER_PASSWD": str(passwd), "NSS_WRAPPER_GROUP": str(groups)}
        self.process = subprocess.Popen(
            [str(harness.PEERS / "usr/lib/postfix/sbin/master"), "-d", "-c", str(etc)], stdin=subprocess.DEVNULL,
            stdout=open(directory / "out", "ab"), stderr=subprocess.STDOUT, env=self.environment,
            start_new_session=True)
        wait_until(lambda: self.is_up(port), "postfix")

    def text(self):
        return "".join(path.read_text() for path in (self.directory / "out", self.directory / "log")
                       if path.exists())

    def is_up(self, port):
        assert self.process.poll() is None, self.text()
        try:
            with Client(port, "127.0.0.2", greet=False) as client:
                return client.reply()[0] == 220
        except (ConnectionError, OSError):
            return False

    def held(self):
        """The messages as postcat shows them: envelope and content."""
        texts = []
        for path in sorted((self.directory / "queue/hold").iterdir()):
            done = subprocess.run([str(harness.PEERS / "usr/sbin/postcat"), str(path)], capture_output=True,
                                  env=self.environment, timeout=harness.PATIENCE)
            assert done.returncode == 0, done.stderr
            texts.append(done.stdout.decode())
        return texts

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def postfix(world, tmp_path):
    """Postfix as the next hop of dest.test."""
    if os.getuid() != 0:
        pytest.skip("Postfix's master runs only as root")
    made = []

    def make(**options):
        world.port = harness.free_port("127.0.0.2")
        made.append(Postfix(tmp_path / "postfix", world.port, **options))
        return made[-1]
    yield make
    for server in made:
        server.stop()


def test_postfix_takes_chunks_utf8_and_wishes(world, postfix):
    server = postfix()
    world.start(domain=UTF8_DOMAIN)
    body = ".\r\n..dot\r\n" + "\r\n".join(f"{i} " + "x" * 70 for i in range(5000)) + "\r\nend\r\n"
    send_chunked(world, UTF8_MAIL + body.encode(), recipients=["mixed@fwd.test"], sender="jörg@sender.test",
                 mail_parameters=" SMTPUTF8 RET=HDRS ENVID=Q1", rcpt_parameters=" NOTIFY=SUCCESS,FAILURE")
    world.daemon.wait_log("delivered", count=2)
    text = wait_until(server.held, "the message in Postfix's queue")[0]
    assert re.search(r"^sender: SRS0=.{8}=..=sender\.test=jörg@srs\.fwd\.test$", text, re.M), text[:2000]
    assert "recipient: anna@dest.test" in text and "recipient: änne@dest.test" in text
    assert " envelope_id=Q1\n" in text and " ret_flags=2\n" in text
    assert sorted(re.findall(r" notify_flags=(\d)", text)) == ["4", "6"]  # one of them tells of success
    assert text.count("dsn_orig_rcpt=rfc822;mixed@fwd.test") == 2
    assert "\n.\n..dot\n0 xxx" in text and "grüße" in text


def test_postfix_without_smtputf8(world, postfix):
    postfix(utf8="no")
    back = world.hop(world.SENDER, keywords=ALL)
    world.start(domain=UTF8_DOMAIN)
    send_chunked(world, UTF8_MAIL, sender="jörg@sender.test", mail_parameters=" SMTPUTF8")
    assert b"Status: 5.6.7" in back.wait()[0].data
