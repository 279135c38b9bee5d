"""What every recipe returns: a distribution that trains, saves, serves and prints."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import copies, gathering, numeric, structure

tfb, tfd = tfp.bijectors, tfp.distributions


class Model(tfd.Distribution):
    """A `tfd.Distribution` with weights, for the packages that train, save and serve.

    These know no more of a model than stands here. `log_prob` and `sample` are TFP's;
    both take `context=` if `context_shape` is not None, and `log_prob` takes `seed=` if
    `is_exact` is False.

    Implementing one: write `_adapt` if some weights depend on the data, `trace`, what
    `tfd.Distribution` wants (`_log_prob`, `_call_sample_n`, `_event_shape`), and those
    of the properties that differ. Layers that no bijector inside owns go into
    `own_layers`. TFP wants each class that has a constructor to say again which of its
    arguments have batch dimensions, in `_parameter_properties`.

    Shapes: x `[*batch, *event_shape]`, context `[*batch', *context_shape]` ->
    log_prob `[*broadcast(batch, batch')]`, in nats.

    Args:
      dtype: of the events.
      parameters: the constructor's arguments, for `copy` and slices.
      name: of the distribution.
      reparameterization_type: as in `tfd.Distribution`.
      validate_args: as in `tfd.Distribution`.
      allow_nan_stats: as in `tfd.Distribution`.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.real_nvp((2,), 2, (8,))
      >>> isinstance(model, Model), model.is_exact, model.context_shape
      (True, True, None)
    """

    # How to build the same model again; `flows.build(recipe.name, **recipe.options)`.
    recipe: Any = None
    # The same as a function without arguments, also where JSON cannot hold a recipe.
    rebuild: Callable[[], "Model"] | None = None
    own_layers: tuple[keras.Layer, ...] = ()

    def __init__(
        self,
        dtype: Any,
        parameters: dict,
        name: str,
        reparameterization_type: Any = tfd.NOT_REPARAMETERIZED,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
    ):
        super().__init__(
            dtype=dtype,
            reparameterization_type=reparameterization_type,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}  # no batch dimensions

    @property
    def num_values(self) -> int | None:
        """Number of integer values; None for continuous events."""
        return None

    @property
    def is_exact(self) -> bool:
        """Whether `log_prob` is the density itself, and no bound from drawn noise."""
        return True

    @property
    def takes_missing(self) -> bool:
        """Whether NaN in events and contexts is a value that is not there."""
        return False

    @property
    def cure_of_missing(self) -> str:
        """What to do about events with NaN, for messages."""
        return "Drop or mend such rows."

    @property
    def prefers_graph(self) -> bool:
        """Whether `jit_compile="auto"` is a graph for vectors too, XLA being slower."""
        return False

    @property
    def context_shape(self) -> Any:
        """Shape of one context, or None for an unconditional model.

        A mapping of shapes where contexts have parts with names, see `Embedded`.
        """
        return None

    @property
    def context_dtype(self) -> Any:
        """Of contexts; a mapping where they have parts."""
        return self.real_dtype

    @property
    def real_dtype(self) -> tf.DType:
        """Of the arithmetic, the contexts and the log-probabilities."""
        return self.dtype

    @property
    def support(self) -> Any:
        """A `SupportMap` that knows events beyond the support; None for no such map."""
        return None

    @property
    def flow(self) -> Any:
        """The flow inside, whose latent variable is the code of an event, or None."""
        return None

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return True

    @property
    def keras_layers(self) -> tuple[keras.Layer, ...]:
        """The Keras layers that own all weights, each once.

        A layer of yours that only stores a model does not see its weights, as a
        distribution is no layer: store these too, or a `FlowModel`.

        Examples:
          >>> from tfp_flows import flows
          >>> class Score(keras.layers.Layer):
          ...     def __init__(self, model):
          ...         super().__init__()
          ...         self.model, self.parts = model, list(model.keras_layers)
          >>> flow = flows.maf((2,), 1, (4,))
          >>> len(Score(flow).trainable_variables) == len(flow.trainable_variables)
          True
        """
        layers: list[keras.Layer] = []
        for part in (self, *self.submodules):
            if isinstance(part, Model):
                layers += part.own_layers
            else:
                layers += getattr(part, "keras_layers", ())
        return tuple({id(layer): layer for layer in layers}.values())

    @property
    def raw_variables(self) -> tuple[tf.Variable, ...]:
        """All weights, trained or not, as `tf.Variable`s, in a fixed order."""
        values = [v.value for layer in self.keras_layers for v in layer.variables]
        return tuple({id(value): value for value in values}.values())

    def adapt(self, data: Any, context: Any = None, seed: Any = 0) -> None:
        """Sets the data-dependent weights: act norms, fitted moments, mixtures.

        Call it once, before training and outside of a replica's step; the fact is
        saved with the weights. Every step is adapted to the data as the steps before
        it, already adapted, pass it on.

        Args:
          data: events `[N, *event_shape]`, or a finite `tf.data.Dataset` of batches
            of x, or of (context, x) for a conditional model. All of it is used at
            once: `dataset.take(k)` bounds the memory.
          context: `[N, *context_shape]`, when `data` is an array.
          seed: of the noise that a model adds to its events, if it does.

        Raises:
          ValueError: if there are too few events, or not all are finite.

        Warns:
          UserWarning: if a unit has the same value in all events. It keeps the scale 1,
            and no density of it means anything.

        Examples:
          >>> from tfp_flows import flows
          >>> flow = flows.real_nvp((2,), 2, (8,))
          >>> flow.adapt(tf.random.normal([100, 2]))
          >>> flow.is_adapted
          True
        """
        x, context = gathering.whole(data, context, self)
        if self.num_values is None:
            x = tf.cast(x, self.dtype)
            self._tell_constant(x)
        self._adapt(x, context, seed)

    def _tell_constant(self, x):
        gathering.tell_constant_units(x, self.name)

    def _adapt(self, x, context, seed):
        """Adapts to whole tensors; nothing to do by default."""

    def given(self, context: Any) -> "Model":
        """Returns p(x | context) as a plain distribution, batched as the context is.

        Args:
          context: `[*batch, *context_shape]`; a variable keeps its gradient.

        Raises:
          ValueError: if the model is not conditional, or the context does not fit.
        """
        from tfp_flows.distributions.given import Given  # which is a model itself

        return Given(self, context)

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Follows events from the data to the latent side.

        Args:
          x: `[*batch, *event_shape]`.
          context: `[*batch, *context_shape]` for a conditional model.

        Returns:
          (name of the part, value it gives, its share of log p(x)) for each part, in
          the order of a pass.
        """
        raise NotImplementedError(f"{type(self).__name__} has no trace.")

    def bits_per_dim(self, x: Any, context: Any = None, seed: Any = None) -> tf.Tensor:
        """Returns -log_prob / (D log 2), `[*batch]`: bits for each of D dimensions.

        Args:
          x: `[*batch, *event_shape]`.
          context: `[*batch, *context_shape]` for a conditional model.
          seed: of the noise, if the model is not exact; the bits are then a bound.
        """
        given = {} if self.is_exact else {"seed": seed}
        if context is not None:
            given["context"] = context
        size = tf.TensorShape(self.event_shape).num_elements()
        return -self.log_prob(x, **given) / (size * math.log(2.0))

    def log_prob(self, value: Any, name: str = "log_prob", **kwargs) -> tf.Tensor:
        """Returns log p(x), or a bound on it, `[*batch]`, in nats.

        Args:
          value: `[*batch, *event_shape]`; integers of any type, or floats that hold
            them, for a model of integers.
          name: of the operations.
          **kwargs: `context=` for a conditional model; `seed=` (Python integer or `[2]`
            integer tensor) for one that is not exact.

        Raises:
          ValueError: for what holds no dense array of real numbers.
        """
        if not tf.nest.is_nested(self.dtype):
            numeric.check(value, "x")
        if self.num_values is not None:
            # TFP would cast a NumPy array of floats and so cut fractions off.
            value = tf.convert_to_tensor(value)
        return super().log_prob(value, name, **kwargs)

    def sample(
        self,
        sample_shape: Any = (),
        seed: Any = None,
        name: str = "sample",
        chunk_size: int | str | None = None,
        **kwargs,
    ) -> Any:
        """Draws events; as TFP does, and in bounded memory if there are many.

        Args:
          sample_shape: how many, an integer or a shape.
          seed: integer or integers `[2]`: the same one gives the same events, with any
            `chunk_size`.
          name: of the operations.
          chunk_size: how many events to draw at a time, "auto" for a number that
            follows from the model's widths, None for all at once.
          **kwargs: `context=` for a conditional model; `temperature=`, a number from 0
            on, or one for each event.

        Returns:
          `[*sample_shape, *batch, *event_shape]`: a tensor, or, drawn in chunks, a
          NumPy array.

        Raises:
          ValueError: if chunks are asked for where they cannot be had: inside of a
            `tf.function`, or with a base of TFP, whose noise is a whole batch's; for a
            temperature that is negative or not finite; or for what is no shape or seed.

        Examples:
          >>> import numpy as np
          >>> from tfp_flows import flows
          >>> flow = flows.real_nvp((2,), 2, (8,))
          >>> in_chunks = flow.sample(10, seed=1, chunk_size=4)
          >>> bool(np.allclose(in_chunks, flow.sample(10, seed=1), atol=1e-6))
          True
        """
        numeric.check_sample_shape(sample_shape)
        numeric.check_temperature(kwargs.get("temperature", 1.0))
        if chunk_size is None:
            return super().sample(sample_shape, seed, name, **kwargs)
        from tfp_flows.distributions import chunks  # which knows bases, models too

        return chunks.sample(self, sample_shape, seed, chunk_size, **kwargs)

    def __getitem__(self, slices: Any) -> Any:
        """Slices the batch, as TFP does.

        Raises:
          IndexError: for what is not in the batch; a model without one has no parts.
        """
        numeric.check_slices(slices, self.batch_shape, self.name)
        return super().__getitem__(slices)

    def prob(self, value: Any, name: str = "prob", **kwargs) -> tf.Tensor:
        """Returns exp(log_prob), see there."""
        return tf.exp(self.log_prob(value, name, **kwargs))

    def _default_event_space_bijector(self):
        return None if self.num_values is not None else tfb.Identity()

    @property
    def parts(self) -> tuple[Any, ...]:
        """What the model is made of, for `summary`; None for what is not there."""
        return ()

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints the tree of the model's parts: shapes and number of weights of each.

        Args:
          print_fn: what takes the text.
        """
        print_fn(structure.tree(self))

    def __str__(self):
        return structure.line(self)

    def __repr__(self):
        return structure.tree(self)

    def __reduce_ex__(self, protocol):
        # Copies and pickles: the same recipe again, with these weights. A model that
        # was put together by hand is copied part by part.
        if self.rebuild is None:
            return super().__reduce_ex__(protocol)
        return copies.restored, (self.rebuild, [v.numpy() for v in self.raw_variables])
