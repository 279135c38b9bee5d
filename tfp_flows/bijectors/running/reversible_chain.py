"""A chain of different steps that is trained in little memory."""

from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.chain import Chain
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.layers import unique, variables_of
from tfp_flows.bijectors.running.recompute import as_one_operation, back_through
from tfp_flows.networks.weights.training_mode import TrainingMode
from tfp_flows.purpose import purpose

tfb = tfp.bijectors

MEMORY = ("activations", "constant")


class ReversibleChain(Chain):
    """A `Chain` whose backward pass recomputes each input from its output [1].

    The same map as `Chain`, for training deep flows in little memory: the activations
    of one step at a time instead of all. Each network runs once more in the backward
    pass. Gradients agree with the chain's up to the rounding errors of inversion.
    First derivatives only.

    Dropout draws the same mask in the recomputation. Layers that add losses of their
    activations are refused, and so are parts of TFP with weights of their own.

    Shapes: those of its parts; x `[*batch, *event_shape]` -> log_det `[*batch]`, nats.

    Args:
      bijectors: parts from the data side to the latent side, at least one.
      event_shape: shape on the data side; needed only if no part is a `KerasBijector`.
      context_bijector: what contexts go through (its inverse) before a part sees them.
      name: of the bijector.

    Raises:
      ValueError: if a part has weights that are not Keras variables, or for what
        `Chain` refuses.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> chain = ReversibleChain([ActNorm((3,)), ActNorm((3,))])
      >>> chain.inverse(tf.ones([5, 3])).shape
      TensorShape([5, 3])

    References:
      [1] Gomez, Ren, Urtasun, Grosse. The reversible residual network. NeurIPS 2017.
          arXiv:1707.04585
    """

    def __init__(
        self,
        bijectors: Sequence[tfb.Bijector],
        event_shape: Sequence[int] | None = None,
        context_bijector: KerasBijector | None = None,
        name: str = "reversible_chain",
    ):
        super().__init__(bijectors, event_shape, context_bijector, name)
        for part in self._bijectors:
            own = {id(v) for v in part.trainable_variables}
            known = {id(v.value) for v in variables_of(part)}
            if own - known:
                raise ValueError(
                    f"{name}: part {part.name!r} has weights that are not Keras "
                    'variables, so it cannot be recomputed. Use memory="activations".'
                )

    def _walk(self, direction, value, context):
        """Runs all parts as one operation with a gradient of its own."""
        if purpose() == "export":  # not to be trained
            return super()._walk(direction, value, context)
        run = _Run(self, direction)
        value, log_det, states = as_one_operation(
            run.there, run.back, value, context, run.weights
        )
        run.assign(states)
        return value, log_det


class _Run:
    """One pass through a chain: its parts in order, and all that they depend on."""

    def __init__(self, chain, direction):
        self._name, self._direction = chain.name, direction
        self._parts = chain.in_order(direction)
        variables = unique(v for part in chain.bijectors for v in variables_of(part))
        self._trained = [v for v in variables if v.trainable]
        self._states = [v for v in variables if not v.trainable]
        self.weights = [tf.convert_to_tensor(v.value) for v in self._trained]
        self._entry = [tf.convert_to_tensor(v.value) for v in self._states]
        self._mode = TrainingMode()
        self._training = self._mode.current()
        self._before: list[list] = []  # the states as each part found them

    def there(self, value, context, weights):
        """Returns the value, the log-det and the states that parts have assigned."""
        total = None
        with self._scope(weights, self._entry) as scope:
            for part in self._parts:
                self._before.append([scope.get_current_value(v) for v in self._states])
                function = getattr(part, f"{self._direction}_and_log_det")
                value, log_det = self._call(function, value, context)
                total = log_det if total is None else total + log_det
        if scope.losses:
            raise ValueError(
                f"A layer in {self._name!r} adds a loss of its activations, which a "
                'recomputed chain cannot pass on. Use memory="activations".'
            )
        after = [scope.get_current_value(v) for v in self._states]
        pairs = zip(self._entry, after, strict=True)
        return value, total, [None if new is old else new for old, new in pairs]

    def back(self, after, of_log_det, context, weights):
        """Returns the gradients at the input."""
        scopes = [self._scope(weights, states) for states in self._before]
        around = (after, of_log_det, context, weights)
        return self._call(back_through, self._parts, scopes, self._direction, *around)

    def assign(self, states):
        """Gives the variables the states that parts have assigned."""
        for variable, new in zip(self._states, states, strict=True):
            if new is not None:
                variable.assign(new)

    def _scope(self, weights, states):
        pairs = zip([*self._trained, *self._states], [*weights, *states], strict=True)
        return keras.StatelessScope(list(pairs), collect_losses=True)

    def _call(self, function, *args):
        return self._mode.run(lambda: function(*args), self._training)


def check_memory(memory: str, owner: str) -> None:
    """Refuses a word for the backward pass's memory that means nothing.

    Raises:
      ValueError: if it is neither "activations" nor "constant".
    """
    if memory not in MEMORY:
        raise ValueError(f"{owner} needs memory among {MEMORY}, got {memory!r}.")


def chain_of(
    bijectors: Sequence[tfb.Bijector],
    memory: str,
    event_shape: Sequence[int] | None = None,
    context_bijector: KerasBijector | None = None,
    name: str = "chain",
) -> Chain:
    """Returns a `Chain` or, if `memory` is "constant", a `ReversibleChain`.

    Args:
      bijectors: parts from the data side to the latent side, at least one.
      memory: of the backward pass: "activations" keeps what it needs, "constant"
        recomputes it.
      event_shape: shape on the data side; needed only if no part is a `KerasBijector`.
      context_bijector: what contexts go through before a part sees them, or None.
      name: of the bijector.

    Raises:
      ValueError: for another word, or parts that do not fit.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> chain_of([ActNorm((2,)), ActNorm((2,))], "activations").event_shape
      (2,)
    """
    check_memory(memory, name)
    kind = ReversibleChain if memory == "constant" else Chain
    return kind(bijectors, event_shape, context_bijector, name)
