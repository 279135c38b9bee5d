"""Options that come together travel together: those of data and those of networks."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Data:
    """What events are, and their latent ones. What each means: see `help` of a recipe.

    A recipe without one of these has its default here.
    """

    event_shape: tuple[int, ...]
    context_shape: Sequence[int] | None = None
    num_values: int | None = None
    pad_to: Sequence[int] | None = None
    dequantization: str = "uniform"
    alpha: float = 0.05
    histogram: str | None = None
    support: Any = "real"
    base: str = "normal"
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class Network:
    """What the networks of a model are; None for what is left to the network's class.

    Examples:
      >>> from tfp_flows.networks import GlowNet
      >>> Network(filters=8, activation="tanh").builder(GlowNet)().filters
      8
    """

    hidden_units: Sequence[int] | None = None
    filters: int | None = None
    num_blocks: int | None = None
    activation: str | None = None
    residual: bool | None = None
    dropout: float | None = None
    network_dtype: str | None = None

    def builder(self, kind: Callable[..., T], **own) -> Callable[..., T]:
        """Returns a builder of networks of a kind, with those options that it has.

        Args:
          kind: class of the network.
          **own: options that only this kind has.
        """
        known = inspect.signature(kind).parameters
        shared = {k: v for k, v in vars(self).items() if k in known and v is not None}
        return functools.partial(kind, **shared, **own)


def taken(kind: Callable[..., T], options: Mapping[str, Any]) -> T:
    """Returns the dataclass `kind` with its fields taken from a recipe's options."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names if name in options})
