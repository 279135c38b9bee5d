"""TFRecord files for tests, and the flags of a job within this process."""

import numpy as np
import tensorflow as tf

HERE = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


def example(features) -> bytes:
    """Returns a serialized example of bytes, and of arrays of numbers."""
    made = tf.train.Example()
    for name, value in features.items():
        feature = made.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif np.asarray(value).dtype.kind == "f":
            feature.float_list.value.extend(np.ravel(value).tolist())
        else:
            feature.int64_list.value.extend(np.ravel(value).tolist())
    return made.SerializeToString()


def write_tfrecord(path, examples) -> None:
    """Writes examples, or what is written as it is: bytes."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in examples:
            writer.write(one if isinstance(one, bytes) else example(one))


def read_tfrecord(paths):
    """Returns the features of all examples."""
    return [
        tf.train.Example.FromString(record.numpy()).features.feature
        for path in paths
        for record in tf.data.TFRecordDataset(str(path))
    ]
