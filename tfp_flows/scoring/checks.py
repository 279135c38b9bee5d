"""What is refused before a job writes anything."""

import math
import os
import posixpath
from collections.abc import Sequence

from apache_beam.io.filesystems import FileSystems

from tfp_flows.scoring import readers, writing
from tfp_flows.scoring.signatures import Signature


def output(prefix: str, format_: str, batch_size: int) -> None:
    """Refuses what cannot be written, or is there already.

    Args:
      prefix: of the files to write.
      format_: of the files.
      batch_size: rows of a batch.

    Raises:
      ValueError: if one of them will not do.
    """
    if format_ not in writing.FORMATS:
        raise ValueError(
            f"The output's format must be one of {', '.join(writing.FORMATS)}, got "
            f"{format_!r}."
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if not posixpath.basename(prefix):
        raise ValueError(
            f"output must be a prefix of file names, such as scores/log_prob, got "
            f"{prefix!r}."
        )
    if "://" not in prefix:
        _check_place(prefix)
    for found in FileSystems.match([f"{prefix}-*-of-*", f"{prefix}-invalid-*"]):
        if found.metadata_list:
            raise ValueError(
                f"{found.metadata_list[0].path!r} exists, and is not overwritten. "
                "Choose another --output, or remove it."
            )


def _check_place(prefix):
    place = os.path.dirname(os.path.abspath(prefix))
    while not os.path.exists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(
            f"{prefix!r} cannot be written: {place!r} is no directory with leave to "
            "write. Choose another --output."
        )


def formats(found: Sequence[str]) -> None:
    """Refuses files of an unknown format, or of several.

    Args:
      found: format of each file.

    Raises:
      ValueError: with the formats.
    """
    if found[0] not in readers.READERS:
        raise ValueError(
            f"The input's format must be one of {', '.join(readers.READERS)}, got "
            f"{found[0]!r}."
        )
    if len(set(found)) > 1:
        raise ValueError(
            f"The files are of several formats: {', '.join(sorted(set(found)))}. "
            "Narrow --input."
        )


def seed(number: int) -> None:
    """Refuses a seed that is no 64-bit integer.

    Raises:
      ValueError: with the seed.
    """
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"seed must be a 64-bit integer, got {number}.")


def draw(signature: Signature, count: int, temperature: float) -> None:
    """Refuses what cannot be drawn.

    Args:
      signature: the model's `sample`.
      count: samples.
      temperature: of all of them.

    Raises:
      ValueError: if one of them will not do.
    """
    if {"context", "label"} & set(signature.inputs):
        raise ValueError(
            "This model takes a context, and samples are drawn without one: ask its "
            "signature sample yourself, with a context for each row."
        )
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}.")
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"temperature must be a number above 0, got {temperature}.")
