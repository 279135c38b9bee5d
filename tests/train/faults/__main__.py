"""Kills jobs many times and writes what came of it to docs/faults.md.

python -m tests.train.faults [--kills=30] [--kills-of-workers=10] [--seed=1]
"""

import argparse
import collections
import pathlib
import platform
import tempfile
import time

from tests.train.faults import runs

PAGE = """# Jobs that are killed

`make faults` starts the real command (`python -m train`, a conditional RealNVP on two
moons, 3 epochs with checkpoints inside of them, a rival, an export), kills it with
SIGKILL at moments drawn from a seed and spread over an undisturbed run, starts it
again, and compares what it ends with, to the last bit: weights, optimizer with
averages, best weights, `metrics.jsonl`, the report (times excepted), the exported
golden rows. A chain is one run with up to five kills; of two workers one is killed, and
the other ends by itself.

{table}

Seed {seed}, {date}, {machine}. {remark}
"""


def main():
    """Runs the chains and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.train.faults")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--kills-of-workers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    lines = [
        "| processes | kills | at | chains | with another bit than undisturbed |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as place:
        for workers, kills in ((1, wanted.kills), (2, wanted.kills_of_workers)):
            if kills:
                lines.append(row(pathlib.Path(place), workers, kills, wanted.seed))
                print(lines[-1], flush=True)
    whole = wanted.kills >= 30 and wanted.kills_of_workers >= 10
    page = PAGE.format(
        table="\n".join(lines),
        seed=wanted.seed,
        date=time.strftime("%Y-%m-%d"),
        machine=f"{platform.system()} {platform.machine()}, CPU",
        remark="" if whole else "Only a part of the 30 and 10 kills was run.",
    )
    (runs.ROOT / "docs" / "faults.md").write_text(page.rstrip() + "\n")


def row(place, workers, count, seed):
    """Runs chains until there were as many kills; returns a row of the table."""
    whole = place / f"whole-{workers}"
    start = time.monotonic()
    assert {p.wait() for p in runs.started(whole, workers)} == {0}, runs.words(whole)
    seconds, wanted = time.monotonic() - start, runs.result(whole)
    at, chains, different = collections.Counter(), 0, []
    while at.total() < count:
        workdir = place / f"chain-{workers}-{chains}"
        number = min(5, count - at.total())
        moments = runs.drawn_moments(seed + chains, number, seconds)
        kills = runs.killed_and_continued(workdir, moments, workers)
        found = runs.differences(wanted, runs.result(workdir))
        print(f"seed {seed + chains}: {kills}, differences: {found}", flush=True)
        at.update(kill.where for kill in kills)
        seconds /= 1 if kills else 2  # a busy machine has become an idle one
        chains += 1
        different += [chains] if found else []
    places = ", ".join(f"{name} ({times})" for name, times in at.most_common())
    return f"| {workers} | {at.total()} | {places} | {chains} | {len(different)} |"


if __name__ == "__main__":
    main()
