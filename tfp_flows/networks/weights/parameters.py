"""A Keras layer that is nothing but weights."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


@keras.saving.register_keras_serializable("tfp_flows")
class Parameters(keras.layers.Layer):
    """Holds named Keras variables for an object that is not a network.

    A bijector or a base distribution with weights of its own keeps them here, so that
    a `keras.Model` tracks, saves and counts them as it does any layer's.

    Args:
      trainable: name -> initial value of each trained weight.
      fixed: name -> initial value of each weight that is set, never trained.
      dtype: of floating values; boolean and integer values keep their own. Weights are
        never autocast, whatever the global Keras policy.
      name: of the layer.

    Examples:
      >>> weights = Parameters({"shift": np.zeros(3)}, dtype="float32")
      >>> weights["shift"].shape
      TensorShape([3])
    """

    def __init__(
        self,
        trainable: Mapping[str, np.ndarray] | None = None,
        fixed: Mapping[str, np.ndarray] | None = None,
        *,
        dtype: str,
        name: str | None = None,
    ):
        super().__init__(dtype=dtype, name=name)
        self._named = {
            **{k: self._add(k, v, dtype, True) for k, v in (trainable or {}).items()},
            **{k: self._add(k, v, dtype, False) for k, v in (fixed or {}).items()},
        }
        self._initially_trained = tuple(trainable or {})
        self.built = True

    def _add(self, name, value, dtype, trainable):
        value = np.asarray(value)
        return self.add_weight(
            shape=value.shape,
            initializer=lambda shape, dtype: keras.ops.cast(value, dtype),
            dtype=dtype if value.dtype.kind == "f" else value.dtype.name,
            trainable=trainable,
            autocast=False,
            name=name,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns shapes and dtypes; the values are saved as weights."""
        config: dict[str, Any] = {"trainable": {}, "fixed": {}}
        for name, variable in self._named.items():
            kind = "trainable" if name in self._initially_trained else "fixed"
            config[kind][name] = [list(variable.shape), variable.dtype]
        return config | {"dtype": self.dtype, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Parameters":
        """Makes zeros of the shapes and dtypes that `get_config` gave."""
        kinds = {
            kind: {name: np.zeros(*of) for name, of in config[kind].items()}
            for kind in ("trainable", "fixed")
        }
        return cls(**kinds, dtype=config["dtype"], name=config["name"])

    def __getitem__(self, name: str):
        """Returns the raw `tf.Variable` called `name`."""
        return self._named[name].value

    def assign(self, **values) -> None:
        """Sets weights by name; call it outside of any replica's step."""
        for name, value in values.items():
            self._named[name].assign(value)
