"""Options that many recipes share are explained once, and shown by `help` of each."""

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

SHARED = {
    "event_shape": "shape of one event.",
    "num_steps": "couplings of a vector flow, or of each level of other flows.",
    "num_values": "number of integer values for discrete data; None for continuous.",
    "pad_to": """`(height, width)` that images are padded to with zeros, so that more
        levels fit; the likelihood stays a bound, see `Padded`. For discrete data.""",
    "dequantization": """"uniform", or "variational" for noise that a small flow learns,
        see `noise_flow`; for discrete data.""",
    "support": """where the features of the last axis lie: "real", "positive",
        (low, high) with None for an end that there is not, ("periodic", low, high)
        where the recipe has steps for it, or a sequence with one of these for each. Or
        "simplex", for vectors whose positive entries sum to one. See `Intervals` and
        `Simplex`; for real numbers.""",
    "missing": "whether NaN is a value that is not there, to be integrated out.",
    "base": """of the latent events: "normal", "logistic", or "student_t" for heavy
        tails, whose weight is learned, see `StudentT`.""",
    "context_shape": "`(C,)` for a conditional flow.",
    "num_levels": """of flows of events with positions; up to two, as many as the sides
        allow, if None.""",
    "hidden_units": "widths of each coupling's network, vectors only.",
    "filters": "channels of each coupling's network, events with positions only.",
    "num_blocks": """residual blocks of each coupling's network, events with positions
        only.""",
    "activation": "of the networks.",
    "residual": "skip connections in the networks of vectors.",
    "dropout": "rate in the networks, in training mode only.",
    "act_norm": "adds an act norm after every coupling.",
    "alpha": "margin of the pixels' logit, see `PixelLogit`.",
    "memory": """of the backward pass, "activations" or "constant", see `chain_of`.""",
    "network": "builder of a Keras layer for each step, instead of the default.",
    "scalar_map": """what happens to each unit: "affine", "spline", "mixture" or
        "additive", or a `ScalarMap`, such as `scalar_maps.Affine(1.0)`.""",
    "scalar_map_options": """arguments of the map that is named: of `Affine`,
        `RationalQuadratic`, `MixtureLogistic`.""",
    "order": """"alternating" between natural and reversed, "random" or "natural".""",
    "block_size": "units that are transformed at once, without seeing each other.",
    "num_components": "of a mixture of logistics, or bins of a spline.",
    "scale_bound": "of affine maps, see `Affine`.",
    "seed": "of what the recipe draws before training, such as random orders.",
    "dtype": "of the events and weights.",
    "network_dtype": """Keras dtype policy of the networks, such as "mixed_bfloat16"; if
        None, Keras' global policy for float32 and `dtype` for others.""",
    "name": "of the model; the recipe's if None.",
}


class TwoLines(inspect.Signature):
    """A signature that `help` shows in two lines: no types, the last options left out.

    Examples:
      >>> from tfp_flows import flows
      >>> print(inspect.signature(flows.gaussian))
      (event_shape, *, support='real', missing=False, num_values=None,
          dtype='float32', name=None)
    """

    def __str__(self):
        words = []
        for option in self.parameters.values():
            if option.kind is option.KEYWORD_ONLY and "*" not in words:
                words.append("*")
            required = option.default is option.empty
            words.append(
                option.name if required else f"{option.name}={option.default!r}"
            )
        text = ", ".join(words)
        # No break within an option such as (256, 256).
        text = re.sub(r"\([^)]*\)", lambda found: found[0].replace(" ", "\0"), text)
        lines = textwrap.wrap(f"({text})", 72, max_lines=2, placeholder=" ...)")
        return "\n    ".join(lines).replace("\0", " ")

    def format(self, **kwargs) -> str:
        """Returns the same text, which `help` asks for from Python 3.13 on."""
        return str(self)


def documented(function: Callable[..., Any]) -> str | None:
    """Returns the docstring of a recipe with all of its options, in their order.

    The recipe's own docstring explains what is special to it, and takes precedence.

    Args:
      function: with a Google-style section `Args:`.

    Raises:
      ValueError: if an option is explained nowhere.

    Examples:
      >>> from tfp_flows import flows
      >>> lines = flows.gaussian.__doc__.splitlines()
      >>> print(next(line for line in lines if "dtype:" in line))
        dtype: of the events and weights.
    """
    if function.__doc__ is None:  # python -OO
        return None
    text = inspect.cleandoc(function.__doc__)
    head, args, rest = re.split(r"^(Args:\n(?:  .*\n?)*)", text, maxsplit=1, flags=re.M)
    own = dict(re.findall(r"^  (\w+):\s((?:.|\n(?=    ))*)", args, flags=re.M))
    lines = []
    for option in inspect.signature(function).parameters:
        if option not in own and option not in SHARED:
            raise ValueError(
                f"The recipe {function.__name__} does not say what {option} is. Add "
                "it to the section Args of its docstring."
            )
        shared = re.sub(r"\n\s*", "\n    ", SHARED.get(option, ""))
        lines.append(f"  {option}: {own.get(option, shared)}")
    end = "\n" + rest if rest else ""
    return head + "\n".join(["Args:", *lines]) + end
