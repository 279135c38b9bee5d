"""Export: from a flow to a version directory that TF Serving can run."""

import contextlib
import functools
import gc
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import progress
from tfp_flows.distributions import (
    AnyOrder,
    Augmented,
    Autoregressive,
    Embedded,
    Model,
)
from tfp_flows.networks.weights.prepared_once import prepared_once
from tfp_flows.serving import (
    batching,
    batching_file,
    cards,
    check,
    golden,
    publishing,
    warm_up,
)
from tfp_flows.serving.augmented_endpoints import AugmentedEndpoints
from tfp_flows.serving.autoregressive_endpoints import AutoregressiveEndpoints
from tfp_flows.serving.calibration import calibrate
from tfp_flows.serving.default_signature import name_default
from tfp_flows.serving.endpoints import DEFAULT, Endpoints
from tfp_flows.serving.flow_endpoints import FlowEndpoints
from tfp_flows.serving.golden_inputs import answers, golden_inputs

# Kind of model -> what is served of it. The nearest kind counts.
ENDPOINTS: dict[type, type[Endpoints]] = {
    Augmented: AugmentedEndpoints,
    Autoregressive: AutoregressiveEndpoints,
    Model: FlowEndpoints,
}


@contextlib.contextmanager
def _earlier_objects_kept():
    """Lets Python's garbage collector look at new objects only.

    An export makes so many that it looks through all there are, and a walk over what
    TensorFlow has loaded takes a third of a second. A process that froze objects
    itself keeps them so.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@_earlier_objects_kept()
def export(
    flow: Model,
    base_dir: str | os.PathLike,
    version: int | None = None,
    *,
    examples: Any = None,
    contexts: Any = None,
    nonfinite: str = "nan",
    rtol: float = golden.RTOL,
    card: Mapping[str, Any] | None = None,
    allow_unadapted: bool = False,
    max_batch_size: int | str = batching.DEFAULT,
    labels: bool = False,
    signatures: Sequence[str] | None = None,
    calibration: Any = None,
    calibration_contexts: Any = None,
) -> pathlib.Path:
    """Publishes a flow as the next version below `base_dir`.

    The model is written beside the versions, checked there in the C++ runtime (see
    `serving.check`, about two seconds in another process) and renamed: a reader of
    `base_dir` sees a complete new version or nothing. Nothing is ever overwritten.
    Signatures and units: see `serving.flow_endpoints` for flows,
    `serving.autoregressive_endpoints` for `Autoregressive` models and
    `serving.augmented_endpoints` for `Augmented` ones; what an invalid row holds: see
    `serving.endpoints`.

    Args:
      flow: what a recipe returns; conditional models get the additional input
        `context` f32 `[B, *C]` in every signature. An `AnyOrder` model is served in
        row-major order; for another one, export `model.in_order(order)`.
      base_dir: local directory of all versions of this model; made if missing.
      version: a positive integer that is not taken, or None for the next.
      examples: `[N, *E]`, N >= 1, typical data for the golden rows, whole numbers for a
        flow over integers. Samples of the flow if None.
      contexts: `[N, *C]`, contexts for the golden rows of a conditional flow.
        Standard normals if None.
      nonfinite: "nan", or "sentinel" for clients whose JSON has no NaN: the floats of
        an invalid row are then float32's lowest.
      rtol: how far golden rows may be from the answers here, relative to the largest
        entry of an output. Raise it for networks of reduced precision, whose rounding
        changes with the size of the batch (mixed_bfloat16: 1e-2, the largest).
      card: JSON-able facts to add to `flow_card.json`, such as test scores and the
        name and hash of the data; "name" is the directory's unless given here.
      allow_unadapted: publishes a flow that has seen no data.
      max_batch_size: rows, at most 1024, that a server should put together at most:
        the larger request of the warm-up, and `batching_params.pbtxt`. "measure"
        times batches here; what was measured is on the card.
      labels: for a flow whose context is the indicator of a class: clients send
        `label` i32 `[B]` in place of `context`.
      signatures: those to serve, `log_prob` among them; all if None.
      calibration: `[N, *E]`, events that the flow was not trained on. With them there
        is `anomaly_score`, whose p-values are at most a rate as often as that rate for
        events like these.
      calibration_contexts: `[N, *C]` for a conditional flow.

    Returns:
      The version's directory: `saved_model.pb`, `variables/`, `batching_params.pbtxt`
      and, in `assets.extra/`, `golden.npz`, `tf_serving_warmup_requests`,
      `flow_card.json`, `MODEL_CARD.md` and `SHA256SUMS`.

    Raises:
      ValueError: for a wrong argument, or a flow that gives no finite number.
      CheckError: if the exported model does not serve; nothing is published then.

    Examples:
      >>> serving.export(flow, "served/digits")  # doctest: +SKIP
      PosixPath('served/digits/1')
    """
    flow = _servable(flow, allow_unadapted)
    endpoints = endpoints_of(flow, nonfinite, labels)
    golden.check_rtol(rtol)
    batching.check(max_batch_size)
    _choose(endpoints, flow, signatures, calibration, calibration_contexts, rtol)
    functions = prepared_once(endpoints.functions())
    rows = golden_inputs(flow, endpoints, functions, examples, contexts)
    base = publishing.check_base(base_dir)
    publishing.check_version(base, version)
    facts = _facts(flow, nonfinite, base, card or {})
    title = f"exporting {flow.name}"
    with publishing.workspace(base) as directory, progress.parts(title, 2) as bar:
        _save(flow, functions, endpoints.passes, directory)
        answered = _answers(functions, rows, rtol)
        facts |= _batches(functions, answered, max_batch_size)
        _write_rows(directory, answered, facts)
        bar.update()
        write_card = functools.partial(_write_card, directory, facts)
        write_card(version or publishing.next_version(base))
        _run_gate(directory)
        return publishing.publish(directory, base, version, write_card)


def _choose(endpoints, flow, signatures, calibration, contexts, rtol):
    """Adds what calibration events make possible, leaves out what nobody wants."""
    if calibration is not None or contexts is not None:
        calibrate(endpoints, flow, calibration, contexts, rtol)
    if signatures is not None:
        endpoints.choose(signatures)


def endpoints_of(
    model: Model, nonfinite: str = "nan", labels: bool = False
) -> Endpoints:
    """Returns the served functions that fit a model.

    Raises:
      ValueError: if it cannot be served, see `Endpoints`.
    """
    if isinstance(model, Embedded):
        endpoints = endpoints_of(model.inner, nonfinite, labels)
        endpoints.see_through(model)
        return endpoints
    kinds: list[Any] = [ENDPOINTS[k] for k in type(model).__mro__ if k in ENDPOINTS]
    return (kinds or [FlowEndpoints])[0](model, nonfinite, labels)


def _facts(flow, nonfinite, base, card):
    """Returns what the card says before the model is written."""
    facts = cards.facts(flow, nonfinite)
    cards.check(card, facts)
    return {**facts, "name": base.resolve().name, **card}


def _write_card(directory, facts, number):
    cards.write(directory, {**facts, "version": number})


def _servable(flow, allow_unadapted):
    """Returns the model to serve in place of one, if it has seen data."""
    _check_has_all_values(flow)
    if isinstance(flow, AnyOrder):
        flow = flow.in_order()
    if not allow_unadapted:
        _check_seen_data(flow)
    return flow


def _check_has_all_values(flow):
    if isinstance(flow, Model) and flow.takes_missing:
        raise ValueError(
            f"{flow.name!r} takes NaN for a value that is missing, and to what is "
            "served NaN is an invalid row. Use it in Python, saved as a .keras file."
        )


def _check_seen_data(flow):
    """Refuses a flow that nobody adapted or trained, as far as its weights tell."""
    if not isinstance(flow, Model):
        return  # refused as what cannot be served
    # Zeros, and ones of a recurrent layer's forget gates, are where biases begin.
    biases = [v for v in flow.trainable_variables if "bias" in v.name]
    if not flow.is_adapted:
        what = "was never adapted to data"
    elif biases and all(np.isin(tf.convert_to_tensor(v), (0, 1)).all() for v in biases):
        what = "was never trained: its biases are what they were at first"
    else:
        return
    raise ValueError(
        f"{flow.name!r} {what}. Train it with FlowModel, whose first fit adapts it "
        "too, or pass allow_unadapted=True."
    )


def _write_rows(directory, answers, facts):
    """Writes the files of rows that the gate and servers ask."""
    golden.save(directory, answers)
    size = facts["max_batch_size"]
    batching_file.write(directory, size)
    warm_up.write(directory, warm_up.records(facts["name"], answers, size))


def _save(flow, functions, passes, directory):
    root = tf.Module()
    # Those that are read alone: Keras' own export hooks store weights twice, or leave
    # the served functions without them.
    root.read_variables = _read_variables(flow, functions, passes)
    root.functions = functions
    root.num_parameters = _num_parameters(flow)
    # Nobody differentiates a served function.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(root, str(directory), signatures=functions, options=options)
    name_default(directory)


def _num_parameters(flow):
    """Returns a function by which the graph says what the card says."""
    count = cards.num_parameters(flow)

    @tf.function(input_signature=[], autograph=False)
    def num_parameters():
        return tf.constant(count, tf.int64)

    return num_parameters


def _read_variables(flow, functions, passes):
    """Returns what was prepared, and the weights that loops read themselves."""
    concrete = [f.get_concrete_function() for f in functions.values()]
    graphs = [f.graph for f in concrete]
    graphs += [f.get_concrete_function().graph for f in passes.values()]
    by_handle = {id(v.handle): v for graph in graphs for v in graph.variables}
    # In the order of captures: a graph's own list of variables has none, and two
    # exports of the same flow are to be the same files.
    read = {id(tensor): None for f in concrete for tensor in f.captured_inputs}
    found = {id(by_handle[h]): by_handle[h] for h in read if h in by_handle}
    for variable in flow.raw_variables:
        mirrors = getattr(variable, "values", (variable,))  # one on each replica
        if any(id(mirror.handle) in read for mirror in mirrors):
            found[id(variable)] = variable
    return list(found.values())


def _answers(functions, rows, rtol):
    """Returns the golden rows of each signature, the default one included."""
    found = {}
    for name, inputs in rows.items():
        outputs = answers(functions[name], inputs)
        if not outputs["valid"].any():
            raise ValueError(
                f"The flow's {name} is not finite on any of {golden.NUM_ROWS} typical "
                "rows. Did its training diverge, or are examples= in another unit?"
            )
        found[name] = golden.Golden(inputs, outputs, rtol)
    found[DEFAULT] = found["log_prob"]
    return found


def _batches(functions, answers, max_batch_size):
    """Returns what the card says of batches."""
    if max_batch_size != batching.MEASURE:
        return {"max_batch_size": max_batch_size}
    seconds = batching.measured(functions, answers)
    return {"max_batch_size": batching.advice(seconds), "batch_seconds": seconds}


def _run_gate(directory):
    """Checks the model in a process without TensorFlow's Python."""
    package = pathlib.Path(__file__).parents[2]
    path = [str(package), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", check.__name__, str(directory)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise check.CheckError(f"Nothing was published: {lines[-1]}")
