"""Whether a model owns all of a flow, under one strategy."""

import keras

from tfp_flows.distributions import Model


def check(model: keras.Model, flow: Model) -> None:
    """Refuses a flow whose weights the model would neither train nor save.

    Args:
      model: tracks the flow's Keras layers.
      flow: a distribution with `variables`.

    Raises:
      ValueError: if a variable belongs to no layer, or to another strategy.
    """
    owned = {id(v.value) for v in model.variables}
    stray = [v.name for v in flow.variables if id(v) not in owned]
    if stray:
        raise ValueError(
            f"The flow has variables that no Keras layer of it owns: {stray}. They "
            "would be neither trained nor saved. Make them weights of a layer, for "
            "example of tfp_flows.networks.Parameters."
        )
    strategy = model.distribute_strategy
    foreign = [
        v.name
        for v in flow.variables
        if getattr(v, "distribute_strategy", strategy) is not strategy
    ]
    if foreign or (
        strategy.num_replicas_in_sync > 1
        and any(not hasattr(v, "distribute_strategy") for v in flow.variables)
    ):
        raise ValueError(
            "The flow and its FlowModel were built under different tf.distribute "
            "strategies. Build both inside the same `with strategy.scope():`."
        )
