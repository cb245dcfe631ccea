"""Signatures that verify here and will not there, because of what we ourselves put on top or take away:
the forecast knows."""
import dkim
import pytest

from harness import a_message
from test_forecast import AUTHOR, EVERYTHING, Stage, seal


@pytest.mark.parametrize("field", ["received", "authentication-results", "dkim-signature", "arc-seal",
                                   "arc-authentication-results", "x-postilion-loop"])
def test_signatures_that_our_own_fields_break(world, tmp_path, field):
    """A signature over one more field of a name than there are breaks when we put ours on top."""
    stage = Stage(world, EVERYTHING, seal(tmp_path, sign="yes"))
    data = a_message(subject=field, sender="anna@reject.test",
                     extra="Received: from a by b; Sat, 21 Nov 2026 11:00:00 +0000\r\n")
    signer = dkim.DKIM(data)
    signer.should_not_sign = set()  # dkimpy knows better
    data = signer.sign(b"s", b"reject.test", AUTHOR.pem, include_headers=[b"from", b"subject", *[field.encode()] * 2]) + data
    stage.offer(field, data, "anna@reject.test")
    stage.settle(seen=1)
    verdict = stage.attempts()[field].verdict
    assert stage.log(field)["forecast"] == {"pass": "pass", "fail": "fail"}[verdict.dmarc], (verdict, stage.log(field))


def test_a_signature_over_what_we_take_away(world, tmp_path):
    """Results that claim to be ours go, signed or not."""
    stage = Stage(world, EVERYTHING, seal(tmp_path))
    data = a_message(subject="taken", sender="anna@reject.test", extra="Authentication-Results: mx.fwd.test; none\r\n")
    data = dkim.sign(data, b"s", b"reject.test", AUTHOR.pem,
                     include_headers=[b"from", b"subject", b"authentication-results"]) + data
    stage.offer("taken", data, "anna@reject.test")
    stage.settle(seen=1)
    assert stage.attempts()["taken"].verdict.dmarc == "fail"
    assert stage.log("taken")["forecast"] == "fail", stage.log("taken")
