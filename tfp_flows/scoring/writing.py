"""What a job writes: rows with key, values and `valid`; and the rows that were bad."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from apache_beam.ml.inference.base import PredictionResult

from tfp_flows.scoring.blocks import Block, Invalid
from tfp_flows.scoring.signatures import VALID, Signature, Spec

PARQUET, TFRECORD = "parquet", "tfrecord"
FORMATS = (PARQUET, TFRECORD)
KEY = "key"


def schema(signature: Signature, keys: pa.DataType) -> pa.Schema:
    """Returns the columns of the output in Parquet.

    Events of several numbers are lists, row-major; their shape is in the field's
    metadata.

    Args:
      signature: whose outputs are written.
      keys: type of the key.
    """
    fields = [pa.field(name, *_type(s)) for name, s in signature.values.items()]
    return pa.schema(
        [
            pa.field(KEY, keys, nullable=False),
            *fields,
            pa.field(VALID, pa.bool_(), nullable=False),
        ]
    )


def _type(spec: Spec):
    number = pa.from_numpy_dtype(spec.dtype)
    if not spec.shape:
        return number, False, None
    return pa.list_(number, spec.size), False, {"shape": json.dumps(spec.shape)}


def table(block: Block, outputs: Mapping[str, np.ndarray], columns: pa.Schema):
    """Returns a block's rows as a `pa.Table`."""
    count = len(block.keys)
    arrays = [pa.array(block.keys, columns.field(KEY).type)]
    for field in columns:
        if field.name == KEY:
            continue
        value = outputs[field.name][:count]
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(value.ravel())
            value = pa.FixedSizeListArray.from_arrays(flat, type=field.type)
        arrays.append(pa.array(value))
    return pa.Table.from_arrays(arrays, schema=columns)


def examples(block: Block, outputs: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """Yields a block's rows as serialized `tf.train.Example`s."""
    for i, key in enumerate(block.keys):
        example = tf.train.Example()
        features = example.features.feature
        if isinstance(key, str):
            features[KEY].bytes_list.value.append(key.encode())
        else:
            features[KEY].int64_list.value.append(int(key))
        for name, value in outputs.items():
            feature, row = features[name], np.ravel(value[i])
            if row.dtype.kind == "f":
                feature.float_list.value.extend(row.tolist())
            else:
                feature.int64_list.value.extend(row.astype(np.int64).tolist())
        yield example.SerializeToString(deterministic=True)


def refused(block: Block, outputs: Mapping[str, np.ndarray]) -> Iterator[Invalid]:
    """Yields the rows that the model has no number for."""
    for i in np.flatnonzero(~outputs[VALID][: len(block.keys)]).tolist():
        key = block.keys[i]
        yield Invalid(
            block.names[i],
            _reason(block, i),
            key if isinstance(key, str) else int(key),
        )


def _reason(block, i):
    for name, value in block.inputs.items():
        if not np.isfinite(value[i]).all():
            return f"{name} holds NaN or a number beyond float32"
    return "the model calls it not valid: out of its range, or its answer is not finite"


class Write(beam.PTransform):
    """Writes answers and bad rows beside each other.

    Args:
      prefix: what the names of all files begin with.
      signature: whose outputs are written.
      format_: one of `FORMATS`.
      keys: type of the key.
    """

    def __init__(
        self, prefix: str, signature: Signature, format_: str, keys: pa.DataType
    ):
        super().__init__()
        self.prefix = prefix
        self._format = format_
        self._columns = schema(signature, keys)

    def expand(self, results: Any):
        """Returns the bad rows that the model found."""
        if self._format == PARQUET:
            columns = self._columns

            def to_table(result):
                block, outputs = _of(result)
                return table(block, outputs, columns)

            tables = results | "ToTables" >> beam.Map(to_table)
            tables | "WriteParquet" >> beam.io.WriteToParquetBatched(
                self.prefix, columns, codec="snappy", file_name_suffix=".parquet"
            )
        else:
            rows = results | "ToExamples" >> beam.FlatMap(lambda r: examples(*_of(r)))
            rows | "WriteTFRecord" >> beam.io.WriteToTFRecord(
                self.prefix, file_name_suffix=".tfrecord"
            )
        return results | "Refused" >> beam.FlatMap(lambda r: refused(*_of(r)))


class WriteInvalid(beam.PTransform):
    """Writes bad rows as lines of JSON, no file if there are none.

    Args:
      prefix: of the output; "-invalid" is added.
    """

    def __init__(self, prefix: str):
        super().__init__()
        self._prefix = f"{prefix}-invalid"

    def expand(self, invalid: Any):
        """Returns what Beam's writing of text returns."""
        return (
            invalid
            | beam.Map(lambda row: json.dumps(dataclasses.asdict(row)))
            | beam.io.WriteToText(
                self._prefix, file_name_suffix=".jsonl", skip_if_empty=True
            )
        )


def _of(result: PredictionResult):
    return result.example, result.inference
