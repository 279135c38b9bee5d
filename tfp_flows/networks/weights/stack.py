"""The weights of equal networks, one array for all of them."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf


class Stack(keras.layers.Layer):
    """Holds the variables of `count` equal layers, stacked along a first axis.

    An optimizer then updates a few large arrays instead of many small ones, and a
    graph reads each once. One of the layers, the template, is run with the weights of
    any of them: see `as_member`.

    A random layer's seed is not stacked: there is one generator for all members, and
    each member draws from its own branch of it.

    Args:
      members: for each layer its variables, in the same order and of equal shapes; the
        first member's layer is the template. Read one by one, so a generator need not
        keep them.
      count: how many there are.
      name: of the layer.

    Raises:
      ValueError: if the members' variables differ in shape or dtype, or have
        constraints.

    Examples:
      >>> layers = [keras.layers.Dense(2) for _ in range(3)]
      >>> for layer in layers:
      ...     layer.build((None, 4))
      >>> stack = Stack([layer.variables for layer in layers], count=3)
      >>> [tuple(v.shape) for v in stack.weights]
      [(3, 4, 2), (3, 2)]
      >>> with stack.as_member(stack.members()[1]):
      ...     layers[0](tf.ones([5, 4])).shape
      TensorShape([5, 2])
    """

    def __init__(
        self,
        members: Iterable[Sequence[keras.Variable]],
        count: int,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.count = count
        members = iter(members)
        self._template = _Hidden(tuple(next(members)))
        _check_constraints(self.template, self.name)
        copies = [_room(count, variable) for variable in self.template]
        for k, member in enumerate(itertools.chain([self.template], members)):
            _check_alike(self.template, member, self.name)
            for copy, variable in zip(copies, member, strict=True):
                copy[k] = keras.ops.convert_to_numpy(variable)
        self._generators = {}
        self._arrays = {}
        for i, variable in enumerate(self.template):
            if _is_seed(variable):
                generator = keras.random.SeedGenerator()
                setattr(self, f"seed_generator_{i}", generator)  # tracked by Keras
                self._generators[i] = generator
            else:
                self._arrays[i] = self._add(variable, copies[i])
        self.built = True

    def _add(self, variable, values):
        return self.add_weight(
            shape=values.shape,
            initializer=lambda shape, dtype: keras.ops.cast(values, dtype),
            dtype=variable.dtype,
            trainable=variable.trainable,
            regularizer=variable.regularizer,
            autocast=False,
            name=variable.path.replace("/", "_"),
        )

    @property
    def template(self) -> tuple[keras.Variable, ...]:
        """The first member's own variables, which `as_member` gives other values."""
        return self._template.variables

    def values(self) -> list[tf.Tensor]:
        """Returns the present value of each variable, `[count, ...]`."""
        return [
            self._branches(i) if i in self._generators else _read(self._arrays[i])
            for i in range(len(self.template))
        ]

    def _branches(self, i):
        state = _read(self._generators[i].state)
        branch = tf.constant([1_000_003, 0], state.dtype)
        return state + branch * tf.range(self.count, dtype=state.dtype)[:, None]

    def members(self) -> list[list[tf.Tensor]]:
        """Returns the present value of each variable of each member."""
        columns = [tf.unstack(value, num=self.count) for value in self.values()]
        return [list(member) for member in zip(*columns, strict=True)]

    @property
    def trained_indices(self) -> list[int]:
        """Which of the template's variables are trained."""
        return [i for i, array in self._arrays.items() if array.trainable]

    @contextmanager
    def as_member(self, values: Sequence[tf.Tensor]) -> Iterator[keras.StatelessScope]:
        """Runs the template with the given values in place of its own.

        Args:
          values: one for each of the template's variables; None for those that are not
            to be read.

        Yields:
          The scope, which knows the values that the template has assigned.

        Raises:
          ValueError: if the template adds losses, which would be lost.
        """
        both = zip(self.template, values, strict=True)
        pairs = [(variable, value) for variable, value in both if value is not None]
        with keras.StatelessScope(pairs, collect_losses=True) as scope:
            yield scope
        if scope.losses:
            raise ValueError(
                f"A layer of {self.name!r} adds a loss of its activations, which "
                "stacked layers cannot pass on. Use regularizers of weights."
            )

    def current(self, scope: keras.StatelessScope) -> list[tf.Tensor]:
        """Returns the template's values as they are in a scope, with assignments."""
        return [scope.get_current_value(v) for v in self.template]

    def assign(self, values: Sequence[tf.Tensor | None]) -> None:
        """Takes over what the members' layers assigned.

        Args:
          values: the new value of each variable, `[count, ...]`, or None.
        """
        for i, value in enumerate(values):
            if value is None:
                continue
            if i in self._generators:
                state = self._generators[i].state
                state.assign(state + tf.constant([1, 0], state.dtype))
            else:
                self._arrays[i].assign(value)


@dataclasses.dataclass(frozen=True)
class _Hidden:
    """Keeps variables out of the sight of Keras, which tracks those in any list."""

    variables: tuple[keras.Variable, ...]


def _is_seed(variable):
    return variable.name == "seed_generator_state"


def _read(variable):
    return tf.convert_to_tensor(variable.value)


def _room(count, variable):
    """An array for the copies; large enough ones take no memory until written."""
    dtype = tf.as_dtype(variable.dtype).as_numpy_dtype
    return np.empty((count, *variable.shape), dtype)


def _check_alike(template, member, name):
    kinds = [
        [(tuple(v.shape), v.dtype, v.trainable) for v in m] for m in (template, member)
    ]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"{name} needs layers with equal variables, got the shapes and dtypes "
            f"{kinds[0]} and {kinds[1]}."
        )


def _check_constraints(template, name):
    if any(getattr(v, "constraint", None) is not None for v in template):
        raise ValueError(
            f"{name} cannot keep constraints of stacked variables. Build the network "
            "without kernel_constraint and bias_constraint."
        )
