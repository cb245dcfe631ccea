"""A destination in trouble, or a large one, is nobody else's trouble."""
import statistics
import threading
import time

import pytest

import harness
from harness import Client, NextHop, a_message, stuff, wait_until

pytestmark = pytest.mark.alone
SLOW = "127.0.0.4"
ZONE = {"slow.test": [("MX", "10 mx.slow.test.")], "mx.slow.test": [("A", SLOW)]}
ALIASES = "    forward info to anna@dest.test\n" + "".join(
    f"    forward s{i} to x{i}@slow.test\n" for i in range(100))


def pile_up(port, messages):
    """Each message is a hundred deliveries."""
    head = "MAIL FROM:<anna@sender.test>\r\n" + "".join(
        f"RCPT TO:<s{i}@fwd.test>\r\n" for i in range(100)) + "DATA\r\n"
    with Client(port) as client:
        client.hello()
        for number in range(messages):
            client.send(head)
            assert {client.reply()[0] for _ in range(102)} == {250, 354}
            client.send(stuff(a_message(f"pile {number}")) + b".\r\n")
            assert client.reply()[0] == 250


def delays(world, hop, count=60):
    """Seconds from the 250 to the next hop's, one message at a time."""
    result = []
    with Client(world.daemon.port) as client:
        client.hello()
        for _ in range(count):
            before = len(hop.messages)
            assert client.message("anna@sender.test", "info@fwd.test", a_message())[0] == 250
            answered = time.monotonic()
            while len(hop.messages) == before:
                time.sleep(0.0002)
                assert time.monotonic() < answered + harness.PATIENCE
            result.append(time.monotonic() - answered)
    return result


@pytest.mark.parametrize("trouble", ["silent", "dead"])
def test_a_hundred_thousand_for_one_delay_nobody_else(world, trouble):
    hop = world.hop()
    if trouble == "silent":
        world.hop(SLOW, script=lambda stage, line, session: NextHop.SILENCE)
    world.start(zone=ZONE, domain=ALIASES, delivery="    retry 2s\n")
    world.send()
    hop.wait()
    without = statistics.median(delays(world, hop))
    pile_up(world.daemon.port, 1000)
    if trouble == "dead":
        world.daemon.wait_log("destination-paused")
    beside = statistics.median(delays(world, hop))
    print(f"{trouble}: {without * 1000:.2f} ms without, {beside * 1000:.2f} ms beside 100,000 others")
    assert beside < without + 0.005


def test_domains_with_the_same_mail_hosts_share_connections(world):
    """Thirty domains at one provider, a message for each at the same moment: a few connections, used again."""
    lock, state = threading.Lock(), {"open": 0, "most": 0}

    def script(stage, line, session):
        if stage == "banner":
            with lock:
                state["open"] += 1
                state["most"] = max(state["most"], state["open"])
        if stage == "dot":
            time.sleep(0.05)
        return None

    hop = world.hop(SLOW, script=script)
    zone = {f"d{i}.test": [("MX", "10 mx.slow.test.")] for i in range(30)}
    domain = "".join(f"    forward s{i} to x@d{i}.test\n" for i in range(30))
    world.start(zone={**ZONE, **zone}, domain=domain)
    with Client(world.daemon.port) as client:
        client.hello()
        for i in range(30):
            assert client.message("anna@sender.test", f"s{i}@fwd.test", a_message())[0] == 250
    hop.wait(30)
    assert len(hop.messages) == 30
    # Five at first on each loop, and some more as all goes well.
    assert hop.connections <= 20, state
    wait_until(lambda: len(world.daemon.log("delivered")) == 30, "all are recorded")
    assert any(line.get("reused") == "yes" for line in world.daemon.log("delivered"))
