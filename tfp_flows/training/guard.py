"""A training step changes everything it should, or nothing.

Loss, gradients and the new weights and slots are looked at before a step counts. Most
optimizers cannot make anything that is not finite from a small gradient, and then one
number, the gradient's norm, is all that is needed. Otherwise the step is done on trial:
what was is kept beside it and put back if the result is not finite.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfp_flows.training import replicas


class Reason(enum.IntEnum):
    """What of a step was not finite."""

    NONE = 0
    LOSS = 1
    GRADIENT = 2
    UPDATE = 3


class Record(NamedTuple):
    """What happened to the steps so far.

    Attributes:
      steps: of this epoch, up to and with the one that stopped training.
      in_a_row: how many of the last steps were left out.
      skipped: how many were left out since `fit` began.
      reason: a `Reason`, of the last step left out.
      is_wild: 1 once a large gradient was applied: slots may be large from then on.
    """

    steps: Any
    in_a_row: Any
    skipped: Any
    reason: Any
    is_wild: Any


class Guard:
    """Decides for all replicas together whether a step counts, and remembers.

    Args:
      update: applies a step; gets what `step` gets as `args`, in a replica's context.
      max_skips: how many steps in a row may be left out; one more stops training, and
        then no step changes anything before `reset`.
    """

    def __init__(self, update: Callable[..., None], max_skips: int):
        self._update, self._max_skips = update, max_skips
        self._variables: list[tf.Variable] = []
        self._is_tame, self._may_overflow, self._jit_compile = False, False, False
        # In no checkpoint: a plain object's variable is nobody's weight.
        self._record = tf.Variable(
            tf.zeros([len(Record._fields)], tf.int64),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def watch(self, model: keras.Model, jit_compile: bool) -> None:
        """Takes the weights and the optimizer of a compiled model.

        Args:
          model: compiled.
          jit_compile: whether XLA compiles the update too, where there is one replica.
        """
        optimizer = model.optimizer
        self._jit_compile = jit_compile
        self._variables = [v.value for v in (*model.weights, *optimizer.variables)]
        # It skips such a gradient itself and lowers its scale.
        self._may_overflow = hasattr(optimizer, "inner_optimizer")
        self._is_tame = _is_tame(optimizer) and not any(
            v.constraint for v in model.trainable_variables
        )

    @property
    def record(self) -> Record:
        """The record as integers; outside of graphs."""
        return Record(*self._record.numpy().tolist())

    @property
    def has_stopped(self) -> bool:
        """Whether too many steps in a row were left out."""
        return self.record.in_a_row > self._max_skips

    def reset(self) -> None:
        """Forgets all but that slots may be large; before a `fit`."""
        self._record.assign(self._record.numpy() * Record(0, 0, 0, 0, 1))

    def begin_epoch(self) -> None:
        """Counts steps from 0 again."""
        self._record.assign(self._record.numpy() * Record(0, 1, 1, 1, 1))

    def step(
        self, health: tf.Tensor, learning_rate: tf.Tensor, args: Sequence[Any]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Applies a step if that keeps everything finite; in a replica's context.

        Args:
          health: this replica's, as from `steps.ReplicaSteps.gradients`.
          learning_rate: scalar.
          args: of `update`.

        Returns:
          Whether the step counts and whether training has stopped, scalar booleans.
        """
        context = tf.distribute.get_replica_context()
        health = replicas.total(health)
        # A branch may assign to mirrored variables outside of the replicas only.
        return context.merge_call(self._decide, args=(health, learning_rate, args))

    def _decide(self, strategy, health, learning_rate, args):
        bad_losses, bad_states, norm = tf.unstack(_first(strategy, health))
        rate = tf.cast(_first(strategy, learning_rate), tf.float64)
        old = tf.convert_to_tensor(self._record)
        record = Record(*tf.unstack(old))
        found = tf.where(bad_states > 0, Reason.UPDATE, Reason.NONE)
        if not self._may_overflow:
            found = tf.where(tf.math.is_finite(norm), found, Reason.GRADIENT)
        found = tf.where(bad_losses > 0, Reason.LOSS, found)
        is_calm = (norm < 1e10) & (tf.abs(rate) <= 1.0)  # NaN is neither
        is_safe = is_calm & (record.is_wild == 0)
        is_running = record.in_a_row <= self._max_skips
        update, on_trial = self._attempts(strategy, args)
        is_wanted = is_running & (found == Reason.NONE)

        def checked():
            return tf.cond(is_wanted, on_trial, lambda: tf.constant(False))

        # The usual step passes one branch only: what passes any costs time.
        is_done = (
            tf.cond(is_wanted & is_safe, update, checked)
            if self._is_tame
            else checked()
        )
        found = tf.where(found == Reason.NONE, Reason.UPDATE, found)
        left_out = tf.cast(~is_done, tf.int64)
        new = Record(
            record.steps + 1,
            (record.in_a_row + 1) * left_out,
            record.skipped + left_out,
            tf.where(is_done, record.reason, tf.cast(found, tf.int64)),
            tf.where(is_done & ~is_calm, tf.constant(1, tf.int64), record.is_wild),
        )
        self._record.assign(tf.where(is_running, tf.stack(new), old))
        return is_done, ~is_running | (new.in_a_row > self._max_skips)

    def _attempts(self, strategy, args):
        """Two ways to update: at once, and on trial, undone if the result is bad."""

        def update():
            strategy.extended.call_for_each_replica(self._update, args=args)
            return tf.constant(True)

        def on_trial():
            before = [tf.convert_to_tensor(v) for v in self._variables]
            # One edge for each operation of the update, not one for each variable.
            with tf.control_dependencies([tf.group(*before)]):
                update()
            return self._kept_if_finite(before)

        if strategy.num_replicas_in_sync > 1:
            return update, on_trial  # TensorFlow loses what calls would capture
        # Calls, not their operations: of a branch that is not taken they cost time too.
        options: Any = {"experimental_attributes": {"_noinline": True}}
        if self._jit_compile:
            options = {"jit_compile": True}
        return tf.function(update, **options), tf.function(on_trial, **options)

    def _kept_if_finite(self, before):
        floats = [v for v in self._variables if v.dtype.is_floating]
        is_finite = tf.reduce_all(
            tf.stack([tf.reduce_all(tf.math.is_finite(v)) for v in floats])
        )

        def undo():
            for variable, value in zip(self._variables, before, strict=True):
                variable.assign(value)
            return tf.constant(False)

        return tf.cond(is_finite, lambda: tf.constant(True), undo)


def _first(strategy, value):
    """The first replica's value, where all have the same."""
    return strategy.experimental_local_results(value)[0]


def _is_tame(optimizer):
    """Whether gradients below 1e10 and rates up to 1 cannot bring it to overflow.

    True where a step is at most gradient / epsilon, or at most the gradient, times what
    the decay rates of the averages give. All others are looked at after every step.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    kinds = keras.optimizers
    rates = (getattr(inner, name, 0.0) for name in ("beta_1", "beta_2", "momentum"))
    return (
        type(inner)
        in (kinds.SGD, kinds.Adam, kinds.AdamW, kinds.Adamax, kinds.Nadam, kinds.Lion)
        and getattr(inner, "epsilon", 1.0) >= 1e-16
        and all(0.0 <= rate <= 0.9999 for rate in rates)
        and 0.0 <= (inner.weight_decay or 0.0) <= 1.0
        and all(v.dtype != "float16" for v in inner.variables)
    )
