"""What the first request of each signature costs, with and without the warm-up.

    python -m benchmarks.warm_up

Exports a Glow of 32 x 32 x 3, and asks it in the C++ runtime that TF Serving uses, one
row at a time. Prints milliseconds.
"""

import subprocess
import sys
import tempfile
import time

from tfp_flows.serving import c_api, golden, warm_up

_EXPORT = """
import sys
from tfp_flows import flows, serving
flow = flows.glow((32, 32, 3), num_levels=3, num_steps=8, filters=64, num_values=256)
serving.export(flow, sys.argv[1], allow_unadapted=True)
"""


def main():
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _EXPORT, folder + "/glow"]
        subprocess.run(command, check=True)
        directory = folder + "/glow/1"
        rows = golden.load(directory)
        cold = _milliseconds(c_api.Session(directory), rows)
        session = c_api.Session(directory)
        start = time.perf_counter()
        for asked in warm_up.read(directory):
            session.run(asked.signature, asked.inputs)
        taken = time.perf_counter() - start
        warm = _milliseconds(session, rows)
    print("| signature | first, cold | tenth | first, warm | tenth |")
    print("|---|---|---|---|---|")
    for name in sorted(rows):
        numbers = [*cold[name], *warm[name]]
        print(f"| {name} | {' | '.join(f'{number:.0f}' for number in numbers)} |")
    print(f"\nThe records themselves took {taken:.1f} s.")


def _milliseconds(session, rows):
    """Returns what the first and the tenth request of each signature take."""
    found = {}
    for name, expected in rows.items():
        inputs = {key: value[:1] for key, value in expected.inputs.items()}
        taken = []
        for _ in range(10):
            start = time.perf_counter()
            session.run(name, inputs)
            taken.append(1000 * (time.perf_counter() - start))
        found[name] = taken[0], taken[-1]
    return found


if __name__ == "__main__":
    main()
