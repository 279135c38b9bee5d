"""What is written beside a served model: facts for machines and a page for people."""

import importlib.metadata
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import version
from tfp_flows.distributions import (
    Augmented,
    Autoregressive,
    Embedded,
    Model,
    Padded,
)
from tfp_flows.serving import (
    card_check,
    checkpoint,
    manifest,
    meta_graph,
    row_noise,
)

# Known only when the files are written.
_WRITTEN = (
    *("version", "saved_model_checksum", "stored", "signatures"),
    *("max_batch_size", "batch_seconds"),
)
# what it is, and what for
_KINDS = {
    "flow": (
        "A normalizing flow: an exact density, an encoder and a sampler in one model.",
        "scoring, sampling and encoding",
    ),
    "augmented": (
        "A flow with an auxiliary variable: a bound on the density, and a sampler.",
        "scoring and sampling",
    ),
    "autoregressive": (
        "An autoregressive model: exact log-probabilities and a sampler.",
        "scoring and sampling",
    ),
}
_PAGE = """\
# {name}, version {version}

{kind}

- Made with tfp_flows {tfp_flows}, TensorFlow {tensorflow}. Use a TensorFlow Serving of
  the same minor version or later.
- Events of shape {event_shape}, context {context_shape}; {parameters:,} parameters.
- {units}
- `flow_card.json` holds the facts, `golden.npz` 8 rows of every signature with the
  answers. To replay them: `python -m tfp_flows.serving.check <this version>`.

Intended use: {use} of data like the training data; which data
that was, and how well the model does, stands in `flow_card.json` if the exporter said
so. Limits: a likelihood is not by itself a detector of anomalies, samples can repeat
what the training data hold, and numbers are float32 (never serve with reduced
precision). Licence: that of the exporter's choice; none is implied.
"""


def facts(flow: Model, nonfinite: str) -> dict[str, Any]:
    """Returns what is known about a flow and its served form, JSON-able.

    Args:
      flow: any model.
      nonfinite: what an invalid row holds.
    """
    recipe = flow.recipe
    served = flow.inner if isinstance(flow, Embedded) else flow
    return {
        "schema_version": card_check.SCHEMA_VERSION,
        "event_shape": flow.event_shape.as_list(),
        "context_shape": _as_list(flow.context_shape),
        "num_values": flow.num_values,
        **_particulars(served),
        "units": _units(served),
        "log_prob_includes_preprocessing": True,
        "invalid_rows": nonfinite,
        "recipe": recipe and {"name": recipe.name, "options": dict(recipe.options)},
        "is_adapted": bool(flow.is_adapted),
        "num_parameters": num_parameters(flow),
        "seed_algorithm": row_noise.ALGORITHM,
        "library_versions": _library_versions(),
    }


def num_parameters(flow: Model) -> int:
    """Returns how many numbers the weights of a flow are."""
    return sum(math.prod(v.shape) for v in flow.raw_variables)


def _particulars(flow):
    """Returns what only flows have, or only autoregressive models: None elsewhere."""
    facts = dict.fromkeys(
        ("padded_shape", "latent_shape", "base", "dequantization", "element")
    )
    facts["model_dtype"] = flow.real_dtype.name
    if isinstance(flow, Autoregressive):
        return facts | {"kind": "autoregressive", "element": _class(flow.element)}
    if isinstance(flow, Augmented):
        return facts | {"kind": "augmented"}
    inner = flow.flow
    return facts | {
        "kind": "flow",
        "padded_shape": inner.event_shape.as_list() if _is_padded(flow) else None,
        "latent_shape": inner.distribution.event_shape.as_list(),
        "base": _class(inner.distribution),
        "dequantization": _dequantization(flow),
    }


def _class(value):
    return type(value).__name__


def check(card: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuses entries that are not JSON, or would replace what is known of the flow.

    Raises:
      ValueError: naming the entry, or if it is no dictionary.
    """
    if not isinstance(card, Mapping) or not all(isinstance(k, str) for k in card):
        raise ValueError(f"card= takes a dictionary of facts by name, got {card!r}.")
    name = card.get("name", "a name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"card['name'] must be text, got {name!r}.")
    for key, value in card.items():
        if key in known or key in _WRITTEN:
            raise ValueError(
                f"card[{key!r}] is written by the export itself. Leave it out, or give "
                "the entry another name."
            )
        try:
            json.dumps(value, default=_to_json, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"card[{key!r}] must be JSON (finite numbers, text, lists, dicts), got "
                f"{value!r}: {error}."
            ) from error


def write(directory: pathlib.Path, card: Mapping[str, Any]) -> None:
    """Writes `flow_card.json`, `MODEL_CARD.md` and the checksums of all files.

    What the files say is added from the files as they were saved: signatures, what is
    stored, and TensorFlow's own checksum.
    """
    extra = directory / "assets.extra"
    extra.mkdir(exist_ok=True)
    fingerprint = tf.saved_model.experimental.read_fingerprint(str(directory))
    graph = meta_graph.of_saved_model((directory / "saved_model.pb").read_bytes())
    signatures = card_check.table(meta_graph.signatures(graph))
    signatures.pop("serving_default")
    full = {
        **card,
        "signatures": signatures,
        "stored": checkpoint.totals(checkpoint.variables(directory)),
        "saved_model_checksum": str(fingerprint.saved_model_checksum),
    }
    text = json.dumps(full, indent=1, default=_to_json, allow_nan=False)
    (extra / "flow_card.json").write_text(text + "\n", encoding="utf-8")
    kind, use = _KINDS[card["kind"]]
    page = _PAGE.format(
        kind=kind,
        use=use,
        **_library_versions(),
        name=card["name"],
        version=card["version"],
        event_shape=card["event_shape"],
        context_shape=card["context_shape"] or "none",
        parameters=card["num_parameters"],
        units=card["units"],
    )
    (extra / "MODEL_CARD.md").write_text(page, encoding="utf-8")
    manifest.write(directory)


def _units(flow):
    if isinstance(flow, Augmented):
        return (
            "log_prob in nats, a lower bound on the density over x as the data came, "
            "from one draw of the noise of seed."
        )
    if flow.num_values is None:
        return "log_prob in nats, a density over x as the data came."
    if isinstance(flow, Autoregressive):
        return (
            f"Integers 0 to {flow.num_values - 1}; log_prob in nats, of their "
            "probability itself; bits_per_dim exact, without noise."
        )
    return (
        f"Integers 0 to {flow.num_values - 1}; log_prob, encode and decode speak of "
        "the cell [k, k + 1) of an integer k, log_prob in nats per unit of pixel "
        "volume; bits_per_dim takes the integers themselves, a bound by "
        f"{_dequantization(flow)} dequantization.{_padding(flow)}"
    )


def _padding(flow):
    if not _is_padded(flow):
        return ""
    return (
        f" log_prob, encode and decode are of images padded to {flow.flow.event_shape} "
        "with zeros, bits_per_dim and sample of those without."
    )


def _is_padded(flow):
    return isinstance(flow, Padded)


def _dequantization(flow):
    if flow.num_values is None:
        return None
    return "uniform" if flow.noise is None else "variational"


def _library_versions():
    return {
        "tfp_flows": version.__version__,
        "tensorflow": tf.__version__,
        "tensorflow_probability": importlib.metadata.version("tensorflow-probability"),
        "keras": importlib.metadata.version("keras"),
    }


def _as_list(shape):
    return None if shape is None else list(shape)


def _to_json(value):
    """Turns what recipes and numpy leave in options into JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
