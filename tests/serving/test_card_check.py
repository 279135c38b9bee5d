"""The card is compared with the graph: whatever it says wrongly is found."""

import json
import shutil

import numpy as np
import pytest

from tests.serving.conftest import export, make
from tfp_flows.serving import card_check, checkpoint, golden, meta_graph

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("card")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(make("conditional discrete"), tmp_path_factory.mktemp("base"))


def problem(directory, card=None, rows=None):
    content = (directory / "saved_model.pb").read_bytes()
    graph = meta_graph.of_saved_model(content)
    card = card_check.read(directory) if card is None else card
    rows = golden.load(directory) if rows is None else rows
    stored = checkpoint.variables(directory)
    return card_check.problem(card, graph, rows, stored, directory)


def test_a_true_card_has_no_problem(exported):
    assert problem(exported) is None


CHANGES = {
    "version": ({"version": 2}, "the card is of version 2, the directory 1"),
    "weights": (
        {"stored": {"variables": 1, "numbers": 3, "bytes": 12}},
        "the card says that {'variables': 1, 'numbers': 3, 'bytes': 12} are stored",
    ),
    "more weights": (
        {"num_parameters": 1},
        "the card says num_parameters 1, the graph",
    ),
    "event": ({"event_shape": [5]}, "the card says event_shape [5]"),
    "latent": ({"latent_shape": [5]}, "the card says latent_shape [5]"),
    "context": ({"context_shape": [2]}, "the card says context_shape [2]"),
    "no context": ({"context_shape": None}, "takes a context, the card says None"),
    "reals": ({"num_values": None}, "one of integers, the card says num_values None"),
    "fewer values": ({"num_values": 5}, "are not integers from 0 to 4"),
    "no kind": ({"kind": "model"}, "the card says kind 'model', known are flow"),
    "another kind": ({"kind": "augmented"}, "says kind augmented, and there is encode"),
    "library": ({"library_versions": {}}, "the card says another"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_on_the_card_is_named(exported, name):
    changed, words = CHANGES[name]
    assert words in problem(exported, card_check.read(exported) | changed)


def test_every_wrong_signature_is_named(exported):
    for part, key in [("inputs", "x"), ("outputs", "valid")]:
        for entry, value in [("dtype", "float16"), ("shape", [-1, 9])]:
            card = card_check.read(exported)
            card["signatures"]["log_prob"][part][key][entry] = value
            assert "signatures are not the graph's: log_prob" in problem(exported, card)
    card = card_check.read(exported)
    del card["signatures"]["sample"]
    assert "sample is on the graph only" in problem(exported, card)


def test_golden_rows_cannot_be_loosened_or_left_out(exported):
    rows = golden.load(exported)
    loose = rows | {"sample": rows["sample"]._replace(rtol=1e9)}
    assert "allow rtol 1e+09, at most 0.01" in problem(exported, rows=loose)
    loose = rows | {"sample": rows["sample"]._replace(rtol=np.nan)}
    assert "allow rtol nan" in problem(exported, rows=loose)
    short = {key: value[:1] for key, value in rows["decode"].outputs.items()}
    few = rows | {"decode": rows["decode"]._replace(outputs=short)}
    assert "wanted are 8 of them" in problem(exported, rows=few)
    assert "golden rows for" in problem(
        exported, rows={k: v for k, v in rows.items() if k != "sample"}
    )


def test_golden_rows_of_which_none_is_valid_are_refused(exported):
    rows = golden.load(exported)
    outputs = rows["encode"].outputs | {"valid": np.zeros(8, bool)}
    nothing = rows | {"encode": rows["encode"]._replace(outputs=outputs)}
    assert "no golden row of encode is valid" in problem(exported, rows=nothing)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"schema_version": 1}, "its schema is 1, this library knows"),
        ({"num_parameters": "many"}, "its entry 'num_parameters' is 'many'"),
        ({"num_parameters": -1}, "its entry 'num_parameters' is -1"),
        ({"version": True}, "its entry 'version' is True"),
        ({"stored": 3}, "its entry 'stored' is 3"),
        ({"num_values": 2**31}, "its entry 'num_values' is 2147483648"),
        ({"context_shape": ["a"]}, "its entry 'context_shape' is .'a'"),
        ({"context_shape": [2**31]}, "its entry 'context_shape' is .2147483648"),
        ({"event_shape": [None]}, "its entry 'event_shape' is .None"),
        (None, "no JSON object"),
    ],
)
def test_what_is_no_card_is_refused(exported, tmp_path, change, words):
    copy = shutil.copytree(exported, tmp_path / "1")
    card = change and card_check.read(copy) | change
    (copy / card_check.FILE_NAME).write_text(json.dumps(card))
    with pytest.raises(ValueError, match=words):
        card_check.read(copy)
