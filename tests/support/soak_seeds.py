"""The simulation (tests/sim) and the durability proof (tests/unit/io/test_spool_cuts.c) with new
seeds for SOAK_SECONDS (600). A failure says which seed it was, and how to have it again.

usage: soak_seeds.py [--seconds N] [--first SEED] SIMULATION CUTS
"""
import argparse
import os
import random
import re
import subprocess
import sys
import time

ROUNDS = {  # what is set of the two programs, and how many seeds of a round are theirs
    "simulation": {"SIM_FIRST": None, "SIM_SEEDS": 1500, "SIM_CUT_SEEDS": 15},
    "cuts": {"SPOOL_CUT_FIRST": None, "SPOOL_CUT_SEEDS": 8},
}


def run(program, kind, first):
    settings = {name: str(first if value is None else value) for name, value in ROUNDS[kind].items()}
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    result = subprocess.run([program], capture_output=True, text=True, errors="replace",
                            env={**os.environ, **settings})
    output = result.stdout + result.stderr
    if result.returncode != 0:
        sys.exit(f"{output}\nfailed; again: {words} {program}")
    said = ", ".join(re.findall(r"^\d+ (?:crash states|seeds)", output, re.M))
    print(f"{words} {program}: {said}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_SECONDS", 600)))
    parser.add_argument("--first", type=int, default=random.SystemRandom().randrange(1000, 1 << 40))
    parser.add_argument("simulation")
    parser.add_argument("cuts")
    arguments = parser.parse_args()
    end, first = time.monotonic() + arguments.seconds, arguments.first
    while time.monotonic() < end:
        run(arguments.simulation, "simulation", first)
        if time.monotonic() < end:
            run(arguments.cuts, "cuts", first)
        first += max(ROUNDS["simulation"]["SIM_SEEDS"], ROUNDS["cuts"]["SPOOL_CUT_SEEDS"])
    print(f"soak_seeds: seeds {arguments.first} to {first - 1}, nothing lost")


if __name__ == "__main__":
    main()
