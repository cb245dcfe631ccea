"""What becomes of mail that cannot be delivered: told once, to the right one, or said in the log."""
import email
import email.policy
import re
import time

import harness
from harness import NextHop, a_message


def parse(message):
    """(the mail, its text, fields of the message, fields of each recipient, the header returned)"""
    mail = email.message_from_bytes(message.data, policy=email.policy.default)
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    text, status, header = mail.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert header.get_content_type() == "text/rfc822-headers"
    whole, *recipients = status.iter_parts() if status.is_multipart() else []
    return mail, text.get_content(), whole, recipients, header.get_content()


def refuse_at(stage, reply="550 5.1.1 <anna@dest.test>: no such user anna@dest.test"):
    return lambda at, line, session: reply if at == stage else None


def test_a_bounce_to_the_srs_address_arrives_unchanged_at_the_sender(world):
    hop, back = world.hop(), world.hop(world.SENDER)
    world.start()
    world.send()
    rewritten = hop.wait()[0].sender
    bounce = (b"From: MAILER-DAEMON@dest.test\r\nTo: " + rewritten.encode() + b"\r\n"
              b"Subject: Undeliverable\r\nAuto-Submitted: auto-replied\r\n"
              b"Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"b\"\r\n\r\n"
              b"--b\r\n\r\nfull: gr\xfc\xdfe\r\n--b--\r\n")
    world.send(rewritten, sender="", data=bounce)
    message = back.wait()[0]
    assert (message.sender, message.recipients) == ("", ["anna@sender.test"])
    assert message.data.endswith(bounce)
    assert set(re.findall(rb"^([A-Za-z-]+):", message.data[:-len(bounce)], re.M)) <= {
        b"Received", b"X-Postilion-Loop"}


DSN = (b"From: MAILER-DAEMON@dest.test\r\nTo: <x@srs.fwd.test>\r\nSubject: Undeliverable\r\n"
       b"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n"
       b"--b\r\n\r\nno such user\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
       b"Final-Recipient: rfc822; anna@dest.test\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n")


def test_a_report_goes_back_unchanged_through_srs0_and_srs1(world):
    hop, back = world.hop(), world.hop(world.SENDER)
    first = world.hop("127.0.0.4")
    world.start(zone={"first.test": [("MX", "10 mx.first.test.")], "mx.first.test": [("A", "127.0.0.4")]})
    origin = {"anna@sender.test": back, "SRS0=abcd=KX=elsewhere.test=bob@first.test": first}
    for count, (sender, home) in enumerate(origin.items(), 1):
        world.send(sender=sender, data=a_message(sender="anna@sender.test"))
        rewritten = hop.wait(count)[-1].sender
        assert rewritten.startswith("SRS1=" if count == 2 else "SRS0=")
        world.send(rewritten, sender="", data=DSN)
        message = home.wait()[0]
        assert (message.sender, message.recipients) == ("", [sender])
        assert message.data.endswith(DSN)


def test_the_srs_address_in_other_letters_and_to_its_domain_only(world):
    hop, back = world.hop(), world.hop(world.SENDER)
    world.start()
    world.send()
    rewritten = hop.wait()[0].sender
    world.send(rewritten.upper(), sender="", data=a_message("upper"))
    assert back.wait()[0].recipients[0].lower() == "anna@sender.test"
    with harness.Client(world.daemon.port) as client:
        client.hello().expect("MAIL FROM:<>", 250)
        tag = rewritten[5:13]
        forged = rewritten.replace(tag, tag[1:] + tag[:1])
        assert client.command(f"RCPT TO:<{forged}>")[0] == 550
        assert client.command(f"RCPT TO:<{rewritten.replace('anna', 'bert')}>")[0] == 550
        client.expect("RSET", 250)
        client.expect("MAIL FROM:<spammer@else.test>", 250)
        assert client.command(f"RCPT TO:<{rewritten}>")[0] == 550  # only bounces may come back


def check_bounce(message, status, ident):
    mail, text, whole, recipients, header = parse(message)
    assert message.sender == "" and message.recipients == ["anna@sender.test"]
    assert mail["Auto-Submitted"] == "auto-replied" and mail["To"] == "anna@sender.test"
    assert mail["In-Reply-To"] == "<hello@sender.test>"
    assert mail["From"].addresses[0].addr_spec == "postmaster@mx.fwd.test", mail["From"]
    assert whole["Reporting-MTA"] == "dns; mx.fwd.test" and whole["X-Postilion-Message-ID"] == ident
    assert [r["Final-Recipient"] for r in recipients] == ["rfc822; info@fwd.test"]
    assert recipients[0]["Action"] == "failed" and recipients[0]["Status"] == status
    assert "info@fwd.test" in text and "Subject: hello" in header
    # Where the alias leads is nobody's business.
    assert b"dest.test>" not in message.data and b"anna@dest" not in message.data
    return recipients[0]


def test_a_refused_recipient_makes_a_bounce_that_names_the_alias_only(world):
    hop, back = world.hop(script=refuse_at("rcpt")), world.hop(world.SENDER)
    world.start()
    ident = world.send()
    fields = check_bounce(back.wait()[0], "5.1.1", ident)
    assert "550 5.1.1" in fields["Diagnostic-Code"] and fields["Remote-MTA"] == "dns; mx.dest.test"
    line = world.daemon.wait_log("bounced", id=ident)
    assert (line["why"], line["stage"], line["dsn"]) == ("permanent-failure", "envelope", "5.1.1")
    queued = world.daemon.wait_log("bounce-queued", bounce_of=ident)
    world.daemon.wait_log("delivered", id=queued["id"])
    assert hop.messages == [] and len(back.messages) == 1


def test_a_refusal_after_the_dot_makes_a_bounce(world):
    world.hop(script=refuse_at("dot", "554-5.7.1 looks like\r\n554 5.7.1 spam"))
    back = world.hop(world.SENDER)
    world.start()
    ident = world.send()
    fields = check_bounce(back.wait()[0], "5.7.1", ident)
    assert "looks like" in fields["Diagnostic-Code"]
    assert world.daemon.wait_log("bounced")["stage"] == "dot"


def test_refusals_of_mail_and_data_make_bounces(world):
    stage = "mail"
    world.hop(script=lambda at, line, session: "553 5.1.8 no" if at == stage else None)
    back = world.hop(world.SENDER)
    world.start()
    for count, stage in enumerate(("mail", "data"), 1):
        world.send()
        assert b"Status: 5.1.8" in back.wait(count)[-1].data
        assert world.daemon.wait_log("bounced", count=count)["stage"] == "envelope"


def test_only_the_refused_of_several_recipients_bounce_and_in_one_message(world):
    def script(at, line, session):
        return "550 5.2.1 no" if at == "rcpt" and b"carl" not in line else None
    hop, back = world.hop(script=script), world.hop(world.SENDER)
    world.start(domain="    forward team to anna@dest.test bert@dest.test carl@dest.test\n"
                       "    forward solo to dora@dest.test\n")
    world.send(["team@fwd.test", "solo@fwd.test"])
    assert hop.wait()[0].recipients == ["carl@dest.test"]
    _, _, _, recipients, _ = parse(back.wait()[0])
    names = [r["Final-Recipient"] for r in recipients]
    assert set(names) == {"rfc822; team@fwd.test", "rfc822; solo@fwd.test"}
    world.daemon.wait_log("bounced", count=3)
    assert len(back.messages) == 1 and len(world.daemon.log("bounce-queued")) == 1


def test_mail_from_the_null_sender_that_fails_is_held_and_nobody_is_told(world):
    world.hop(script=refuse_at("rcpt"))
    back = world.hop(world.SENDER)
    world.start()
    ident = world.send(sender="")
    line = world.daemon.wait_log("held", id=ident)
    assert (line["why"], line["status"], line["level"]) == ("null-sender", "held", "warning")
    assert world.daemon.log("bounce-queued") == [] and back.connections == 0
    listed = world.daemon.command("queue", "list").stdout
    assert ident in listed and "held" in listed and "not bounced: it has no sender" in listed


def test_a_bounce_that_cannot_be_delivered_ends_in_the_log_and_in_hold(world):
    world.hop(script=refuse_at("rcpt"))
    back = world.hop(world.SENDER, script=refuse_at("rcpt", "550 5.1.1 anna left"))
    world.start()
    ident = world.send()
    bounce = world.daemon.wait_log("bounce-queued", bounce_of=ident)["id"]
    line = world.daemon.wait_log("held", id=bounce)
    assert (line["why"], line["to"]) == ("double-bounce", "<anna@sender.test>")
    assert len(world.daemon.log("bounce-queued")) == 1 and back.messages == []
    assert bounce in world.daemon.command("queue", "list").stdout


def test_hold_for_nothing_drops_at_once(world):
    world.hop(script=refuse_at("rcpt"))
    world.start(delivery="    hold-for 0s\n")
    ident = world.send(sender="")
    line = world.daemon.wait_log("dropped", id=ident)
    assert (line["why"], line["status"], line["level"]) == ("null-sender", "bounced", "warning")
    assert "empty" in world.daemon.command("queue", "list").stdout


def test_what_was_held_long_enough_is_dropped(world):
    world.hop(script=refuse_at("rcpt"))
    world.start(bounce="none", delivery="    hold-for 1s\n")
    ident = world.send()
    assert world.daemon.wait_log("held", id=ident)["why"] == "bounces-off"
    time.sleep(1.1)
    world.daemon.stop()
    world.daemon.start()  # a scan begins at once
    line = world.daemon.wait_log("dropped", id=ident)
    assert line["why"] == "hold-over" and "not bounced: bounces are off" in line["reply"]
    assert "empty" in world.daemon.command("queue", "list").stdout


def test_an_unproven_sender_is_not_told(world):
    world.hop(script=refuse_at("rcpt"))
    back = world.hop(world.SENDER)
    world.start(bounce="proven")
    ident = world.send()
    assert world.daemon.wait_log("held", id=ident)["why"] == "sender-not-proven"
    assert back.connections == 0


def test_one_sender_gets_only_so_many_bounces_a_day(world):
    world.hop(script=refuse_at("rcpt"))
    back = world.hop(world.SENDER)
    world.start(bounce_limit=2)
    for _ in range(2):
        world.send()
    back.wait(2)
    world.daemon.stop()
    world.daemon.start()  # the count survives
    ident = world.send()
    assert world.daemon.wait_log("held", id=ident)["why"] == "bounce-limit"
    world.send(sender="bert@sender.test")
    assert back.wait(3)[-1].recipients == ["bert@sender.test"]


def test_what_fails_for_too_long_expires_into_a_bounce(world):
    hop = world.hop(script=refuse_at("rcpt", "450 4.2.1 busy, try again"))
    back = world.hop(world.SENDER)
    world.start(delivery="    retry 1s\n    expire 3s\n")
    ident = world.send()
    fields = check_bounce(back.wait()[0], "4.2.1", ident)
    assert "busy" in fields["Diagnostic-Code"]
    _, text, _, _, _ = parse(back.messages[0])
    assert "Tried " in text and text.count("busy, try again") >= 3, text  # the last reply, and the history
    assert "anna@dest.test" not in back.messages[0].data.decode()
    line = world.daemon.wait_log("bounced", id=ident)
    assert line["why"] == "expired" and int(line["attempts"]) >= 2
    assert len(world.daemon.log("deferred", id=ident)) == int(line["attempts"]) - 1
    assert hop.messages == []


def test_an_unreachable_next_hop_expires_too(world):
    back = world.hop(world.SENDER)
    world.start(delivery="    retry 1s\n    expire 2s\n")
    ident = world.send()
    line = world.daemon.wait_log("bounced", id=ident)
    assert line["why"] == "expired" and line["dsn"].startswith("4.4.")
    bounce = back.wait()[0].data
    assert b"gave up trying" in bounce and bounce.count(b"refused") >= 3, bounce
    # Nobody but us says so, and we do not say where the alias leads; the log does.
    assert b"dest.test" not in bounce and b"127.0.0." not in bounce, bounce
    assert "mx.dest.test" in line["reply"]


def test_null_senders_expire_into_the_log(world):
    world.hop(script=lambda at, line, session: NextHop.CLOSE if at == "banner" else None)
    world.start(delivery="    retry 1s\n    expire 1s\n")
    ident = world.send(sender="")
    assert world.daemon.wait_log("held", id=ident)["why"] == "null-sender"


def test_a_bounce_for_a_sender_who_was_rewritten_elsewhere_goes_to_that_forwarder(world):
    """The envelope sender is itself an SRS address of somebody else: it is written to as it is."""
    world.hop(script=refuse_at("rcpt"))
    back = world.hop(world.SENDER)
    world.start()
    sender = "SRS0=abcd=KX=first.test=bob@sender.test"
    world.send(sender=sender)
    assert back.wait()[0].recipients == [sender]
