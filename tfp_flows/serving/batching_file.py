"""The file that says how a server may join requests.

A server with `--enable_batching --enable_per_model_batching_parameters` reads
`batching_params.pbtxt` from the version's directory. It does not load a version whose
largest allowed size is not `max_batch_size`, or whose warm-up has more rows than that.
"""

import os
import pathlib
import re

FILE_NAME = "batching_params.pbtxt"

_PARAMETERS = """\
# Requests are put together to at most this many rows, and padded to an allowed size.
max_batch_size {{ value: {size} }}
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 1000 }}
{allowed}
# Padding would put made-up numbers into events.
pad_variable_length_inputs: false
"""


def parameters(max_batch_size: int) -> str:
    """Returns the text of `batching_params.pbtxt`.

    Examples:
      >>> print(parameters(6).splitlines()[-3])
      allowed_batch_sizes: 6
    """
    sizes = [2**i for i in range(11) if 2**i < max_batch_size] + [max_batch_size]
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in sizes)
    return _PARAMETERS.format(size=max_batch_size, allowed=allowed)


def write(directory: pathlib.Path, max_batch_size: int) -> None:
    """Writes `batching_params.pbtxt` into a version's directory."""
    text = parameters(max_batch_size)
    (directory / FILE_NAME).write_text(text, encoding="utf-8")


def problem(directory: str | os.PathLike, max_batch_size: int) -> str | None:
    """Returns why a server would not load a version with its file, or None.

    Args:
      directory: of the version.
      max_batch_size: that of its card, and so of the larger warm-up request.

    Raises:
      FileNotFoundError: if there is no file.
    """
    text = pathlib.Path(directory, FILE_NAME).read_text(encoding="utf-8")
    largest = re.findall(r"^max_batch_size *{ *value: *([0-9]+) *}$", text, re.M)
    allowed = re.findall(r"^allowed_batch_sizes: *([0-9]+)$", text, re.M)
    sizes = [int(size) for size in allowed]
    if [int(size) for size in largest] != [max_batch_size]:
        return f"{FILE_NAME} has max_batch_size {largest}, the card {max_batch_size}"
    if sizes != sorted(set(sizes)) or sizes[-1:] != [max_batch_size]:
        return f"{FILE_NAME} allows batches of {sizes}, wanted is to {max_batch_size}"
    return None
