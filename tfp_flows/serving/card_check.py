"""The card of a version against its graph: a card is a claim until it is compared.

`stored` is what the checkpoint holds: it is counted there, and the graph has to have
the same variables. `num_parameters`, the weights of the model in Python, is a function
of the graph: an export holds what follows from weights in place of the weights.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_flows.serving import checkpoint, golden, meta_graph

FILE_NAME = os.path.join("assets.extra", "flow_card.json")
SCHEMA_VERSION = 3

# TensorFlow's number of a dtype -> name on cards.
DTYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 10: "bool"}
# What must stand on a card, and of which kind.
_ENTRIES: dict[str, Any] = {
    "schema_version": int,
    "version": int,
    "kind": str,
    "event_shape": list,
    "context_shape": (list, type(None)),
    "num_values": (int, type(None)),
    "signatures": dict,
    "num_parameters": int,
    "stored": dict,
    "library_versions": dict,
    "max_batch_size": int,
}
_LARGEST = 2**31 - 1  # integers are sent as int32
KINDS = ("flow", "augmented", "autoregressive")
# Signature -> kinds that may have it.
_ONLY = {
    "encode": ("flow",),
    "decode": ("flow",),
    "complete": ("autoregressive",),
}
# What holds integers of a model of integers.
_INTEGERS = (("sample", "outputs"), ("bits_per_dim", "inputs"))
# Entry -> inputs and outputs of which it is the shape, by signature.
_SHAPES = {
    "event_shape": {("bits_per_dim", "x"), ("sample", "x"), ("complete", "x")},
    "latent_shape": {("encode", "z"), ("decode", "z")},
    "padded_shape": {("log_prob", "x"), ("encode", "x"), ("decode", "x")},
}


def read(directory: str | os.PathLike) -> dict[str, Any]:
    """Returns the card of a version.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is no card of this library.
    """
    with open(os.path.join(directory, FILE_NAME), encoding="utf-8") as file:
        card = json.load(file)
    if not isinstance(card, dict):
        raise ValueError("it is no JSON object")
    if card.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"its schema is {card.get('schema_version')!r}, this library knows "
            f"{SCHEMA_VERSION}: export again"
        )
    for name, kind in _ENTRIES.items():
        if name not in card or not _is_entry(card[name], kind):
            raise ValueError(f"its entry {name!r} is {card.get(name)!r}")
    if (card["num_values"] or 0) > _LARGEST:
        raise ValueError(f"its entry 'num_values' is {card['num_values']}")
    return card


def problem(
    card: Mapping[str, Any],
    graph: bytes,
    rows: Mapping[str, golden.Golden],
    stored: Sequence[checkpoint.Variable],
    directory: str | os.PathLike,
) -> str | None:
    """Returns where card, graph, golden rows and checkpoint disagree, or None.

    Args:
      card: as read.
      graph: the serialized MetaGraphDef.
      rows: golden rows by signature.
      stored: the variables of the checkpoint.
      directory: of the version; its name is the version if it is a number.
    """
    name = os.path.basename(os.path.abspath(directory))
    if name.isdigit() and card["version"] != int(name):
        return f"the card is of version {card['version']}, the directory {name}"
    problem = _stored(card, graph, stored)
    if problem:
        return problem
    weights = meta_graph.num_parameters(graph)
    if card["num_parameters"] != weights:
        said = card["num_parameters"]
        return f"the card says num_parameters {said}, the graph says {weights}"
    written = meta_graph.tensorflow_version(graph)
    if card["library_versions"].get("tensorflow") != written:
        return f"the graph was written by TensorFlow {written}, the card says another"
    served = table(meta_graph.signatures(graph))
    default = served.pop("serving_default", None)
    if default != served.get("log_prob"):
        return "serving_default is not log_prob"
    if card["signatures"] != served:
        what = _first(card["signatures"], served)
        return f"the card's signatures are not the graph's: {what}"
    if set(rows) != {*served, "serving_default"}:
        return f"it has golden rows for {sorted(rows)}, and serves {sorted(served)}"
    return _kind(card, served) or _shapes(card, rows) or _rows(card, rows)


def _is_entry(value, kind):
    """Whether a value may stand there: True is no number, and no count is below 0."""
    if isinstance(value, int) and (isinstance(value, bool) or value < 0):
        return False
    if isinstance(value, list):  # a shape
        sizes = all(_is_entry(size, int) and size <= _LARGEST for size in value)
        return sizes and isinstance(value, kind)
    return isinstance(value, kind)


def table(signatures: Mapping[str, meta_graph.Signature]) -> dict[str, Any]:
    """Returns signatures as cards have them: dtype and shape by name."""
    return {
        name: {
            part: {key: _described(info) for key, info in getattr(sig, part).items()}
            for part in ("inputs", "outputs")
        }
        for name, sig in signatures.items()
    }


def _stored(card, graph, stored):
    """Compares card, checkpoint and graph in what they hold."""
    totals = checkpoint.totals(stored)
    if card["stored"] != totals:
        return f"the card says that {card['stored']} are stored, and {totals} are"
    return checkpoint.difference(meta_graph.variables(graph), stored)


def _kind(card, served):
    """Compares what the card says the model is with what is served of it."""
    if card["kind"] not in KINDS:
        return f"the card says kind {card['kind']!r}, known are {', '.join(KINDS)}"
    for name, kinds in _ONLY.items():
        if name in served and card["kind"] not in kinds:
            return f"the card says kind {card['kind']}, and there is {name}"
    inputs = served["log_prob"]["inputs"]
    takes_context = "context" in inputs or "label" in inputs
    if takes_context != (card["context_shape"] is not None):
        what = "takes a" if takes_context else "takes no"
        return f"log_prob {what} context, the card says {card['context_shape']}"
    if "label" in inputs and len(card["context_shape"]) != 1:
        return f"log_prob takes a label, the card says {card['context_shape']}"
    whole = inputs["x"]["dtype"] == "int32" or "bits_per_dim" in served
    if whole and card["num_values"] is None:
        return "the model is one of integers, the card says num_values None"
    return None


def _described(info):
    shape = None if info.shape is None else list(info.shape)
    return {"dtype": DTYPES.get(info.dtype, f"number {info.dtype}"), "shape": shape}


def _shapes(card, rows):
    """Compares the shapes on the card with those of the golden rows."""
    wanted = {place: entry for entry, places in _SHAPES.items() for place in places}
    for name, expected in rows.items():
        for key, value in {**expected.inputs, **expected.outputs}.items():
            entry = "context_shape" if key == "context" else wanted.get((name, key))
            if entry == "padded_shape" and card.get(entry) is None:
                entry = "event_shape"
            if entry is not None and card.get(entry) != list(value.shape[1:]):
                return (
                    f"{name} has {key} of shape {list(value.shape[1:])}, "
                    f"the card says {entry} {card.get(entry)}"
                )
    return None


def _rows(card, rows):
    values = card["num_values"]
    for name, part in _INTEGERS if values is not None else ():
        if name not in rows:
            continue
        x = getattr(rows[name], part)["x"][rows[name].outputs["valid"]]
        if ((x != np.floor(x)) | (x < 0) | (x >= values)).any():
            return f"golden rows of {name} are not integers from 0 to {values - 1}"
    for name, expected in rows.items():
        if not 0.0 < expected.rtol <= golden.LARGEST_RTOL:
            return (
                f"the golden rows of {name} allow rtol {expected.rtol:g}, "
                f"at most {golden.LARGEST_RTOL:g} may be"
            )
        if not np.any(expected.outputs.get("valid", True)):
            return f"no golden row of {name} is valid: they show nothing"
        for key, value in {**expected.inputs, **expected.outputs}.items():
            if value.shape[:1] != (golden.NUM_ROWS,):
                return (
                    f"{name}: {key} has golden rows {list(value.shape)}, "
                    f"wanted are {golden.NUM_ROWS} of them"
                )
    return None


def _first(card, served):
    """Says the first difference of two tables."""
    for name in sorted({*card, *served}):
        if name not in served or name not in card:
            where = "card" if name in card else "graph"
            return f"{name} is on the {where} only"
        if card[name] != served[name]:
            return f"{name} is {card[name]} there and {served[name]} here"
    return "they differ"
