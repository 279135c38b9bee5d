"""Which engine runs a job: Beam's flags, and what holds without any."""

import contextlib
import io
import os
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineRunner

# Beam's DirectRunner would first look for a program to download; what it falls back to
# is this one.
_LOCAL = "FnApiRunner"
_LOCAL_DEFAULTS = {
    "direct_running_mode": "multi_processing",
    "direct_num_workers": str(os.cpu_count()),
    "default_sdk_harness_log_level": "ERROR",  # of workers, which tell all they do
}


def options(flags: Sequence[str] = ()) -> PipelineOptions:
    """Returns Beam's options; without a runner, one process for each core here.

    Args:
      flags: as on a command line, such as `["--runner=FlinkRunner"]`.

    Raises:
      ValueError: for a flag that Beam does not know, or a value that it refuses. Other
        engines than the local one may know flags that Beam does not.

    Examples:
      >>> options(["--direct_num_workers=2"]).get_all_options()["runner"]
      'FnApiRunner'
    """
    flags = list(flags)
    runner = _parsed(flags).view_as(StandardOptions).runner
    if runner not in (None, "DirectRunner", _LOCAL):
        return PipelineOptions(flags)
    _check_known(flags)
    given = {flag.lstrip("-").partition("=")[0] for flag in flags}
    more = {k: v for k, v in _LOCAL_DEFAULTS.items() if k not in given}
    # The last of two flags counts.
    local = [*flags, *(f"--{k}={v}" for k, v in more.items()), f"--runner={_LOCAL}"]
    return PipelineOptions(local)


def runner(beam_options: PipelineOptions) -> PipelineRunner | None:
    """Returns the local runner, None for another engine, which Beam finds by name.

    Args:
      beam_options: what `options` returned.
    """
    if beam_options.view_as(StandardOptions).runner != _LOCAL:
        return None
    # As Beam's DirectRunner does: without this, workers do not see any option.
    encoded = JobServiceHandle.encode_pipeline_options(beam_options.get_all_options())
    information = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return fn_runner.FnApiRunner(
        provision_info=fn_runner.ExtendedProvisionInfo(information)
    )


def _parsed(flags):
    """Returns options, or raises what argparse would have written and left with."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            parsed = PipelineOptions(flags)
            parsed.get_all_options()
    except SystemExit as error:
        line = errors.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(f"Beam does not take its flags: {line}.") from error
    return parsed


def _check_known(flags):
    known = _parsed(flags).get_all_options()
    every = PipelineOptions(flags).get_all_options(retain_unknown_options=True)
    unknown = [f"--{name}" for name in every if name not in known]
    for before, flag in zip(["", *flags], flags, strict=False):
        # After "--name" a word is its value, after "--name=value" it has no meaning.
        is_value = before.startswith("-") and "=" not in before
        if not flag.startswith("-") and not is_value:
            unknown.append(flag)
    if unknown:
        raise ValueError(
            f"Beam does not know {unknown[0]!r}. After -- stand flags of Beam, such as "
            "--direct_num_workers=2."
        )
