"""The two jobs: files of rows through a model, and samples by their numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.metric import Metrics, MetricsFilter
from apache_beam.ml.inference.base import RunInference

from tfp_flows.scoring import (
    checks,
    engine,
    readers,
    selection,
    signatures,
    stages,
    writing,
)
from tfp_flows.scoring.handler import FlowModelHandler

BATCH = 4096  # rows
_NAMESPACE = "tfp_flows.scoring"  # of counters


class Summary(NamedTuple):
    """What a job did.

    Attributes:
      rows: written, with what the model says of them.
      invalid: bad rows, in the files `PREFIX-invalid*`; the model's among `rows` too.

    Examples:
      >>> Summary(rows=10, invalid=2).invalid
      2
    """

    rows: int
    invalid: int


def score(
    model: str,
    input: str,
    output: str,
    *,
    signature: str = "log_prob",
    key: str | None = None,
    x: Sequence[str] = (),
    context: Sequence[str] = (),
    seed: int = 0,
    input_format: str | None = None,
    output_format: str = writing.PARQUET,
    batch_size: int = BATCH,
    flags: Sequence[str] = (),
) -> Summary:
    """Runs files of rows through a signature of an exported model.

    Every row that can be read is answered, in files `PREFIX-*`, of which there are as
    many as the engine likes, in no order. Rows that cannot, and those that the model
    calls not valid, are told with the reason in `PREFIX-invalid-*.jsonl`.

    Args:
      model: version directory, such as "served/digits/1".
      input: a glob of TFRecord, Parquet, CSV or npy files of one kind.
      output: prefix of the files to write.
      signature: one that takes `x`.
      key: column that is written beside the values, as text. The file and the number
        of the row if None.
      x: columns of the event, joined in this order; see `selection.rows_for`.
      context: columns of the context.
      seed: of the noise of dequantization: a row's follows from this and the row.
      input_format: one of `readers.READERS`, None to tell it by the files' names.
      output_format: one of `writing.FORMATS`.
      batch_size: rows of a batch, at most.
      flags: of Beam; one process for each core of this machine if there are none.

    Returns:
      How many rows were written, and how many are bad.

    Raises:
      ValueError: for a wrong argument, before anything is written.
      RuntimeError: if the job fails while it runs.

    Examples:
      >>> score("served/wine/1", "rows/*.csv", "scores/a")  # doctest: +SKIP
      Summary(rows=178, invalid=0)
    """
    beam_options = engine.options(flags)
    checks.output(output, output_format, batch_size)
    checks.seed(seed)
    asked = signatures.read(model, signature)
    paths = readers.matching(input)
    formats = [input_format or readers.format_of(path) for path in paths]
    checks.formats(formats)
    widths = readers.widths(paths, formats[0])
    rows = selection.rows_for(asked, widths, key=key, x=x, context=context, seed=seed)
    source = stages.Files(zip(paths, formats, strict=True), rows, batch_size)
    sink = writing.Write(output, asked, output_format, pa.string())
    return _run(source, FlowModelHandler(model, signature), sink, beam_options)


def sample(
    model: str,
    output: str,
    count: int,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    output_format: str = writing.PARQUET,
    batch_size: int = BATCH,
    flags: Sequence[str] = (),
) -> Summary:
    """Draws samples from an exported model.

    Row i is drawn by the seed (`seed`, i), always as the same row of the same batch:
    the rows are the same whatever the engine, its bundles, its retries, and `count`.
    Another `batch_size` may change their last bits, on which a draw of an
    autoregressive model may turn.

    Args:
      model: version directory, such as "served/digits/1".
      output: prefix of the files to write.
      count: samples.
      seed: of all of them, a 64-bit integer.
      temperature: of all of them, above 0.
      output_format: one of `writing.FORMATS`.
      batch_size: rows of a batch.
      flags: of Beam; one process for each core of this machine if there are none.

    Returns:
      How many rows were written, and how many are bad.

    Raises:
      ValueError: for a wrong argument, before anything is written.
      RuntimeError: if the job fails while it runs.

    Examples:
      >>> sample("served/wine/1", "samples/a", 1000)  # doctest: +SKIP
      Summary(rows=1000, invalid=0)
    """
    beam_options = engine.options(flags)
    checks.output(output, output_format, batch_size)
    checks.seed(seed)
    asked = signatures.read(model, "sample")
    checks.draw(asked, count, temperature)
    source = stages.Draws(count, seed, temperature, batch_size)
    sink = writing.Write(output, asked, output_format, pa.int64())
    return _run(source, FlowModelHandler(model, "sample"), sink, beam_options)


def _run(source, handler, sink, beam_options):
    pipeline = beam.Pipeline(engine.runner(beam_options), beam_options)
    blocks, *invalid = pipeline | "Source" >> source
    results = blocks | RunInference(handler)
    results | "Count" >> beam.Map(lambda r: _count("rows", len(r.example.keys)))
    every = [*invalid, results | "Sink" >> sink] | beam.Flatten()
    every | "CountInvalid" >> beam.Map(lambda row: _count("invalid", 1))
    every | writing.WriteInvalid(sink.prefix)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:  # whatever it was, no mistake in an argument
        raise RuntimeError("The job failed while it ran; see above.") from error
    return Summary(*(_total(result, name) for name in Summary._fields))


def _count(name, number):
    Metrics.counter(_NAMESPACE, name).inc(number)


def _total(result, name):
    query = MetricsFilter().with_namespace(_NAMESPACE).with_name(name)
    counters = result.metrics().query(query)["counters"]
    return sum(int(counter.result) for counter in counters)
