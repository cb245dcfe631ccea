"""Fixtures: every test has its own directory, daemon, resolver and next hops."""
import pytest

import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures this machine's time or memory; nothing else runs beside it")


@pytest.fixture
def next_hop():
    """Makes scripted next hops; all are stopped at the end."""
    made = []

    def make(*arguments, **options):
        made.append(harness.NextHop(*arguments, **options))
        return made[-1]
    yield make
    for hop in made:
        hop.stop()


@pytest.fixture
def resolver(tmp_path):
    """Makes a real resolver that serves the zone given."""
    made = []

    def make(zone):
        made.append(harness.Unbound(tmp_path / f"unbound{len(made)}", zone).start())
        return made[-1]
    yield make
    for server in made:
        server.stop()


@pytest.fixture
def postilion(tmp_path):
    """Makes daemons (not started); all are killed at the end, and must not have crashed."""
    made = []

    def make(**settings):
        made.append(harness.Postilion(tmp_path / f"postilion{len(made)}", **settings))
        return made[-1]
    yield make
    for daemon in made:
        daemon.kill()
        crashes = daemon.log("worker-crashed", since_start=False)
        killed = [line for line in crashes if line.get("signal") == "9"]
        assert len(crashes) == len(killed), crashes
        if daemon.log_path.exists():
            text = daemon.log_path.read_text(errors="replace")
            for words in ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:"):
                assert words not in text, text[-4000:]


@pytest.fixture
def world(postilion, resolver, next_hop):
    """All of it together; see harness.World."""
    return harness.World(postilion, resolver, next_hop)
