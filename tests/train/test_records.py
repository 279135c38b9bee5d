"""TFRecord files record by record, and what is no whole file of them."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from train.pipelines.records import Records


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


def lengthened(path):
    path.write_bytes(path.read_bytes() + b"more")


def with_a_wrong_length(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def with_a_wrong_checksum(path):
    data = bytearray(path.read_bytes())
    data[9] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "has 9 whole records of 10: it is damaged or cut short"),
        (lengthened, "has 4 bytes after its 10 records"),
        (with_a_wrong_length, "whole records of 10|wrong length at record 0"),
        (with_a_wrong_checksum, "has a wrong length at record 0"),
        (pathlib.Path.unlink, "cannot be read .No such file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, damage, message):
    paths = [tmp_path / f"part-{i}" for i in range(2)]
    for path in paths:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for i in range(10):
                writer.write(b"x" * (100 + i))
    records = Records(paths, [10, 10])
    assert [len(r) for r in records.read(np.array([19, 0, 3, 19]))] == [
        *(109, 100, 103, 109)
    ]
    damage(paths[1])
    with pytest.raises(ValueError, match=f"{re.escape(str(paths[1]))} .*({message})"):
        Records(paths, [10, 10])
