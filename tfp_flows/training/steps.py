"""What one replica does with one batch: the only part of training XLA may compile.

The collectives of a distributed step (counting examples, summing gradients) stay
outside: XLA on CPU devices cannot hold them. So do all assignments: inside, the layers
run in a `keras.StatelessScope`, and their new states (batch norm statistics) are
returned with the gradients.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfp_flows.training import noise


class Gradients(NamedTuple):
    """The result of a training step's computation on one replica.

    Attributes:
      nll_sum: scalar, sum over the replica's examples, nats.
      penalty: scalar, what the layers add to the loss.
      gradients: one for each trainable variable; None where there is none. All zero
        when the loss is not finite, so that a bad batch leaves the weights usable.
      states: new value of each non-trainable variable, None where it has not changed.
    """

    nll_sum: tf.Tensor
    penalty: tf.Tensor
    gradients: list[tf.Tensor | None]
    states: list[tf.Tensor | None]


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
        self._jit_compile = jit_compile
        if jit_compile:
            for name in ("gradients", "losses", "log_prob"):
                compiled = tf.function(
                    getattr(self, name), jit_compile=True, reduce_retracing=True
                )
                setattr(self, name, compiled)

    def gradients(
        self, data: Any, weight: tf.Tensor, seed: tf.Tensor, layer_seed: tf.Tensor
    ) -> Gradients:
        """Differentiates this replica's share of the loss.

        The loss of all replicas together is sum(nll) / global batch + penalty.

        Args:
          data: x or (context, x), this replica's part of the batch.
          weight: scalar, 1 / global batch size.
          seed: int32 `[2]`, for dequantisation noise.
          layer_seed: int32 `[2]`, for dropout and the like.

        Returns:
          Sums and gradients whose sum over replicas is the whole batch's.
        """
        model = self._model
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        mapping = noise.layer_states(self._seed_states, layer_seed)
        with (
            tf.GradientTape() as tape,
            keras.StatelessScope(
                mapping + self._regularized(), collect_losses=True
            ) as scope,
        ):
            nll_sum, penalty = self._sums(data, seed, training=True)
            loss = nll_sum * tf.cast(weight, nll_sum.dtype) + penalty / replicas
            loss = model.optimizer.scale_loss(loss)
        trainable = [v.value for v in model.trainable_variables]
        gradients = tape.gradient(loss, trainable) if trainable else []
        is_finite = tf.math.is_finite(nll_sum) & tf.math.is_finite(penalty)
        return Gradients(
            nll_sum,
            penalty,
            self._zero_unless(is_finite, gradients),
            [scope.get_current_value(v) for v in model.non_trainable_weights],
        )

    def losses(self, data: Any, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the sum of nll over the replica's examples, and the penalty."""
        with keras.StatelessScope(self._regularized(), collect_losses=True):
            return self._sums(data, seed, training=False)

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

    def _sums(self, data, seed, training):
        nll_sum = -tf.reduce_sum(self._model(data, training=training, seed=seed))
        penalties = [tf.cast(p, nll_sum.dtype) for p in self._model.losses]
        penalty = tf.add_n(penalties) if penalties else tf.zeros([], nll_sum.dtype)
        return nll_sum, penalty

    def _zero_unless(self, is_finite, gradients):
        """Passes finite gradients on as they are: a graph's `cond` copies nothing."""
        dense = [g if g is None else tf.convert_to_tensor(g) for g in gradients]
        present = [g for g in dense if g is not None]
        if self._jit_compile:
            kept = [tf.where(is_finite, g, tf.zeros_like(g)) for g in present]
        elif present:
            kept = tf.cond(
                is_finite,
                lambda: [tf.identity(g) for g in present],
                lambda: [tf.zeros_like(g) for g in present],
            )
        remaining = iter(kept if present else ())
        return [g if g is None else next(remaining) for g in dense]
