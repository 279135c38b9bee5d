"""Files of rows: what they are called, how they are cut, how a part is read."""

import gzip
import posixpath
import zlib
from collections.abc import Sequence

import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from tfp_flows.scoring.readers import csv, npy, parquet, tfrecord
from tfp_flows.scoring.readers.reader import Piece, Reader

__all__ = [
    "READERS",
    "Piece",
    "Reader",
    "format_of",
    "is_damage",
    "matching",
    "widths",
]

READERS: dict[str, Reader] = {
    "csv": csv.Csv(),
    "npy": npy.Npy(),
    "parquet": parquet.Parquet(),
    "tfrecord": tfrecord.TFRecord(),
}


def matching(pattern: str) -> list[str]:
    """Returns the files that a glob names, in order.

    Raises:
      ValueError: if there is none.
    """
    found = FileSystems.match([pattern])[0].metadata_list
    if not found:
        raise ValueError(f"No file matches {pattern!r}. Check --input.")
    return sorted(metadata.path for metadata in found)


def format_of(path: str) -> str:
    """Returns the format of a file by its name.

    Raises:
      ValueError: if the name tells none.

    Examples:
      >>> format_of("mnist/3.0.1/mnist-test.tfrecord-00000-of-00001")
      'tfrecord'
    """
    name = posixpath.basename(path).lower()
    for format_ in READERS:
        if f".{format_}" in name:
            return format_
    raise ValueError(
        f"The name of {path!r} tells no format; known are {', '.join(READERS)}. Name "
        "it with --input_format, or narrow --input."
    )


def widths(paths: Sequence[str], format_: str) -> dict[str, int | None]:
    """Returns the columns of the first file that can be read, see `Reader.widths`.

    Raises:
      ValueError: if none can be.
    """
    errors = []
    for path in paths:
        try:
            return READERS[format_].widths(path)
        except Exception as error:
            if not is_damage(error):
                raise
            errors.append(error)
    raise ValueError(f"{paths[0]!r} cannot be read as {format_}: {errors[0]}")


def is_damage(error: Exception) -> bool:
    """Whether an error says that a file is damaged.

    Others, such as a lost connection, are the engine's to try again.
    """
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return error.errno is None  # Arrow's, about what it read
    return isinstance(error, (ValueError, EOFError, zlib.error, pa.ArrowException))
