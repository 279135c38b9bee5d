"""How the flow of a saved model is built again: its recipe, and what is around it."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import flows
from tfp_flows.distributions import Embedded, Model


def config_of(flow: Model) -> dict[str, Any]:
    """Returns what JSON can hold of how a flow was built.

    Args:
      flow: of a recipe, or an `Embedded` one of it.

    Raises:
      ValueError: if the flow was not made by a recipe of `tfp_flows.flows`.

    Examples:
      >>> config_of(flows.gaussian((2,)))["recipe"]["name"]
      'gaussian'
    """
    inner = flow.inner if isinstance(flow, Embedded) else flow
    if inner.recipe is None:
        raise ValueError(
            f"A .keras file needs a flow from a recipe, and {inner.name!r} was "
            "put together by hand. Use save_weights('... .weights.h5') and build "
            "the flow again before load_weights."
        )
    recipe = {"name": inner.recipe.name, "options": dict(inner.recipe.options)}
    if not isinstance(flow, Embedded):
        return {"recipe": recipe}
    shapes, types = flow.context_shape, flow.context_dtype
    is_mapping = isinstance(shapes, Mapping)
    embedding = {
        "network": keras.saving.serialize_keras_object(flow.network),
        "context_shape": {k: list(v) for k, v in shapes.items()}
        if is_mapping
        else list(shapes),
        "context_dtype": tf.nest.map_structure(lambda dtype: dtype.name, types),
        "name": flow.name,
    }
    return {"recipe": recipe, "embedding": embedding}


def flow_of(config: dict[str, Any]) -> Model:
    """Builds a flow with fresh weights.

    Args:
      config: as from `config_of`, which is taken out of it.

    Examples:
      >>> flow_of(config_of(flows.gaussian((2,)))).name
      'gaussian'
    """
    recipe, embedding = config.pop("recipe"), config.pop("embedding", None)
    flow = flows.build(recipe["name"], **recipe["options"])
    if embedding is None:
        return flow
    network = keras.saving.deserialize_keras_object(embedding["network"])
    return Embedded(flow, **{**embedding, "network": network})
