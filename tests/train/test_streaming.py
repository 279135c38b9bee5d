"""Data that stay in their files: the same batches, from any step, for any share."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests import replicas
from tfp_flows import FlowModel, flows
from train import evaluation, pipelines
from train.configs import digits_real_nvp
from train.pipelines import Arrays, Part, Share, prepared

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("streaming")

SHAPE = (6, 5, 3)
COUNTS = {"train": 103, "test": 41}
ROOT = pathlib.Path(__file__).parents[2]
SHARED = ROOT / ".." / "shared" / "tensorflow_datasets"


class Patches(tfds.core.GeneratorBasedBuilder):
    """Smooth images, which a JPEG leaves nearly as they are, with labels."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name) for name in ("png", "jpeg", "plain")
    ]

    def _info(self):
        kind = self.builder_config.name
        if kind == "plain":
            image = tfds.features.Tensor(shape=SHAPE, dtype=np.uint8)
        else:
            image = tfds.features.Image(shape=SHAPE, encoding_format=kind)
        label = tfds.features.ClassLabel(num_classes=4)
        number = tfds.features.Scalar(np.int64)  # which nobody asks for
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {"image": image, "label": label, "number": number}
            )
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in COUNTS}

    def _generate_examples(self, name):
        rng = np.random.default_rng(len(name))
        for i in range(COUNTS[name]):
            image = np.clip(rng.normal(128, 40, SHAPE), 0, 255).astype(np.uint8)
            label = int(rng.integers(4))
            yield i, {"image": image, "label": label, "number": i}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Every configuration of the images, the training part in several files."""
    made = tmp_path_factory.mktemp("prepared")
    for name in Patches.builder_configs:
        several = tfds.download.DownloadConfig(num_shards=4)
        builder = Patches(config=name, data_dir=made)
        builder.download_and_prepare(download_config=several)
    assert len(builder.info.splits["train"].filepaths) == 4
    return made


def loaded(directory, kind="png", **fields):
    config = digits_real_nvp.get_config().data
    config.update({"name": f"patches/{kind}", "data_dir": str(directory)})
    config.update({"num_valid": 17, **fields})
    return pipelines.load(config, "")


def listed(data):
    """Batches as lists of arrays, context first."""
    return [[v.numpy() for v in tf.nest.flatten(batch)] for batch in data]


def assert_same(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        for value, known in zip(one, other, strict=True):
            assert value.dtype == known.dtype
            np.testing.assert_array_equal(value, known)


def numbered(count, **fields):
    """A part whose events are their own numbers."""
    return Part(Arrays(np.arange(count, dtype=np.int32)[:, None], **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "jpeg"},
        {"kind": "plain"},
        {"context": True},
        {"num_values": 32, "num_test": 7, "num_valid": 50},
        {"binarize": "threshold"},
        {"binarize": "stochastic", "seed": 3, "context": True},
    ],
)
def test_what_is_streamed_is_what_is_in_memory(directory, fields):
    memory, none = (loaded(directory, cache=c, **fields) for c in ("memory", "none"))
    assert (none.event_shape, none.num_values) == (SHAPE, memory.num_values)
    for name in ("train", "valid", "test"):
        one, other = getattr(memory, name), getattr(none, name)
        assert len(one) == len(other) > 0
        assert one.context_shape == other.context_shape
        assert_same(listed(one.batches(10)), listed(other.batches(10)))
        n = 3 * one.steps_per_epoch(10)
        steps = [listed(p.steps(10, 5, 2, n, flip=True)) for p in (one, other)]
        assert_same(*steps)
        assert steps[0][0][-1].dtype == np.uint8


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the prepared data sets")
def test_real_images_are_the_same_both_ways(name):
    config = digits_real_nvp.get_config().data
    config.update({"name": name, "data_dir": str(SHARED), "context": True})
    builder = prepared.builder(config, "")
    config.cache = "none"
    source = prepared.stored(builder, "test", config)
    known = builder.as_dataset(split="test[300:400]", batch_size=-1)
    x, label = source.rows(np.arange(300, 400))
    np.testing.assert_array_equal(x, known["image"])
    np.testing.assert_array_equal(label, known["label"])


def test_validation_is_the_end_of_the_training_files(directory):
    whole = loaded(directory, cache="none", num_valid=1).train
    splits = loaded(directory, cache="none", num_valid=30)
    assert [len(splits.train), len(splits.valid)] == [73, 30]
    x = whole.rows(np.arange(73, 102)).x
    np.testing.assert_array_equal(splits.valid.head(29).x, x)


@pytest.mark.parametrize("batch_size", [10, 103, 200])
def test_any_step_can_be_entered(batch_size):
    part = numbered(103)
    n = part.steps_per_epoch(batch_size)
    every = listed(part.steps(batch_size, 1, 0, 4 * n))
    assert len(every) == 4 * n
    for first in (1, n, n + 1, 3 * n, 4 * n):
        rest = listed(part.steps(batch_size, 1, first, 4 * n))
        assert_same(rest, every[first:])
    for epoch in range(4):
        rows = np.concatenate([x for (x,) in every[epoch * n : (epoch + 1) * n]])
        np.testing.assert_array_equal(np.sort(rows[:, 0]), np.arange(103))


def test_an_order_depends_on_seed_and_epoch_alone():
    part = numbered(103)

    def order(seed, epoch, batch_size):
        n = part.steps_per_epoch(batch_size)
        data = part.steps(batch_size, seed, epoch * n, (epoch + 1) * n)
        return np.concatenate([x for (x,) in listed(data)])[:, 0].tolist()

    assert order(0, 2, 10) == order(0, 2, 16) == order(0, 2, 103)
    others = [order(0, 2, 10), order(0, 3, 10), order(1, 2, 10), list(range(103))]
    assert len({tuple(o) for o in others}) == 4


@pytest.mark.parametrize("replicas_of_all", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [10, 4])
def test_shares_together_are_the_batch(replicas_of_all, batch_size):
    context = np.arange(103, dtype=np.float32)[:, None] + 0.5
    part = numbered(103, context=context)
    n = part.steps_per_epoch(batch_size)
    for whole, dealt in (
        (
            listed(part.steps(batch_size, 0, 3, 2 * n)),
            lambda share: part.steps(batch_size, 0, 3, 2 * n, share=share),
        ),
        (listed(part.batches(batch_size)), lambda s: part.batches(batch_size, s)),
    ):
        per_step = [np.array_split(x, replicas_of_all) for _, x in whole]
        for first, count in {(0, replicas_of_all), (replicas_of_all - 1, 1)}:
            found = listed(dealt(Share(first, count, replicas_of_all)))
            wanted = [x for pieces in per_step for x in pieces[first : first + count]]
            assert len(found) == len(wanted)
            for (context, x), known in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(x, known)
                np.testing.assert_array_equal(context, x + 0.5)


def test_shapes_are_known_but_for_the_number_of_rows(directory):
    part = loaded(directory, cache="none", context=True).train
    context, x = part.steps(10, 0, 0, 5).element_spec
    assert x == tf.TensorSpec((None, *SHAPE), tf.uint8)
    assert context == tf.TensorSpec((None, 4), tf.float32)
    assert part.batches(10, Share(1, 2, 4)).element_spec == (context, x)
    assert part.steps(10, 0, 2, 7, share=Share(0, 2, 2)).cardinality() == 10


def test_no_data_set_is_in_a_graph():
    images = np.zeros((1000, 8, 8, 1), np.uint8)
    part = Part(Arrays(images, np.zeros((1000, 10), np.float32)))
    for data in (part.steps(10, 0, 0, 5, flip=True), part.batches(10)):
        graph = tf.raw_ops.DatasetToGraphV2(input_dataset=data._variant_tensor)
        assert len(graph.numpy()) < 10_000 < images.nbytes


def test_a_mirrored_model_learns_from_shares_what_one_device_does():
    x = np.random.default_rng(0).normal(size=(103, 2)).astype(np.float32)
    part, two = Part(Arrays(x)), replicas.mirrored()
    n = part.steps_per_epoch(34)  # four batches, the last of a single row

    def trained(strategy, given):
        with strategy.scope():
            model = FlowModel(flows.real_nvp((2,), 2, (8,)))
            model.compile("adam", jit_compile=False)
        for i, v in enumerate(model.trainable_variables):
            v.assign(0.1 * tf.random.stateless_normal(v.shape, (0, i)))
        with strategy.scope():
            model.flow.adapt(x)
        data, held_out = given
        model.fit(
            data,
            steps_per_epoch=n,
            validation_data=held_out,
            validation_steps=n,
            epochs=2,
            verbose=0,
            shuffle=False,
        )
        return [v.numpy() for v in model.trainable_variables]

    share = Share(0, 2, 2)
    plain = part.steps(34, 0, 1, 1 + 2 * n), part.batches(34)
    dealt = (
        two.distribute_datasets_from_function(
            lambda _: part.steps(34, 0, 1, 1 + 2 * n, share=share)
        ),
        two.distribute_datasets_from_function(lambda _: part.batches(34, share)),
    )
    one_device = trained(tf.distribute.get_strategy(), plain)
    for one, other in zip(one_device, trained(two, dealt), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_sample_is_of_all_rows_and_a_function_of_the_seed():
    part = numbered(103)
    (x, _), places = part.sample(20, seed=1)
    np.testing.assert_array_equal(x[:, 0], places)
    assert (np.diff(places) > 0).all() and len(places) == 20
    np.testing.assert_array_equal(places, part.sample(20, seed=1)[1])
    assert (places != part.sample(20, seed=2)[1]).any()
    np.testing.assert_array_equal(part.sample(500, seed=1)[1], np.arange(103))


def test_a_streamed_part_is_scored_as_one_in_memory(directory):
    flow = flows.nice(SHAPE, 2, (8,), num_values=256)
    memory, none = (loaded(directory, cache=c).test for c in ("memory", "none"))
    flow.adapt(memory.head(100).x)
    bits = [evaluation.bits_per_dim(flow, part, 1, 16) for part in (memory, none)]
    np.testing.assert_array_equal(*bits)


def test_an_image_that_cannot_be_decoded_is_refused_by_name(tmp_path):
    builder = Patches(config="png", data_dir=tmp_path)
    builder.download_and_prepare()
    path = pathlib.Path(builder.info.splits["test"].filepaths[0])
    data = path.read_bytes()
    path.write_bytes(data.replace(b"IHDR", b"JHDR", 1))
    part = loaded(tmp_path, cache="none").test
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} holds no image"):
        part.head(41)


def test_other_file_formats_are_refused(directory, monkeypatch):
    riegeli = property(lambda info: tfds.core.FileFormat.RIEGELI)
    monkeypatch.setattr(tfds.core.DatasetInfo, "file_format", riegeli)
    with pytest.raises(ValueError, match="prepared as riegeli files"):
        loaded(directory, cache="none")


@pytest.mark.parametrize("name", ["npy", "csv"])
def test_tables_are_the_same_both_ways(tmp_path, name):
    rows = np.random.default_rng(0).normal(size=(100, 3))
    path = tmp_path / f"rows.{name}"
    if name == "npy":
        np.save(path, rows)
    else:
        lines = [",".join(map(repr, map(float, row))) for row in rows]
        lines[5:5] = ["", "# a comment, with a comma", "  "]
        path.write_bytes(b"a,b,c\r\n" + "\r\n".join(lines).encode())
    config = digits_real_nvp.get_config().data
    config.update({"name": name, "path": str(path), "num_valid": 10, "num_test": 20})
    order = np.random.default_rng(0).permutation(100)
    found = []
    for cache in ("memory", "none"):
        config.cache = cache
        splits = pipelines.load(config, tmp_path)
        assert [len(p) for p in (splits.train, splits.valid, splits.test)] == [
            *(70, 10, 20)
        ]
        x = splits.test.head(20).x
        np.testing.assert_array_equal(x, rows[order[80:]].astype(np.float32))
        found.append(listed(splits.train.steps(16, 0, 0, 9)))
    assert_same(*found)


def test_tables_are_checked_without_being_in_memory(tmp_path):
    config = digits_real_nvp.get_config().data
    config.update({"name": "npy", "path": str(tmp_path / "rows.npy"), "cache": "none"})
    config.num_test = 10
    rng = np.random.default_rng(0)
    rows = rng.normal(1e3, 1.0, (300_000, 12)).astype(np.float32)  # two blocks

    def refusal(x):
        np.save(config.path, x)
        with pytest.raises(ValueError) as caught:
            pipelines.load(config, tmp_path)
        return str(caught.value)

    rare = rows.copy()
    rare[:, 3] = 0.0
    rare[-1, 3] = 1.0  # neither constant nor in every sample
    np.save(config.path, rare)
    assert pipelines.load(config, tmp_path).train.event_shape == (12,)
    rare[-1, 3] = 0.0
    assert "constant in the columns [3]" in refusal(rare)
    rare[-1, 3] = np.nan
    assert "not finite" in refusal(rare)
    rows[:, 0] = rows[:, 1] - rows[:, 2]
    assert "12 columns of which only 11" in refusal(rows)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.streaming", "20000"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["grown_mib"] < 30 < 58 < found["files_mib"]
