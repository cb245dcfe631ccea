"""A bounce as another program reads it: Python's email package, by RFC 3464 and RFC 6522."""
import email
import email.policy
import subprocess

import harness

HEADER = b"From: Alice <alice@example.net>\r\nMessage-ID: <1@example.net>\r\nSubject: folded\r\n subject\r\n\r\nbody\r\n"
INFO = ("info@example.org", "bob@corp.example", "5.1.1", "mx.corp.example", "550 5.1.1 <bob@corp.example> unknown")
SALES = ("sales@example.org", "carol@corp.example", "5.4.1", "", "no host answered for CAROL@corp.example")


def bounce(kind, *recipients, to="alice@example.net", header=HEADER):
    """(octets, message read by Python)"""
    done = subprocess.run([harness.program("bounce_driver"), kind, to, *(word for one in recipients for word in one)],
                          input=header, capture_output=True, timeout=harness.PATIENCE, check=True)
    message = email.message_from_bytes(done.stdout, policy=email.policy.SMTPUTF8)
    return done.stdout, message


def check_form(octets, message):
    lines = octets.split(b"\r\n")
    assert lines[-1] == b"" and all(len(line) <= 998 for line in lines)
    assert b"\n" not in octets.replace(b"\r\n", b"") and b"\r" not in octets.replace(b"\r\n", b"")
    defects = [defect for part in message.walk() for defect in part.defects]
    assert defects == []
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert len(message.get_payload()) == 3
    assert message["Auto-Submitted"] == "auto-replied"


def test_failure():
    octets, message = bounce("failed", INFO, SALES)
    check_form(octets, message)
    text, status, original = message.get_payload()
    assert message["To"] == "<alice@example.net>" or message["To"] == "alice@example.net"
    assert message["In-Reply-To"] == "<1@example.net>"
    assert status.get_content_type() == "message/delivery-status"
    about, first, second = status.get_payload()
    assert about["Reporting-MTA"] == "dns; mx.example.org"
    assert about["Arrival-Date"]
    assert [block["Final-Recipient"] for block in (first, second)] == ["rfc822; info@example.org", "rfc822; sales@example.org"]
    assert [block["Action"] for block in (first, second)] == ["failed", "failed"]
    assert [block["Status"] for block in (first, second)] == ["5.1.1", "5.4.1"]
    assert first["Remote-MTA"] == "dns; mx.corp.example" and second["Remote-MTA"] is None
    assert first["Diagnostic-Code"] == "smtp; 550 5.1.1 <info@example.org> unknown"
    assert second["Diagnostic-Code"] == "x-postilion; no host answered for sales@example.org"
    assert original.get_content_type() == "text/rfc822-headers"
    returned = email.message_from_string(original.get_payload(), policy=email.policy.SMTP)
    assert returned["Subject"] == "folded subject" and returned["From"] == "Alice <alice@example.net>"
    assert b"body" not in octets and b"bob@" not in octets.lower() and b"carol@" not in octets.lower()
    assert "info@example.org" in text.get_content() and "sales@example.org" in text.get_content()


def test_delay():
    octets, message = bounce("delayed", INFO)
    check_form(octets, message)
    assert message.get_payload()[1].get_payload()[1]["Action"] == "delayed"


def test_eight_bit_header_is_declared():
    octets, message = bounce("failed", INFO, header="Subject: grüße\r\n\r\n".encode())
    check_form(octets, message)
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert message.get_payload()[2]["Content-Transfer-Encoding"] == "8bit"
    assert "grüße".encode() in octets


def test_addresses_outside_ascii():
    octets, message = bounce("failed", ("büro@example.org", *INFO[1:]), to="jörg@example.net")
    check_form(octets, message)
    status, original = message.get_payload()[1:]
    assert status.get_content_type() == "message/global-delivery-status"
    assert original.get_content_type() == "message/global-headers"
    assert "Final-Recipient: utf-8; büro@example.org\r\n".encode() in octets


def test_a_long_and_hostile_diagnostic():
    words = "550-" + "x" * 2000 + " \r\n\r\n--=_postilion_0123456789abc--\r\nX: y"
    octets, message = bounce("failed", (*INFO[:4], words))
    check_form(octets, message)
    assert octets.count(b"\r\n--=_postilion_0123456789abc--\r\n") == 1


def test_an_original_without_header():
    octets, message = bounce("failed", INFO, header=b"")
    check_form(octets, message)
