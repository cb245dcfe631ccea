"""Content rules: what messages may carry and how their header is made; by Python's email package and by hand."""
import email.message
import email.policy
import gzip
import io
import signal
import zipfile

import pytest

from harness import Client, a_message
from test_extensions import bdat, mail

CRLF = email.policy.SMTP
BLOCK = "content {\n    block-extension exe .scr *.js xl?m\n    block-type application/x-msdownload message/partial\n" \
        "    block-type application/x-zip-encrypted application/x-zip-nested application/vnd.rar\n}"


def a_zip(*names, data=b"data", method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name in names:
            archive.writestr(name, data)
    return out.getvalue()


def attached(data, filename, kind="application/octet-stream", **options):
    message = email.message.EmailMessage(policy=CRLF)
    message["From"] = "anna@sender.test"
    message["Subject"] = "hello"
    message.set_content("see what is attached\n")
    maintype, subtype = kind.split("/")
    message.add_attachment(data, maintype=maintype, subtype=subtype, filename=filename, **options)
    return message


def octets(message):
    return message.as_bytes(policy=CRLF)


def within(message):
    outer = email.message.EmailMessage(policy=CRLF)
    outer["From"] = "anna@sender.test"
    outer.set_content("forwarded\n")
    outer.add_attachment(message)
    return outer


def raw(fields, body="x\r\n"):
    return ("From: anna@sender.test\r\nSubject: hello\r\n" + fields + "\r\n" + body).encode("latin-1")


def answer(world, data):
    """The reply to the final dot."""
    with Client(world.daemon.port) as client:
        return client.hello().message("anna@sender.test", "info@fwd.test", data)


def stuffed_zip():
    """A stored archive in an archive, deep enough in the attachment that several reads bring it."""
    inner = a_zip("deep/evil.exe", method=zipfile.ZIP_STORED)
    return a_zip("inner.bin", data=b"\0" * 200000 + inner, method=zipfile.ZIP_STORED)


BLOCKED = {
    "name": (lambda: octets(attached(b"MZ", "evil.exe")), "blocked-file", "evil.exe"),
    "pattern with a dot": (lambda: octets(attached(b"x", "evil.SCR")), "blocked-file", "evil.SCR"),
    "pattern with a star": (lambda: octets(attached(b"x", "a.js")), "blocked-file", "a.js"),
    "pattern with a question mark": (lambda: octets(attached(b"x", "a.xlsm")), "blocked-file", "a.xlsm"),
    "long name that is continued": (lambda: octets(attached(b"x", "ü" * 60 + ".exe")), "blocked-file", ".exe"),
    "in a message": (lambda: octets(within(attached(b"MZ", "evil.exe"))), "blocked-file", "evil.exe"),
    "type": (lambda: octets(attached(b"x", "a.txt", "application/x-msdownload")), "blocked-type",
             "application/x-msdownload"),
    "program by its octets": (lambda: octets(attached(b"MZ\x90\0\3\0\0\0", "a.txt")), "blocked-type",
                              "application/x-msdownload"),
    "rar by its octets": (lambda: octets(attached(b"Rar!\x1a\7\1\0", "a.txt")), "blocked-type", "application/vnd.rar"),
    "in a zip": (lambda: octets(attached(a_zip("a.txt", "b/evil.exe"), "a.zip")), "blocked-file", "b/evil.exe"),
    "in a zip in a zip": (lambda: octets(attached(stuffed_zip(), "a.dat")), "blocked-file", "deep/evil.exe"),
    "zip in a zip, compressed": (lambda: octets(attached(a_zip("inner.zip", data=a_zip("a.exe") * 9), "a.zip")),
                                 "blocked-type", "application/x-zip-nested"),
    "zip in quoted-printable": (lambda: octets(attached(a_zip("evil.exe"), "a.zip", cte="quoted-printable")),
                                "blocked-file", "evil.exe"),
    "in gzip": (lambda: octets(attached(gzip_named("evil.exe"), "a.gz")), "blocked-file", "evil.exe"),
    "uuencode": (lambda: raw("", "hello\r\nbegin 644 evil.exe\r\n#0V%T\r\n`\r\nend\r\n"), "blocked-file", "evil.exe"),
    "override in the name": (lambda: octets(attached(b"x", "evil\u202efdp.exe")), "blocked-file", "fdp.exe"),
    "dot behind": (lambda: raw('Content-Disposition: attachment; filename="evil.exe."\r\n'), "blocked-file", "evil.exe."),
    "stream": (lambda: raw('Content-Type: x/y; name="evil.exe::$DATA"\r\n'), "blocked-file", "evil.exe::$DATA"),
    "delimiter with a NUL in it": (lambda: raw("Content-Type: multipart/mixed; boundary=b\r\n",
                                               "--b\r\n\r\n-\0-b\r\nContent-Type: x/y; name=evil.exe\r\n\r\nx\r\n"),
                                   "mime-unreadable", "nul"),
    "piece of a message": (lambda: raw("Content-Type: message/partial; id=x; number=2; total=2\r\n"), "blocked-type",
                           "message/partial"),
    "boundary that is none for all": (lambda: raw('Content-Type: multipart/mixed; boundary=b\r\n', "--b\r\n\r\n--bb\r\n"),
                                      "mime-unreadable", "boundary"),
}


def gzip_named(name):
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=out) as file:
        file.write(b"data")
    return out.getvalue()


@pytest.fixture
def blocking(world):
    world.hop()
    world.start(extra=BLOCK)
    return world


@pytest.mark.parametrize("how", ["data", "bdat"])
@pytest.mark.parametrize("name", BLOCKED)
def test_blocked_files_are_refused(blocking, name, how):
    make, why, shown = BLOCKED[name]
    with Client(blocking.daemon.port) as client:
        if how == "data":
            code, lines = client.hello().message("anna@sender.test", "info@fwd.test", make())
        else:
            mail(client.hello(), "anna@sender.test", ["info@fwd.test"])
            code, lines = bdat(client, make(), 1009)[-1]
        client.expect("NOOP", 250)
    assert code == 550 and shown in lines[0], lines
    assert lines[0].split()[1] == ("5.6.0" if why == "mime-unreadable" else "5.7.1")
    line = blocking.daemon.wait_log("message-refused")
    assert line["why"] == why and shown in line["what"]
    assert not blocking.daemon.log("accepted")


HARMLESS = {
    "text": lambda: a_message(),
    "no header": lambda: b"\r\nbegin with evil.exe\r\n",
    "picture": lambda: octets(attached(b"\x89PNG" * 1000, "a.png", "image/png")),
    "zip": lambda: octets(attached(a_zip("a.txt", "exe", "example.exe.txt", "a.exe/b.txt"), "a.zip")),
    "message": lambda: octets(within(attached(b"x", "a.txt"))),
    "names in the text": lambda: a_message(body='Content-Disposition: attachment; filename="evil.exe"\r\n--b\r\nevil.exe'),
    "dots": lambda: a_message(body="..\r\n.x\r\n."),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_everything_else_goes_through_as_it_is(world, name):
    hop = world.hop()
    world.start(extra=BLOCK)
    data = HARMLESS[name]()
    assert answer(world, data)[0] == 250
    assert hop.wait()[0].data.endswith(data)
    assert "mark" not in world.daemon.wait_log("accepted") or name == "no header"


def test_without_a_list_nothing_is_looked_for(world):
    hop = world.hop()
    world.start()
    assert answer(world, octets(attached(b"MZ", "evil.exe")))[0] == 250
    assert b"x-content" not in hop.wait()[0].data


def test_tagged_mail_says_so_where_nobody_else_can(world):
    hop = world.hop()
    world.start(extra=BLOCK, policy="    blocked-content tag")
    forged = b"Authentication-Results: mx.fwd.test; x-content=fail policy.rule=forged\r\n"
    data = octets(attached(b"MZ", 'evil"\\.exe'))
    assert answer(world, forged + data)[0] == 250
    message = hop.wait()[0]
    head = message.header()
    assert message.data.endswith(data) and b"forged" not in head
    assert b"x-content=fail policy.rule=blocked-file" in b" ".join(head.split()), head
    line = world.daemon.wait_log("accepted")
    assert line["mark"] == "blocked-file" and line["what"].endswith(".exe")


def test_held_mail_waits_for_an_operator(world):
    hop = world.hop()
    world.start(extra=BLOCK, policy="    blocked-content hold", mode="handoff")
    assert answer(world, octets(attached(b"MZ", "evil.exe")))[0] == 250
    assert "held: content that is blocked" in world.daemon.command("queue", "list", "--json").stdout
    assert hop.attempts == [] and not hop.messages
    world.daemon.command("queue", "release", "--all")
    assert b"evil.exe" in hop.wait()[0].data


def test_domains_and_addresses_have_rules_of_their_own(world):
    hop = world.hop()
    world.start(extra=BLOCK, domain="    forward info to a@dest.test\n    forward free to b@dest.test\n"
                                    "    policy-for free {\n        blocked-content accept\n    }")
    data = octets(attached(b"MZ", "evil.exe"))
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<anna@sender.test>", 250)
        client.expect("RCPT TO:<free@fwd.test>", 250)
        assert client.command("RCPT TO:<info@fwd.test>")[1][0].startswith("452 4.5.3")
        client.expect("RSET", 250)
        assert client.message("anna@sender.test", "free@fwd.test", data)[0] == 250
        assert client.message("anna@sender.test", "info@fwd.test", data)[0] == 550
    assert hop.wait()[0].data.endswith(data)


def test_lists_change_with_a_reload(blocking):
    data = octets(attached(b"MZ", "evil.exe", "x/y"))
    assert answer(blocking, data)[0] == 550
    blocking.daemon.write_config(extra="content {\n    block-extension bat\n}")
    blocking.daemon.signal(signal.SIGHUP)
    blocking.daemon.wait_log("reloaded")
    assert answer(blocking, data)[0] == 250


def test_what_cannot_be_a_pattern_is_an_error(postilion):
    daemon = postilion(extra='content {\n    block-extension exe a/b\n    block-type exe\n    block-extension ""\n}')
    result = daemon.command("check", check=False)
    assert result.returncode == 78
    assert result.stderr.count("this is not the end of a name") + result.stdout.count("this is not the end of a name") == 2
    assert "this is not a media type" in result.stderr + result.stdout


# --- the header -----------------------------------------------------------------------------

HEADERS = {
    "header-duplicate": (raw("Date: x\r\nDate: y\r\n"), "550 5.6.0"),
    "header-no-from": (b"Subject: x\r\n\r\nx\r\n", "550 5.6.0"),
    "header-nul": (raw("X-Y: a\0b\r\n"), "550 5.6.0"),
    "header-8bit": (raw("X-Y: \xe9\r\n"), "550 5.6.7"),
}
BEHIND = {   # others read on behind a line that is no field
    "header-duplicate": (raw("Date: x\r\nno field\r\nDate: y\r\n"), "550 5.6.0"),
    "header-nul": (raw("no field\r\nX-Y: a\0b\r\n"), "550 5.6.0"),
    "header-8bit": (raw("no field\r\nX-Y: \xe9\r\n"), "550 5.6.7"),
}


@pytest.mark.parametrize("why", HEADERS)
def test_insane_headers_are_refused_where_the_policy_says_so(world, why):
    world.hop()
    world.start(policy="    header-sanity refuse\n    header-8bit refuse")
    data, want = HEADERS[why]
    assert answer(world, data)[1][0].startswith(want)
    assert world.daemon.wait_log("message-refused")["why"] == why


@pytest.mark.parametrize("why", BEHIND)
def test_insane_fields_do_not_hide_behind_a_line_that_is_none(world, why):
    world.hop()
    world.start(policy="    header-sanity refuse\n    header-8bit refuse")
    data, want = BEHIND[why]
    assert answer(world, data)[1][0].startswith(want)
    assert world.daemon.wait_log("message-refused")["why"] == why


@pytest.mark.parametrize("why", HEADERS)
def test_insane_headers_are_tagged_as_a_rule(world, why):
    hop = world.hop()
    world.start()
    data, _ = HEADERS[why]
    assert answer(world, data)[0] == 250
    message = hop.wait()[0]
    assert message.data.endswith(data)
    is_tagged = why != "header-8bit"
    assert (b"x-header=fail policy.rule=" + why.encode() in message.header()) == is_tagged
    assert world.daemon.wait_log("accepted").get("mark") == (why if is_tagged else None)


def test_headers_have_caps(world):
    world.hop()
    world.start(extra="content {\n    fields 100\n    field-size 2K\n}", policy="    header-sanity off")
    assert answer(world, raw("X: y\r\n" * 98))[0] == 250
    assert answer(world, raw("X: y\r\n" * 99))[1][0].startswith("552 5.3.4")
    assert answer(world, raw("X: " + "y" * 900 + ("\r\n " + "y" * 900) * 2 + "\r\n"))[1][0].startswith("552 5.3.4")
    world.daemon.wait_log("message-refused", count=2)
    assert [line["why"] for line in world.daemon.log("message-refused")] == ["too-many-fields", "field-too-large"]


def test_bounces_on_their_way_back_are_only_tagged(world):
    """Their message is known to the one who gets it; a bounce that is lost helps nobody."""
    hop = world.hop()
    back = world.hop(world.SENDER)
    world.start(extra=BLOCK, policy="    header-sanity refuse")
    world.send()
    srs = hop.wait()[0].sender
    data = octets(within(attached(b"MZ", "evil.exe")))
    with Client(world.daemon.port) as client:
        assert client.hello().message("", srs, data)[0] == 250
    assert b"policy.rule=blocked-file" in b" ".join(back.wait()[0].header().split())


def test_nothing_is_smuggled_in_beside_a_bounce(world):
    """What returns are spared was everybody's who named one first, where nobody is authenticated."""
    hop = world.hop()
    world.hop(world.SENDER)
    world.start(extra=BLOCK)
    world.send()
    srs = hop.wait()[0].sender
    with Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<>", 250)
        client.expect(f"RCPT TO:<{srs}>", 250)
        assert client.command("RCPT TO:<info@fwd.test>")[1][0].startswith("452 4.5.3")


# --- sizes ----------------------------------------------------------------------------------

def test_size_is_judged_when_announced_and_while_it_comes(world):
    world.hop()
    world.start(limits="    message-size 64K", extra=BLOCK)
    with Client(world.daemon.port) as client:
        client.hello()
        assert client.command("MAIL FROM:<anna@sender.test> SIZE=65537")[1][0].startswith("552 5.3.4")
        client.expect("MAIL FROM:<anna@sender.test> SIZE=65536", 250)
        client.expect("RSET", 250)
        assert client.message("anna@sender.test", "info@fwd.test", a_message(body="x\r\n" * 30000))[1][0].startswith("552 5.3.4")
        mail(client, "anna@sender.test", ["info@fwd.test"])
        replies = bdat(client, a_message(body="x\r\n" * 30000), 32768)
        assert [code for code, _ in replies] == [250, 250, 552] or [code for code, _ in replies][:2] == [250, 552]
