"""The structure of a model as text: a tree of its parts."""

import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def tree(model: Any) -> str:
    """Returns a line for each part of a model, those inside of others indented.

    A part that has `parts` is shown with them, one that has a `count` as so many.

    Args:
      model: a `Model`.

    Returns:
      For each part: its class and name, the shape of its events (of a bijector: from
      the data's to the latent side's) and how many weights it has.

    Examples:
      >>> from tfp_flows import flows
      >>> print(tree(flows.gaussian((3,))))
      GaussianFlow 'gaussian' (3,) float32, 25 weights
      ├─ Chain 'gaussian' (3,), 25 weights
      │  └─ TriangularAffine 'triangular_affine' (3,), 25 weights
      └─ StandardNormal 'standard_normal' (3,) float32
    """
    return "\n".join(_lines(model, "", ""))


def line(part: Any) -> str:
    """Returns one line on a model, a distribution or a bijector.

    Args:
      part: of a `Model`, or one.
    """
    count = getattr(part, "count", 1)
    times = f"{count} x " if isinstance(count, int) and count > 1 else ""
    weights = _num_weights(part)
    facts = [_shapes(part), f"{weights:,} weights" if weights else ""]
    name = f"{times}{type(part).__name__} {getattr(part, 'name', '')!r}"
    return f"{name} {', '.join(filter(None, facts))}".rstrip()


def _lines(part, first, rest) -> Iterator[str]:
    yield first + line(part)
    parts = [inner for inner in getattr(part, "parts", ()) if inner is not None]
    for i, inner in enumerate(parts, 1):
        ends = ("└─ ", "   ") if i == len(parts) else ("├─ ", "│  ")
        yield from _lines(inner, rest + ends[0], rest + ends[1])


def _shapes(part):
    shape = getattr(part, "event_shape", None)
    if shape is None:
        return ""
    latent = getattr(part, "latent_shape", shape)  # of a bijector
    change = "" if latent == shape else f" -> {_plain(latent)}"
    values = getattr(part, "num_values", None)
    integers = "" if values is None else f" 0 .. {values - 1}"
    dtype = "" if hasattr(part, "latent_shape") else f" {_plain(part.dtype)}"
    return f"{_plain(shape)}{change}{dtype}{integers}{_context(part)}"


def _plain(value):
    """Shapes as tuples and dtypes as names, in structures too."""
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, tf.TensorShape):
        return tuple(value.as_list())
    if isinstance(value, (list, tuple)) and not all(isinstance(n, int) for n in value):
        return f"[{', '.join(str(_plain(part)) for part in value)}]"
    return value


def _context(part):
    shape = getattr(part, "context_shape", None)
    return "" if shape is None else f" given {tuple(shape)}"


def _num_weights(part):
    inside = [part, *getattr(part, "submodules", ())]
    layers = [layer for one in inside for layer in getattr(one, "keras_layers", ())]
    weights = getattr(part, "weights", [v for layer in layers for v in layer.weights])
    weights = {id(v): v for v in weights}
    return sum(math.prod(v.shape) for v in weights.values())
