"""Our name on a copy: it speaks for nobody who was not proven, and it is a whole name. Each test is named
after what went wrong."""
import email.utils
import re

from harness import Client, a_message, stuff
from test_forecast import HERE, Stage, fields, munging, seal


def test_a_discarded_recipient_hid_the_forecast(world, tmp_path):
    """The first recipient's copy goes nowhere: the next one's was not foreseen, and the doomed went out."""
    stage = Stage(world, extra=seal(tmp_path) + """
    domain two.test {
        forward info to anna@dest.test
        forward postmaster to anna@dest.test
        forward abuse to anna@dest.test
        discard hole
    }
    """)
    data = a_message(subject="hidden", sender="anna@reject.test")
    with Client(stage.daemon.port, source=HERE) as client:
        client.hello()
        client.expect("MAIL FROM:<anna@reject.test>", 250)
        client.expect("RCPT TO:<hole@two.test>", 250)
        client.expect("RCPT TO:<info@two.test>", 250)
        client.expect("DATA", 354)
        client.send(stuff(data) + b".\r\n")
        code, lines = client.reply()
    assert code == 550 and "DMARC" in lines[0], lines
    assert stage.daemon.wait_log("message-refused", why="doomed")["forecast"] == "fail"
    assert not stage.hop.attempts


def test_a_postmaster_without_a_domain_was_munged_to_no_domain(world, tmp_path):
    """It was written <REPLY0=...=anna>, to which nobody can reply; at the SRS domain it was signed by another."""
    stage = munging(world, tmp_path)
    for name in ("postmaster", "postmaster@srs.fwd.test", "postmaster@FWD.Test"):
        data = a_message(subject=name, sender="anna@reject.test")
        assert stage.offer(name, data, "anna@reject.test", recipient=name)[0] == 250, stage.answers
    for message in stage.hop.wait(3):
        shown, address = email.utils.parseaddr(fields(message, "From")[0])
        assert shown == "Anna via fwd.test", shown
        assert re.fullmatch(r"REPLY0=[A-Z2-7]+=[A-Z2-7]+=reject\.test=anna@fwd\.test", address), address
        assert message.verdict.aligned == [("dkim", "fwd.test")], message.verdict


def test_a_name_below_ours_was_laundered(world, tmp_path):
    """Where DMARC failures are let in, a stranger as hr.fwd.test passed it at the next hop by our signature."""
    stage = Stage(world, "dmarc-reject tag\nspf-fail tag", seal(tmp_path, sign="yes"),
                  zone={"_dmarc.lax.fwd.test": [("TXT", "v=DMARC1; p=none")]})
    data = a_message(subject="spoof", sender="boss@hr.fwd.test")
    code, text = stage.offer("spoof", data, "x@free.test")
    assert code == 550 and text.startswith("5.7.26 ") and "hr.fwd.test" in text, text
    # its own servers may, and so may others where nobody asks to stop them
    data = a_message(subject="own", sender="anna@sub.fwd.test")
    assert stage.offer("own", data, "anna@sub.fwd.test")[0] == 250, stage.answers
    assert stage.hop.wait()[0].verdict.dmarc == "pass"
    data = a_message(subject="lax", sender="anna@lax.fwd.test")
    assert stage.offer("lax", data, "x@free.test")[0] == 250, stage.answers
