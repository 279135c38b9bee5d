"""The reader of checkpoints, judged by TensorFlow's own; and what it finds out."""

import json
import shutil

import pytest
import tensorflow as tf

from tests import laws
from tests.serving.conftest import export
from tests.serving.test_check import refused
from tfp_flows import flows
from tfp_flows.serving import card_check, checkpoint, manifest, meta_graph

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("card")


def exported_of(units, base):
    """A flow with this many units; some weights are too large for the graph."""
    flow = flows.real_nvp((4,), 2, (units, units))
    laws.randomize(flow)
    return export(flow, base)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return exported_of(16, tmp_path_factory.mktemp("base"))


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "1")


def theirs(directory):
    """What TensorFlow says is stored."""
    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    dtypes = reader.get_variable_to_dtype_map()
    return sorted(
        (dtypes[name].as_datatype_enum, tuple(shape))
        for name, shape in reader.get_variable_to_shape_map().items()
        if dtypes[name] != tf.string
    )


def test_variables_are_what_tensorflow_reads(exported):
    found = checkpoint.variables(exported)
    assert sorted(found) == theirs(exported) and len(found) > 1
    graph = meta_graph.of_saved_model((exported / "saved_model.pb").read_bytes())
    assert sorted(meta_graph.variables(graph)) == sorted(found)


def test_tables_of_many_blocks_and_dtypes_are_read(tmp_path):
    dtypes = ("float32", "float64", "int32", "int64", "bool", "bfloat16", "uint8")
    arrays = [tf.zeros([i % 7, 3], dtypes[i % len(dtypes)]) for i in range(6000)]
    names = [f"{i}{'_of_a_long_name' * 3}" for i in range(6000)]
    prefix = str(tmp_path / "variables" / "variables")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=arrays,
    )
    assert (tmp_path / checkpoint.INDEX).stat().st_size > 2**18  # that of a block
    found = checkpoint.variables(tmp_path)
    assert sorted(found) == theirs(tmp_path)
    totals = checkpoint.totals(found)
    assert totals["variables"] == 6000
    data = next((tmp_path / "variables").glob("*.data-*"))
    assert totals["bytes"] == data.stat().st_size


def test_damage_is_a_value_error(copy):
    """Every byte of the index, cut at it or turned over."""
    path = copy / checkpoint.INDEX
    good, noticed = path.read_bytes(), 0
    wanted = checkpoint.variables(copy)
    for at in range(len(good)):
        flipped = bytearray(good)
        flipped[at] ^= 255
        for content in (good[:at], bytes(flipped)):
            path.write_bytes(content)
            try:
                noticed += checkpoint.variables(copy) != wanted
            except (ValueError, TypeError, OverflowError):
                noticed += 1
    # Names and checksums of values are read by the runtime alone.
    assert noticed > len(good)


def forge(directory, **entries):
    """Writes another card, and checksums that fit."""
    path = directory / card_check.FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    manifest.write(directory)


def test_a_forged_card_is_one_line(copy):
    stored = checkpoint.totals(checkpoint.variables(copy))
    for key in stored:
        forge(copy, stored=stored | {key: stored[key] + 1})
        assert "the card says that" in refused(copy)
    forge(copy, stored=stored, num_parameters=-5)
    assert "its entry 'num_parameters' is -5" in refused(copy)
    forge(copy, num_parameters=1)
    assert "says num_parameters 1, the graph says" in refused(copy)


def test_another_models_variables_are_one_line(copy, tmp_path):
    other = exported_of(20, tmp_path / "other")
    shutil.rmtree(copy / "variables")
    shutil.copytree(other / "variables", copy / "variables")
    totals = checkpoint.totals(checkpoint.variables(other))
    forge(copy, stored=totals)
    line = refused(copy)
    assert "of variables of shape" in line and "the checkpoint 0" in line


def test_weights_that_are_gone_or_cut_are_one_line(copy):
    data = next((copy / "variables").glob("*.data-*"))
    content = data.read_bytes()
    for left in (content[:-1], content + b"x"):
        data.write_bytes(left)
        manifest.write(copy)
        assert "bytes in variables.data-00000-of-00001" in refused(copy)
    data.unlink()
    manifest.write(copy)
    assert "variables.index is damaged: there are no" in refused(copy)


def test_a_difference_names_the_shape():
    one, two = checkpoint.Variable(1, (2, 3)), checkpoint.Variable(1, (3,))
    assert checkpoint.difference([one, two], [two, one]) is None
    words = checkpoint.difference([one, two, two], [two])
    assert "shape [2, 3] the graph has 1 and the checkpoint 0" in words
    words = checkpoint.difference([two], [two, two])
    assert "shape [3] the checkpoint has 2 and the graph 1" in words
