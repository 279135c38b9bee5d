"""The frame of the recipes: options in two JSON-able groups, explained once."""

import dataclasses
import inspect
import json
import pydoc

import pytest

from tfp_flows import flows
from tfp_flows.flows import Frame
from tfp_flows.flows._documentation import documented
from tfp_flows.networks import GlowNet

NAMES = sorted(set(flows.__all__) - {"Frame", "Recipe", "build", "recipe"})


@pytest.mark.parametrize("name", NAMES)
def test_help_explains_every_option_once_and_in_order(name):
    recipe = getattr(flows, name)
    options = list(inspect.signature(recipe).parameters)
    lines = recipe.__doc__.split("\nArgs:\n")[1].split("\n\n")[0].splitlines()
    explained = [line.split(":")[0].strip() for line in lines if line[2] != " "]
    assert explained == options
    assert "\n\nExamples:\n  >>> " in recipe.__doc__
    shown = pydoc.plain(pydoc.render_doc(recipe)).split("\n\n")[1]
    head = shown[: shown.index("\n    Builds")]
    first = "columns" if name == "tabular" else "event_shape"
    assert head.startswith(f"{name}({first}, ") and len(head.splitlines()) <= 2


def test_an_option_that_is_explained_nowhere_is_refused():
    def recipe(event_shape, temper):
        """Builds it.

        Args:
          event_shape: of it.
        """

    with pytest.raises(ValueError, match="does not say what temper is"):
        documented(recipe)


def test_options_travel_in_two_groups_that_json_holds():
    options = {"event_shape": [4, 4, 1], "num_values": 4, "pad_to": (8, 8)}
    frame = Frame.of("mine", {**options, "filters": 8, "dropout": 0.1, "depth": 3})
    assert frame.data.event_shape == (4, 4, 1) and frame.shape == (8, 8, 1)
    again = json.loads(json.dumps(dataclasses.asdict(frame)))
    assert again["data"]["pad_to"] == [8, 8] and again["network"]["filters"] == 8
    network = frame.builder(GlowNet, name="mine")()
    assert (network.filters, network.dropout, network.name) == (8, 0.1, "mine")
