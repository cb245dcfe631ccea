"""postilion headers: the way of a message, from its header."""
import json
import subprocess

from harness import program

MESSAGE = """From anna Sat Nov 21 10:05:01 2026
Received: from mx.fwd.example (mx.fwd.example [192.0.2.9])
 by inner.example (Postfix) with ESMTPS id 4ABC for <anna@inner.example>;
 Sat, 21 Nov 2026 10:05:00 +0200 (EET)
Authentication-Results: inner.example; dkim=fail header.d=sender.example
ARC-Authentication-Results: i=1; mx.fwd.example; dkim=pass header.d=sender.example
Received: from out.sender.example (out.sender.example [198.51.100.7])
\tby mx.fwd.example (postilion) with ESMTPS id 6dqdpn84m0000; Sat, 21 Nov 2026 08:03:02 +0000
Received: from laptop\x1b[31m (unknown) by out.sender.example with esmtpsa id 1abc; 21 Nov 26 03:03:10 EST
From: a@sender.example

Received: from body by body; 1 Jan 2020 00:00:00 +0000
"""


def headers(*arguments, text=MESSAGE):
    return subprocess.run([program(), "headers", *arguments], input=text.encode(), capture_output=True, timeout=30)


def test_the_story_is_told(tmp_path):
    out = headers().stdout.decode()
    assert "3 hops, 1m50s from the first to the last" in out
    assert "Slowest: hop 3, 1m58s. It waited at mx.fwd.example (look there for id 6dqdpn84m0000)" in out
    assert "1 hop is earlier than the one before" in out
    assert "dkim of sender.example broke on the way to hop 3" in out
    assert "\x1b" not in out and "laptop\\x1b[31m" in out and "body" not in out
    file = tmp_path / "message"
    file.write_text(MESSAGE)
    assert headers(str(file), text="").stdout.decode() == out
    assert headers("-", text=MESSAGE.replace("\n", "\r\n")).stdout.decode() == out


def test_the_same_for_programs():
    found = json.loads(headers("--json").stdout)
    assert [hop["by"] for hop in found["hops"]] == ["out.sender.example", "mx.fwd.example", "inner.example"]
    assert [hop["delay_seconds"] for hop in found["hops"]] == [None, -8, 118]
    assert found["hops"][2]["time"] == "2026-11-21T08:05:00.000Z" and found["hops"][2]["zone_minutes"] == 120
    assert (found["slowest"], found["skewed"], found["total_seconds"]) == (3, 1, 110)
    assert [(r["hop"], r["result"], r["broken"]) for r in found["results"]] == [(2, "pass", False), (3, "fail", True)]


def test_what_cannot_be_read():
    assert headers(text="").returncode == 65
    assert headers(text="no header in this\n").returncode == 65
    assert headers("/nowhere/at/all").returncode == 66
    assert headers("--nonsense").returncode == 64
    assert headers("a", "b").returncode == 64
