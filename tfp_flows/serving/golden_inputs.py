"""Which rows a model is asked at export, to be asked them again by the gate."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model, numeric
from tfp_flows.networks.weights.prepared_once import run_once
from tfp_flows.serving import golden, row_noise, row_seeds
from tfp_flows.serving.endpoints import Endpoints

# Signatures that are asked about events themselves; others about `Endpoints.points`.
_OF_EVENTS = ("bits_per_dim", "complete")


def golden_inputs(
    flow: Model,
    endpoints: Endpoints,
    functions: Mapping[str, Any],
    examples: Any,
    contexts: Any,
) -> dict[str, dict[str, np.ndarray]]:
    """Returns rows for every input of every signature: name -> name -> array.

    Args:
      flow: the model.
      endpoints: what is served of it.
      functions: the served functions, ready to run.
      examples: typical events `[N, *E]`, or None for samples.
      contexts: `[N, *C]`, or None.

    Raises:
      ValueError: if they have another shape, or are not wanted.
    """
    all_specs = endpoints.signatures()
    seeds = row_seeds.seeds(0, golden.NUM_ROWS)
    temperature = np.linspace(0.6, 1.3, golden.NUM_ROWS).astype(np.float32)
    values = {"temperature": temperature}
    values.update(_contexts(flow, endpoints, seeds, contexts))
    seen = None
    if "context" in values:
        seen = np.asarray(endpoints.embed(values["context"]))
    values["seed"] = endpoints.golden_seeds(temperature, seen)
    if "decode" in all_specs:
        values["z"] = _normals(seeds, all_specs["decode"]["z"].shape[1:])
    if "complete" in all_specs:
        values["known"] = endpoints.golden_masks(golden.NUM_ROWS)
    if examples is None:
        x = _samples(endpoints, functions, values)
    else:
        x = _first_rows("examples", examples, flow.event_shape, flow.num_values)
    values["x"] = endpoints.points(x)
    return {
        name: _picked({**values, "x": x} if name in _OF_EVENTS else values, inputs)
        for name, inputs in endpoints.specs().items()
    }


def _picked(values, specs):
    return {k: values[k].astype(v.dtype.as_numpy_dtype) for k, v in specs.items()}


def _samples(endpoints, functions, values):
    """Returns what `sample` answers to the golden seeds, served or not."""
    sample = functions.get("sample") or endpoints.function("sample")
    return answers(sample, _picked(values, endpoints.inputs("sample")))["x"]


def answers(function: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns what a served function answers to golden rows, by name.

    Args:
      function: a `tf.function` with one signature.
      inputs: its inputs, in order.
    """
    # As a concrete function: calling many functions once each would look like
    # retracing to TensorFlow, which warns of it.
    concrete = function.get_concrete_function()
    with run_once():
        outputs = concrete(*[tf.constant(v) for v in inputs.values()])
    return {key: value.numpy() for key, value in outputs.items()}


def context_inputs(
    endpoints: Endpoints, contexts: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Returns the inputs that stand for contexts `[N, *C]`, or none for None.

    Raises:
      ValueError: if labels are served and a context is not the indicator of a class.
    """
    if contexts is None:
        return {}
    if not endpoints.labels:
        return {"context": contexts}
    label = np.argmax(contexts, axis=-1).astype(np.int32)
    if not np.array_equal(np.eye(contexts.shape[-1])[label], contexts):
        raise ValueError(
            "With labels=True contexts are indicators of classes, rows of np.eye("
            f"{contexts.shape[-1]}), got others. Leave labels out to serve contexts."
        )
    return {"context": contexts, "label": label}


def _contexts(flow, endpoints, seeds, contexts):
    if flow.context_shape is None:
        if contexts is not None:
            raise ValueError("This flow takes no context: leave contexts= out.")
        return {}
    if contexts is not None:
        contexts = _first_rows("contexts", contexts, flow.context_shape)
    elif endpoints.labels:
        count = flow.context_shape[0]
        contexts = np.eye(count, dtype=np.float32)[np.arange(golden.NUM_ROWS) % count]
    elif flow.context_dtype.is_integer:
        raise ValueError(
            f"{flow.name} wants integers as context, of which nothing is typical. Give "
            "contexts= [N, *C] for the golden rows."
        )
    else:
        contexts = _normals(seeds, flow.context_shape)
    return context_inputs(endpoints, contexts)


def _normals(seeds, shape):
    noise = row_noise.row_normal(tf.constant(seeds), math.prod(shape))
    return noise.numpy().reshape([-1, *shape])


def _first_rows(name, rows, shape, num_values=None):
    """Returns 8 rows, repeated if there are fewer."""
    rows = checked_rows(name, rows, shape, num_values)
    return rows[np.arange(golden.NUM_ROWS) % len(rows)]


def checked_rows(
    name: str, rows: Any, shape: Any, num_values: int | None = None
) -> np.ndarray:
    """Returns rows as an array.

    Args:
      name: of the argument.
      rows: `[N, *shape]`, finite numbers.
      shape: of a row.
      num_values: of a model of integers: only 0 to num_values - 1 are good then.

    Raises:
      ValueError: if they are none, of another shape, or hold other numbers.
    """
    if np.ma.isMaskedArray(rows):
        raise ValueError(f"{name} is a masked array. Leave rows with gaps out.")
    try:
        rows = np.asarray(rows)
    except ValueError as error:  # rows of unequal lengths
        raise ValueError(f"{name} is no array: {error}") from error
    if rows.ndim == 0 or not len(rows) or rows.shape[1:] != tuple(shape):
        raise ValueError(
            f"{name} must be [N, {', '.join(map(str, shape))}] with N >= 1, got shape "
            f"{rows.shape}."
        )
    if rows.dtype.kind not in "buif":
        raise ValueError(f"{name} must hold real numbers, got {rows.dtype}.")
    wanted, good = "finite numbers", numeric.are_values(rows, num_values)
    if num_values is not None:
        wanted = f"whole numbers from 0 to {num_values - 1}"
    if not good.all():
        row = int(np.argmin(good.reshape(len(rows), -1).all(axis=1)))
        raise ValueError(
            f"{name} must hold {wanted}, row {row} has "
            f"{rows[row][~good[row]].flat[0]}. Leave such rows out."
        )
    return rows
