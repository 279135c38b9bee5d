"""The handler alone, as it goes into pipelines of others."""

import pickle

import numpy as np
import pytest

pytest.importorskip("apache_beam")

from tfp_flows import scoring  # noqa: E402
from tfp_flows.scoring.blocks import Block  # noqa: E402


def _block(rows):
    names = np.arange(len(rows)).astype(str).astype(object)
    return Block(names, names, {"x": rows})


def test_it_travels_to_workers_and_answers_there(exported, rows):
    model = exported("vector")
    handler = scoring.FlowModelHandler(model.directory, "log_prob")
    handler = pickle.loads(pickle.dumps(handler))
    blocks = [_block(rows[:20]), _block(rows[20:])]
    results = list(handler.run_inference(blocks, handler.load_model()))
    assert [result.example for result in results] == blocks
    got = np.concatenate([result.inference["log_prob"] for result in results])
    np.testing.assert_allclose(got, model.flow.log_prob(rows), rtol=1e-5, atol=1e-5)


def test_a_block_is_a_batch(exported, rows):
    handler = scoring.FlowModelHandler(exported("vector").directory, "log_prob")
    assert handler.batch_elements_kwargs() == {"min_batch_size": 1, "max_batch_size": 1}
    assert handler.get_num_bytes([_block(rows)]) == rows.nbytes


def test_completion_offers_public_names_only():
    assert set(dir(scoring)) == set(scoring.__all__)
    assert all(getattr(scoring, name) is not None for name in scoring.__all__)
