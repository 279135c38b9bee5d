"""The Keras model that trains a flow by maximum likelihood."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.distributions import Model
from tfp_flows.training import (
    adaptation,
    arguments,
    batches,
    guard,
    metrics,
    ownership,
    rebuilding,
    replicas,
    seeds,
    steps,
)
from tfp_flows.training.callbacks import with_guard
from tfp_flows.training.reporting import ReportingModel
from tfp_flows.training.seeds import Purpose


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowModel(ReportingModel):
    """Trains a flow with `fit`: the loss is mean(-log p(x)) + the layers' own losses.

    loss: nll + regularisation;  nll: mean(-log_prob), nats per example
    bits_per_dim: nll / (D ln 2), D the number of dimensions of an event

    All three are in the logs, the history (with `val_` before, of validation data) and
    `evaluate(..., return_dict=True)`, as exact, weighted means of examples. Under any
    `tf.distribute` strategy the step is that of the whole batch on one device, however
    the replicas share it. The first `fit` adapts the flow from a random sample of data.

    A step whose loss, gradient or update is not finite on any replica changes nothing:
    weights, the optimizer's slots, averages and metrics stay as they were, bit for bit,
    and `fit` stops at that step with a `NonFiniteLossError` that names the rows. With
    `on_nonfinite="skip"` it goes on, and the history's `skipped` counts such steps.

    Shapes: data x `[B, *event_shape]`, or (context, x) for a conditional flow, which
    in `fit(x, y)` is x=context, y=x -> log_prob `[B]`.
    Cost: what the flow's networks cost; XLA compiles only what a replica computes.

    The noise of a step (dequantisation, dropout) follows from `seed`, the step and an
    example's place in the batch, so a run resumed from a `.keras` file or a
    `BackupAndRestore` of whole epochs continues as if not stopped; with `save_freq=n`
    Keras begins the epoch again, and workers need a directory each. Keras' own random
    layers draw others on other replicas (take `networks.Dropout`), those of its global
    generator the same at every step; batch norms under replicas must be synchronised.

    Args:
      flow: a flow or a dequantized one, built under the same `strategy.scope()`.
      adapt_examples: how many examples the first `fit` adapts from: drawn without
        replacement from all of an array, or from one epoch of a data set, which is
        read once for it. They are held in memory.
      seed: of all noise in training and evaluation, and of that sample.
      on_nonfinite: "raise" an error at a step that is not finite, or "skip" it.
      max_skips: how many steps in a row may be skipped before the error comes.
      **kwargs: of `keras.Model`, such as `name`.

    Raises:
      ValueError: for a wrong argument, a flow built under another strategy, or one with
        variables that none of its Keras layers owns (they would not be saved).

    Examples:
      >>> from tfp_flows import flows
      >>> model = FlowModel(flows.real_nvp((2,), num_steps=2, hidden_units=(8,)))
      >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
      >>> history = model.fit(tf.random.normal((64, 2)), epochs=2, verbose=0)
      >>> sorted(history.history)
      ['bits_per_dim', 'loss', 'nll']
    """

    def __init__(
        self,
        flow: Model,
        *,
        adapt_examples: int = 1024,
        seed: int = 0,
        on_nonfinite: str = "raise",
        max_skips: int = 10,
        **kwargs,
    ):
        if on_nonfinite not in ("raise", "skip") or max_skips < 1:
            raise ValueError(
                'FlowModel needs on_nonfinite="raise" or "skip" and max_skips of at '
                f"least 1, got {on_nonfinite!r} and {max_skips}."
            )
        if not isinstance(flow, Model):
            raise ValueError(
                "FlowModel trains what a recipe of tfp_flows.flows returns, or another "
                f"distributions.Model, got {type(flow).__name__}. Wrap it in Flow."
            )
        kwargs.setdefault("dtype", flow.real_dtype.name)
        super().__init__(autocast=False, **kwargs)
        self.flow = flow
        self.adapt_examples = adapt_examples
        self.seed = seed
        self.on_nonfinite = on_nonfinite
        self.max_skips = max_skips
        self._flow_layers = list(flow.keras_layers)
        self.built = True
        ownership.check(self, flow)
        self._density = metrics.DensityMetrics(flow.event_shape)
        self._jit_compile_choice: bool | str | None = "auto"
        self._steps: steps.ReplicaSteps = steps.ReplicaSteps(self, jit_compile=False)
        with self.distribute_strategy.scope():
            self.guard = guard.Guard(
                self._update, max_skips if on_nonfinite == "skip" else 0
            )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics `loss`, `nll`, `bits_per_dim`, and those of layers, if any."""
        return [*self._density.as_list(), *super().metrics]

    def call(
        self, data: Any, training: bool | None = None, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns the log-likelihood of each example.

        Args:
          data: x `[B, *event_shape]`, or the pair (context, x).
          training: read by the flow's networks from Keras' call context.
          seed: int32 `[2]`, for the noise of a dequantized flow; exact ones take none.

        Returns:
          log_prob `[B]`, nats.

        Raises:
          ValueError: if a context is missing or not wanted, or for a wrong shape.
        """
        x, context, _ = batches.split(self.flow, data)
        given = {} if context is None else {"context": context}
        if not self.flow.is_exact:
            given["seed"] = seed
        return self.flow.log_prob(x, **given)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        loss: None = None,
        metrics: None = None,
        *,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        **kwargs,
    ) -> None:
        """Sets the optimizer and how steps run. There is no loss to choose.

        Args:
          optimizer: any Keras optimizer, or its name.
          loss: must be None; the loss is the negative log-likelihood.
          metrics: must be None; `nll` and `bits_per_dim` are always there.
          run_eagerly: as in Keras.
          steps_per_execution: as in Keras.
          jit_compile: True for XLA, False for a plain graph, "auto" for XLA on
            vectors and a graph on images, which is the faster one of each on CPU.
          **kwargs: must be empty.

        Raises:
          ValueError: if a loss, a metric or another unusable argument is given.
        """
        unusable = {"loss": loss, "metrics": metrics, **kwargs}
        given = sorted(name for name, value in unusable.items() if value is not None)
        if given:
            raise ValueError(
                f"FlowModel.compile got {', '.join(given)}. A flow trains on its own "
                "negative log-likelihood, and nll and bits_per_dim are always "
                "measured. Pass optimizer, jit_compile, steps_per_execution and "
                "run_eagerly only; add penalties as regularizers of the layers."
            )
        if jit_compile not in (True, False, None, "auto"):
            raise ValueError(
                f'jit_compile must be True, False or "auto", got {jit_compile!r}.'
            )
        arguments.check_compile(optimizer, steps_per_execution)
        # Keras would compile the whole step, with the collectives in it.
        with self.distribute_strategy.scope():
            super().compile(
                optimizer=optimizer,
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                jit_compile=False,
            )
            # All weights exist, so its state can be loaded from a file at once.
            if self.optimizer is not None and self.trainable_variables:
                self.optimizer.build(self.trainable_variables)
        self._loss_tracker = None  # `metrics` has its own, in float64
        self._jit_compile_choice = jit_compile
        self._steps = steps.ReplicaSteps(self, steps.use_xla(self, jit_compile))
        self.guard.watch(self, steps.use_xla_for_update(self, jit_compile))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        **kwargs,
    ) -> keras.callbacks.History:
        """Adapts the flow if that is still to do, then trains it, as Keras does.

        Args:
          x: a `tf.data.Dataset` of batches of x or (context, x), or an array of x, or
            of contexts when `y` is given.
          y: array of x for a conditional flow, when `x` is an array of contexts.
          batch_size: of arrays; the whole batch over all replicas.
          epochs: as in Keras.
          verbose: as in Keras.
          callbacks: as in Keras.
          **kwargs: the other arguments of `keras.Model.fit`. The loss with
            `sample_weight` is sum(w * nll) / sum(w); a data set of batches
            (context, x, w), or (x, None, w), carries its weights itself.

        Returns:
          Keras' history, with `loss`, `nll`, `bits_per_dim` and their `val_`.

        Raises:
          NonFiniteLossError: if a step or a validation loss is NaN or infinite.
          ValueError: for empty data, a wrong shape, a context missing or not wanted,
            events of arrays beyond the model's support, weights that are none, values
            not finite among those the flow adapts to, data that can be read only once
            and a flow not adapted yet, or data without end and no `steps_per_epoch`.
        """
        self._assert_compile_called("fit")
        arguments.check_fit(x, batch_size, epochs, callbacks, kwargs)
        x, y = batches.packed(x, y, kwargs.pop("sample_weight", None))
        batches.check_shape(self.flow, x, y)
        kwargs = batches.with_packed_validation(kwargs)
        training, held_out = batches.parts_of_fit(x, y, kwargs)
        if self.on_nonfinite == "raise":
            batches.check_supports(self.flow, training, held_out)
        if not self.flow.is_adapted:
            adaptation.adapt_to_sample(self, *training, kwargs.get("steps_per_epoch"))
        passes = (
            batches.iterate(*training, batch_size),
            held_out
            and batches.iterate(*held_out, batch_size, kwargs.get("validation_steps")),
        )
        kwargs["callbacks"] = with_guard(callbacks, *passes)
        return super().fit(x, y, batch_size, epochs, verbose, **kwargs)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Does one optimizer step on this replica's part of a batch; Keras calls it."""
        examples = batches.split(self.flow, data)
        weight = examples.weight
        first_row, _, total = replicas.shares(examples.count, weight)
        step = steps.number(self.optimizer)
        result = self._steps.gradients(
            examples.inputs,
            examples.weights,
            tf.math.divide_no_nan(tf.ones_like(total), total),
            seeds.seed_at(self.seed, Purpose.TRAIN, step, first_row),
            seeds.seed_at(self.seed, Purpose.LAYERS, step, first_row),
        )
        counts, has_stopped = self.guard.step(
            result.health,
            tf.convert_to_tensor(self.optimizer.learning_rate),
            (replicas.averaged(result.states), result.gradients),
        )
        logs = self._logs(result.nll_sum, result.penalty, weight, counts)
        # How the callbacks of `fit` learn of it, at no further cost; the means go on.
        return {name: tf.where(~has_stopped, v, math.nan) for name, v in logs.items()}

    def _update(self, states, gradients):
        """Applies a step that counts; the guard calls it for each replica."""
        for variable, value in zip(self.non_trainable_weights, states, strict=True):
            if value is not None:
                variable.assign(value)
        if self.trainable_variables:
            gradients = replicas.clipped(self.optimizer, gradients)
            self.optimizer.apply(gradients, self.trainable_variables)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates this replica's part of a batch; Keras calls it."""
        examples = batches.split(self.flow, data)
        # What was seen so far tells one noise from another; sums of weights may not.
        seen = self._density.nll.count.value
        position = seen if examples.weights is None else examples.fingerprint
        first_row, _, position = replicas.shares(examples.count, position)
        seed = seeds.seed_at(self.seed, Purpose.EVALUATE, position, first_row)
        nll_sum, penalty = self._steps.losses(examples.inputs, examples.weights, seed)
        return self._logs(nll_sum, penalty, examples.weight)

    def predict_step(self, data: Any) -> tf.Tensor:
        """Returns log_prob of each example of a batch `[B]`; Keras calls it."""
        examples = batches.split(self.flow, data)
        position = examples.fingerprint  # no step and no count here
        first_row, _, position = replicas.shares(examples.count, position)
        seed = seeds.seed_at(self.seed, Purpose.PREDICT, position, first_row)
        return self._steps.log_prob(examples.inputs, seed)

    def _logs(self, nll_sum, penalty, weight, counts=True):
        logs = self._density.update(nll_sum, penalty, weight, counts)
        if replicas.spans_workers(self.distribute_strategy):
            # Keras averages over workers along axis 0, which a scalar has not.
            return {name: tf.reshape(value, [1]) for name, value in logs.items()}
        return logs

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Spares the batch that Keras would read to build a model: this one is."""

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the model: the flow's recipe and own arguments.

        Raises:
          ValueError: if the flow was not made by a recipe of `tfp_flows.flows`.
        """
        return {
            "name": self.name,
            **rebuilding.config_of(self.flow),
            "adapt_examples": self.adapt_examples,
            "seed": self.seed,
            "on_nonfinite": self.on_nonfinite,
            "max_skips": self.max_skips,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "FlowModel":
        """Rebuilds the flow by its recipe and the model around it."""
        config = dict(config)
        return cls(rebuilding.flow_of(config), **config)

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the arguments of `compile`, serialized; empty before it."""
        config = super().get_compile_config()
        kept = ("optimizer", "run_eagerly", "steps_per_execution")
        jit = {"jit_compile": self._jit_compile_choice}
        return {name: config[name] for name in kept} | jit if config else {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was, with room for the optimizer's state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
