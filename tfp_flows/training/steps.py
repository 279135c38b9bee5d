"""What one replica does with one batch: the only part of training XLA may compile.

The collectives of a distributed step (counting examples, summing gradients) stay
outside: XLA on CPU devices cannot hold them. So do all assignments: inside, the layers
run in a `keras.StatelessScope`, and their new states (batch norm statistics) are
returned with the gradients.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfp_flows.training import replicas, seeds, weighting


class Gradients(NamedTuple):
    """The result of a training step's computation on one replica.

    Attributes:
      nll_sum: scalar, weighted sum over the replica's examples, nats.
      penalty: scalar, what the layers add to the loss.
      gradients: one for each trainable variable; None where there is none.
      states: new value of each non-trainable variable, None where it has not changed.
      health: float64 `[3]`: 1 if the loss is not finite, 1 if a state is not, and the
        Euclidean norm of the gradients, finite if and only if all of them are.
    """

    nll_sum: tf.Tensor
    penalty: tf.Tensor
    gradients: list[tf.Tensor | None]
    states: list[tf.Tensor | None]
    health: tf.Tensor


class ReplicaSteps:
    """Per-replica computations of a model, compiled by XLA if asked to.

    Args:
      model: a built `FlowModel`.
      jit_compile: whether XLA compiles them.
    """

    def __init__(self, model: keras.Model, jit_compile: bool):
        self._model = model
        weights = {id(v) for v in model.weights}
        self._seed_states = [v for v in model.variables if id(v) not in weights]
        self.jit_compile = jit_compile
        if jit_compile:
            for name in ("gradients", "losses", "log_prob"):
                compiled = tf.function(
                    getattr(self, name), jit_compile=True, reduce_retracing=True
                )
                setattr(self, name, compiled)

    def gradients(
        self,
        data: Any,
        weights: tf.Tensor | None,
        share: tf.Tensor,
        seed: tf.Tensor,
        layer_seed: tf.Tensor,
    ) -> Gradients:
        """Differentiates this replica's share of the loss.

        The loss of all replicas together is sum(weighted nll) / total + penalty.

        Args:
          data: x or (context, x), this replica's part of the batch.
          weights: of its examples, `[B]` or None for 1 each.
          share: scalar, 1 / total weight of the whole batch; 0 if that has none.
          seed: int32 `[3]`, for dequantisation noise.
          layer_seed: int32 `[3]`, for dropout and the like.

        Returns:
          Sums and gradients whose sum over replicas is the whole batch's.
        """
        model = self._model
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        mapping = seeds.layer_states(self._seed_states, layer_seed)
        with (
            tf.GradientTape() as tape,
            keras.StatelessScope(
                mapping + self._regularized(), collect_losses=True
            ) as scope,
        ):
            nll_sum, penalty = self._sums(data, weights, seed, training=True)
            loss = nll_sum * tf.cast(share, nll_sum.dtype) + penalty / replicas
            loss = model.optimizer.scale_loss(loss)
        trainable = [v.value for v in model.trainable_variables]
        found = tape.gradient(loss, trainable) if trainable else []
        gradients = [g if g is None else tf.convert_to_tensor(g) for g in found]
        states = [scope.get_current_value(v) for v in model.non_trainable_weights]
        health = [_not_finite([nll_sum, penalty]), _not_finite(states), norm(gradients)]
        return Gradients(nll_sum, penalty, gradients, states, tf.stack(health))

    def losses(
        self, data: Any, weights: tf.Tensor | None, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the weighted sum of the replica's nll, and the penalty."""
        with keras.StatelessScope(self._regularized(), collect_losses=True):
            return self._sums(data, weights, seed, training=False)

    def log_prob(self, data: Any, seed: tf.Tensor) -> tf.Tensor:
        """Returns log_prob of each example `[B]`, nats."""
        return self._model(data, training=False, seed=seed)

    def _regularized(self):
        """What Keras asks the scope for: the values that penalties are made of."""
        return [
            (v, tf.convert_to_tensor(v.value))
            for v in self._model.trainable_variables
            if v.regularizer is not None
        ]

    def _sums(self, data, weights, seed, training):
        nll = -self._model(data, training=training, seed=seed)
        nll_sum = tf.reduce_sum(weighting.weighted(nll, weights))
        penalties = [tf.cast(p, nll_sum.dtype) for p in self._model.losses]
        penalty = tf.add_n(penalties) if penalties else tf.zeros([], nll_sum.dtype)
        return nll_sum, penalty


def number(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """Returns how many steps were done, those that only gathered gradients too."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return tf.convert_to_tensor(inner.variables[0])  # `iterations` counts updates


def use_xla(model: keras.Model, choice: bool | str | None) -> bool:
    """Returns whether XLA compiles the steps of a compiled model, for "auto" too.

    Raises:
      ValueError: if that was asked for and cannot be.
    """
    talk = replicas.talk_within_steps(model, model.flow)
    on_tpu = isinstance(model.distribute_strategy, tf.distribute.TPUStrategy)
    if model.run_eagerly or on_tpu:  # a TPU compiles everything by itself
        return False
    if choice is True and talk:
        raise ValueError(
            "jit_compile=True cannot be had with batch normalisation on replicas: they "
            'talk within a step. Take jit_compile="auto" or False.'
        )
    return (
        bool(choice)
        and not talk
        and (choice is True or _is_faster_compiled(model.flow))
    )


def use_xla_for_update(model: keras.Model, choice: bool | str | None) -> bool:
    """Returns whether XLA compiles the update too, where it compiles the steps.

    For "auto" only what is Keras' own: an optimizer, a schedule or a constraint of the
    user's may do what XLA cannot, such as call Python.
    """
    if not use_xla(model, choice):
        return False
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    rate = getattr(inner, "_learning_rate", None)  # a variable, a schedule or a call
    constraints = [v.constraint for v in model.trainable_variables]
    parts = (model.optimizer, inner, rate, *constraints)
    return choice is True or all(map(_is_of_keras, parts))


def _is_of_keras(part):
    return part is None or type(part).__module__.split(".")[0] == "keras"


def _is_faster_compiled(flow):
    return len(flow.event_shape) == 1 and not flow.prefers_graph


def _not_finite(values):
    """1 if one of the values is not finite, else 0, float64."""
    floats = [v for v in values if v is not None and v.dtype.is_floating]
    bad = [tf.reduce_any(~tf.math.is_finite(v)) for v in floats]
    return tf.cast(tf.reduce_any(tf.stack(bad)) if bad else False, tf.float64)


def norm(gradients: list[tf.Tensor | None]) -> tf.Tensor:
    """Returns the Euclidean norm, float64; no finite number's square overflows."""
    norm = tf.zeros([], tf.float64)
    # The largest number times the unit has a square with room to spare, and 1e10 times
    # the unit one that is not yet zero.
    for dtype, unit in ((tf.float32, 2.0**-80), (tf.float64, 2.0**-540)):
        halves = [
            tf.nn.l2_loss(tf.cast(g, dtype) * unit)
            for g in gradients
            if g is not None and (g.dtype == tf.float64) == (dtype == tf.float64)
        ]
        if halves:
            norm += tf.sqrt(2.0 * tf.cast(tf.add_n(halves), tf.float64)) / unit
    return norm
