"""Scoring a million rows on Beam beside one process: `python -m benchmarks.scoring`.

RealNVP on 64 dimensions, exported; rows in shards of npy or Parquet. "one process": the
same signature in a loop over batches of 4,096 of the same files, the scores kept in
memory. "beam": `python -m tfp_flows.scoring`, one process a core, the scores written.
Both are timed from start to end, imports and loading included; "loop" is the first
without them. "peak": resident memory of all processes of a job together, sampled ten
times a second. Prints a table and writes JSON.
"""

import argparse
import glob
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import vectors

BATCH = 4096
_TICK = 0.1  # seconds between two looks at memory


def main() -> None:
    """Measures both over the same rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--format", choices=["npy", "parquet"], default="npy")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default="runs/scoring.json")
    parser.add_argument("--loop", nargs=2, metavar=("MODEL", "FILES"))
    arguments = parser.parse_args()
    if arguments.loop:
        print(json.dumps(loop(*arguments.loop)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = _export(folder)
        files = write(folder, arguments.rows, arguments.shards, arguments.format)
        results = [
            _compared(model, files, folder, number)
            for number in range(arguments.repetitions)
        ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    best = {key: min(result[key] for result in results) for key in results[0]}
    print(
        f"{arguments.rows:,} rows, {arguments.format}, best of {len(results)}: one "
        f"process {best['one_s']:.1f} s (loop {best['loop_s']:.1f} s), "
        f"{best['one_mib']:.0f} MiB; beam {best['beam_s']:.1f} s, "
        f"{best['beam_mib']:.0f} MiB; ratio {best['beam_s'] / best['one_s']:.2f}"
    )


def loop(model: str, files: str) -> dict[str, float]:
    """Scores all rows in this process, batch by batch.

    Args:
      model: version directory.
      files: glob of what `write` wrote.

    Returns:
      Seconds of the loop alone.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(model)  # owns the weights
    ask = loaded.signatures["log_prob"]
    ask(x=tf.zeros([BATCH, vectors.DIMS]))  # the runtime's first call
    start, scores = time.perf_counter(), []
    for path in sorted(glob.glob(files)):
        rows = _read(path)
        for first in range(0, len(rows), BATCH):
            scores.append(ask(x=tf.constant(rows[first : first + BATCH])))
    total = [float(tf.reduce_sum(score["log_prob"])) for score in scores]
    return {"loop_s": time.perf_counter() - start, "sum": sum(total)}


def write(folder: str, count: int, shards: int, format_: str) -> str:
    """Writes standard normal rows, and returns the glob of their files."""
    rng = np.random.default_rng(0)
    for shard, part in enumerate(np.array_split(np.arange(count), shards)):
        rows = rng.standard_normal((len(part), vectors.DIMS), np.float32)
        if format_ == "npy":
            np.save(f"{folder}/{shard:03}.npy", rows)
            continue
        import pyarrow as pa
        from pyarrow import parquet

        flat = pa.array(rows.ravel())
        x = pa.FixedSizeListArray.from_arrays(flat, vectors.DIMS)
        parquet.write_table(pa.table({"x": x}), f"{folder}/{shard:03}.parquet")
    return f"{folder}/*.{format_}"


def _read(path):
    if path.endswith("npy"):
        return np.load(path, mmap_mode="r")
    from pyarrow import parquet

    column = parquet.read_table(path)["x"].combine_chunks()
    return column.flatten().to_numpy().reshape(-1, vectors.DIMS)


def _export(folder):
    """Exports in a process of its own: this one stays small and has no threads."""
    code = (
        "from benchmarks import vectors; from tfp_flows import flows, serving; "
        "print(serving.export(flows.real_nvp((vectors.DIMS,), vectors.STEPS, "
        f"vectors.HIDDEN), {folder + '/model'!r}, allow_unadapted=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def _compared(model, files, folder, number):
    one = [sys.executable, "-m", "benchmarks.scoring", "--loop", model, files]
    beam = [sys.executable, "-m", "tfp_flows.scoring"]
    beam += [f"--model={model}", f"--input={files}"]
    beam += [f"--output={folder}/scores{number}/a", f"--batch_size={BATCH}"]
    one_s, one_mib, printed = _watched(one)
    beam_s, beam_mib, _ = _watched(beam)
    inside = json.loads(printed.splitlines()[-1])
    return {
        "one_s": round(one_s, 2),
        "loop_s": round(inside["loop_s"], 2),
        "one_mib": round(one_mib),
        "beam_s": round(beam_s, 2),
        "beam_mib": round(beam_mib),
    }


def _watched(command):
    """Runs a command; returns its seconds, its peak in MiB and what it printed."""
    start, peak = time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdout=printed)
        while process.poll() is None:
            peak = max(peak, _mebibytes(process.pid))
            time.sleep(_TICK)
        seconds = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} left with {process.returncode}")
        printed.seek(0)
        return seconds, peak, printed.read()


def _mebibytes(pid):
    """Returns the resident memory of a process and all below it."""
    try:
        pages = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        children = [c for t in tasks for c in (t / "children").read_text().split()]
    except OSError:  # gone meanwhile
        return 0.0
    return int(pages) * 4096 / 2**20 + sum(_mebibytes(child) for child in children)


if __name__ == "__main__":
    main()
