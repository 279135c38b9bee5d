r"""Scores files of rows with an exported model, or draws samples from it.

python -m tfp_flows.scoring --model=served/wine/1 --input='rows/*.parquet' \
    --output=scores/log_prob --key=id
python -m tfp_flows.scoring --model=served/digits/1 --signature=bits_per_dim \
    --input='mnist/3.0.1/mnist-test.tfrecord*' --x=image --output=scores/bits
python -m tfp_flows.scoring --model=served/digits/1 --mode=sample --count=100000 \
    --seed=7 --output=samples/digits

After -- stand the flags of Apache Beam, which choose the engine. Without any the job
runs on this machine, in one process for each core.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence

from tfp_flows.quiet import quiet_loading

SIGNATURES = ("log_prob", "bits_per_dim", "encode", "anomaly_score")
_OF_ROWS = ("input", "signature", "key", "x", "context", "input_format")
_OF_SAMPLES = ("count", "temperature")


class _Parser(argparse.ArgumentParser):
    """Raises mistakes, which argparse would write on several lines."""

    def error(self, message):
        raise ValueError(f"{message}. See python -m tfp_flows.scoring --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a job; a mistake in its arguments is one line and exit code 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    at = arguments.index("--") if "--" in arguments else len(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # workers take it over
    try:
        chosen = _chosen(_parser().parse_args(arguments[:at]))
        return _run(chosen, arguments[at + 1 :])
    except (ValueError, OSError, ModuleNotFoundError) as error:
        text = " ".join(str(error).split())
        print(f"scoring: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scoring: stopped. What was written is not whole.", file=sys.stderr)
        return 130  # as shells report an interrupt


def _run(chosen, flags):
    from tfp_flows import scoring  # its jobs load Beam and TensorFlow, this does not

    start = time.perf_counter()
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    with quiet_loading():
        job = scoring.sample if chosen.pop("mode") == "sample" else scoring.score
    summary = job(**chosen, flags=flags)
    bad = f", {summary.invalid:,} invalid: {chosen['output']}-invalid*"
    seconds = time.perf_counter() - start
    print(f"{summary.rows:,} rows in {seconds:.1f} s{bad if summary.invalid else ''}")
    return 0


def _parser():
    parser = _Parser(
        prog="python -m tfp_flows.scoring",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--mode", choices=["score", "sample"], default="score")
    add("--model", required=True, help="version directory, such as served/digits/1")
    add("--output", required=True, help="prefix of the files to write")
    add("--output_format", choices=["parquet", "tfrecord"])
    add("--batch_size", type=int, help="rows of a batch, 4096 if not given")
    add("--seed", type=int, help="of samples, and of the noise of dequantization")
    rows = parser.add_argument_group("scoring").add_argument
    rows("--input", help="glob of TFRecord, Parquet, CSV or npy files")
    rows("--input_format", choices=["tfrecord", "parquet", "csv", "npy"])
    rows("--signature", choices=SIGNATURES, help="log_prob if not given")
    rows("--key", help="column to write beside the values")
    rows("--x", type=_columns, help="columns of the event, COLUMN,COLUMN")
    rows("--context", type=_columns, help="columns of the context")
    draws = parser.add_argument_group("sampling").add_argument
    draws("--count", type=int, help="samples")
    draws("--temperature", type=float, help="above 0, 1 if not given")
    return parser


def _columns(text):
    return tuple(text.split(","))


def _chosen(parsed):
    """Returns what was given; what belongs to the other mode is refused."""
    given = {name: v for name, v in vars(parsed).items() if v is not None}
    samples = given["mode"] == "sample"
    needed, foreign = ("count", _OF_ROWS) if samples else ("input", _OF_SAMPLES)
    if needed not in given:
        raise ValueError(f"--mode={given['mode']} needs --{needed}")
    for name in foreign:
        if name in given:
            raise ValueError(f"--{name} has no use in --mode={given['mode']}")
    return given


if __name__ == "__main__":
    sys.exit(main())
