"""Advice on batches, and the file that a server reads it from."""

import json
import re

import numpy as np
import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from tests.serving.conftest import export
from tfp_flows import flows
from tfp_flows.serving import batching, batching_file


def parameters_class():
    """BatchingParameters of session_bundle_config.proto, as far as it is used."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="batching", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    numbers = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches")
    for number, name in enumerate(numbers, start=1):
        field = message.field.add(name=name, number=number, label=1)
        field.type, field.type_name = (
            kinds.TYPE_MESSAGE,
            ".google.protobuf.Int64Value",
        )
    message.field.add(
        name="allowed_batch_sizes", number=6, label=3, type=kinds.TYPE_INT64
    )
    message.field.add(
        name="pad_variable_length_inputs", number=7, label=1, type=kinds.TYPE_BOOL
    )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("BatchingParameters")
    )


def test_the_file_is_what_a_server_reads():
    assert wrappers_pb2.Int64Value  # its descriptor is in the pool
    parameters = parameters_class()
    for size in (1, 6, 8, 1024):
        message = text_format.Parse(batching_file.parameters(size), parameters())
        sizes = list(message.allowed_batch_sizes)
        # The last has to be the largest batch, or a server does not load the model.
        assert message.max_batch_size.value == sizes[-1] == size
        assert sizes == sorted(set(sizes))
        assert not message.pad_variable_length_inputs


def test_advice_is_the_smallest_batch_that_is_nearly_as_cheap_by_row():
    linear = {2**i: 1.0 + 0.1 * 2**i for i in range(11)}
    size = batching.advice(linear)
    by_row = {s: t / s for s, t in linear.items()}
    assert by_row[size] <= 1.1 * min(by_row.values()) < by_row[size // 2]
    assert batching.advice({1: 1.0, 2: 2.0, 4: 4.0}) == 1


def test_measured_advice_is_on_the_card_and_in_the_file(tmp_path):
    flow = flows.gaussian((2,))
    directory = export(flow, tmp_path, max_batch_size="measure")
    card = json.loads((directory / "assets.extra" / "flow_card.json").read_text())
    seconds = {int(size): taken for size, taken in card["batch_seconds"].items()}
    assert card["max_batch_size"] == batching.advice(seconds)
    assert seconds and all(np.isfinite(taken) for taken in seconds.values())
    written = (directory / "batching_params.pbtxt").read_text()
    assert written == batching_file.parameters(card["max_batch_size"])


@pytest.mark.parametrize("size", [0, 1025, 2.0, True, "largest"])
def test_other_sizes_are_refused(tmp_path, size):
    with pytest.raises(ValueError, match="max_batch_size must be an integer"):
        export(flows.gaussian((2,)), tmp_path, max_batch_size=size)


def test_a_file_with_which_no_server_loads_is_noticed(tmp_path):
    for size in (1, 6, 8, 1024):
        batching_file.write(tmp_path, size)
        assert batching_file.problem(tmp_path, size) is None
        assert "max_batch_size" in batching_file.problem(tmp_path, size + 1)
    path = tmp_path / batching_file.FILE_NAME
    good = path.read_text()
    for old, new, words in [
        ("allowed_batch_sizes: 1024", "", "allows batches of"),
        ("allowed_batch_sizes: 1\n", "allowed_batch_sizes: 600\n", "allows batches of"),
        ("max_batch_size {", "#", r"max_batch_size \[\]"),
    ]:
        path.write_text(good.replace(old, new))
        problem = batching_file.problem(tmp_path, 1024)
        assert problem and re.search(words, problem)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        batching_file.problem(tmp_path, 1024)
