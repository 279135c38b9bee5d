"""How files are opened: on any file system of Beam, unpacked if they are `.gz`."""

import contextlib
import gzip
from collections.abc import Iterator
from typing import IO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Gives a file to read bytes from.

    Beam's own unpacking takes a file that was cut for one that has ended; gzip's raises
    EOFError, and no row is lost in silence.

    Args:
      path: of the file.
    """
    plain = CompressionTypes.UNCOMPRESSED
    with FileSystems.open(path, compression_type=plain) as file:
        if not path.endswith(".gz"):
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast(IO[bytes], unpacked)
