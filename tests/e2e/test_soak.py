"""A short soak; `make soak` runs it for minutes."""
import subprocess
import sys

import harness


def test_twenty_seconds_of_load_and_faults():
    result = subprocess.run([sys.executable, harness.ROOT / "tests/support/soak.py", "--seconds", "20"],
                            capture_output=True, text=True, timeout=60 + 10 * harness.PATIENCE)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
