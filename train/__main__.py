"""Trains a flow from a config file, evaluates it beside baselines and exports it.

python -m train                                          # Glow on handwritten digits
python -m train --config=train/configs/two_moons.py --workdir=runs/two_moons
python -m train --config.data.name=mnist --config.data.data_dir=DIR
python -m train --config.epochs=5 --config.flow.options.num_steps=8
python -m train --list                                   # configs, what each reaches

The same command again continues a run that was stopped, with the same numbers: killed
at any moment, by SIGTERM or Ctrl-C, which save the running step first, by a full disk.

Exit codes:
    0  done
    2  a mistake: in the arguments, the data, or because another job is in the workdir
   74  the disk is full; make room and start the same command again
   75  another worker is gone; start the same command again on all of them
  130  stopped by Ctrl-C (a second one ends at once)
  143  stopped by SIGTERM
"""

import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from tfp_flows.quiet import quiet_loading
from train import catalogue, files, stopping

_DEFAULT = pathlib.Path(__file__).parent / "configs" / "digits_glow.py"

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Python file with get_config(); Glow on digits if not given. Any field of it "
    "can be set on the command line: --config.field=value.",
    lock_config=True,
)
_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Directory for checkpoints, logs, pictures, the report and the exported model. "
    "Default: runs/<name of the config file>.",
)


def main(argv: list[str]) -> int | None:
    """Runs the job; a mistake in its arguments is one line and exit code 2."""
    if len(argv) > 1:
        return _refuse(f"unknown argument {argv[1]!r}. See python -m train --help")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # the libraries' notes to themselves
    with stopping.listening(_CONFIG.value.checkpoint.grace) as stop:
        try:
            return _run(stop)
        except BaseException as error:
            stopped = stop.reason(error)
            if stopped is None:
                raise
    _refuse(stopped)
    sys.stdout.flush()
    os._exit(stopped.code)  # TensorFlow would wait for the other workers


def _run(stop):
    with quiet_loading():
        # Late: a wrong flag is told without loading TensorFlow.
        from train import job, strategies

    name = pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = pathlib.Path(_WORKDIR.value or f"runs/{name}")
    try:
        job.run(_CONFIG.value, workdir, stop=stop)
    except strategies.LOST as error:
        _refuse(
            f"another worker is gone ({type(error).__name__}). Start the same command "
            "again on all of them"
        )
        return strategies.UNAVAILABLE
    except Exception as error:
        if stop.signal is not None:
            raise
        if files.is_full(error):
            _refuse(
                f"the disk of {workdir} is full. What was saved is whole: make room, "
                "then start the same command again"
            )
            return os.EX_IOERR
        # What reading a row raises goes through TensorFlow's pipeline as text.
        _, is_of_data, text = str(error).partition("ValueError: ")
        if isinstance(error, ValueError | OSError) or is_of_data:
            return _refuse(text.splitlines()[0] if is_of_data else error)
        raise
    return None


def _parse(argv):
    """Parses flags; what absl and ml_collections raise becomes one line."""
    for argument in argv:
        path = argument.partition("=")[2]
        if argument.startswith("--config=") and not pathlib.Path(path).is_file():
            sys.exit(_refuse(f"there is no config file {path!r}. Check --config"))
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(_refuse(f"{error} See python -m train --help"))
    except (ImportError, SyntaxError) as error:
        sys.exit(_refuse(f"cannot read the config file: {error}. Check --config"))
    except (AttributeError, KeyError) as error:
        field = str(error).strip("\"'")
        sys.exit(_refuse(f"the config has no field {field}. Check the config file"))
    except (TypeError, ValueError) as error:
        sys.exit(_refuse(f"{error}. Check the --config flags"))


def _refuse(error) -> int:
    text = " ".join(str(error).split())
    print(f"train: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(__doc__)
        print(catalogue.page())
        print(flags.FLAGS.get_help())
        sys.exit(0)
    if "--list" in sys.argv[1:]:
        print(catalogue.page())
        sys.exit(0)
    if not any(a.lstrip("-").split("=")[0] == "config" for a in sys.argv[1:]):
        # Not as the flag's default: that one is read before errors can be caught.
        sys.argv.insert(1, f"--config={_DEFAULT}")
    app.run(main, flags_parser=_parse)
