"""From the columns of a file to the inputs of a model, row by row where need be.

Most blocks are regular: numbers, of as many columns as the model wants. They go through
as arrays. Where one is not, each of its rows is tried alone, and those that fail say
why.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from tfp_flows.scoring import images
from tfp_flows.scoring.blocks import Block, Invalid, Raw, name_of
from tfp_flows.scoring.signatures import Spec


@dataclasses.dataclass(frozen=True)
class Rows:
    """How rows of a file become rows of the model.

    Attributes:
      columns: input of the model -> the columns that hold it, joined in this order.
      specs: input of the model -> `Spec`, also those that no column holds.
      key: the column of the key, None for names such as "rows/a.csv:17".
      seed: of the noise, where the model takes some.
    """

    columns: Mapping[str, Sequence[str]]
    specs: Mapping[str, Spec]
    key: str | None = None
    seed: int = 0

    def block(self, raw: Raw) -> tuple[Block | None, list[Invalid]]:
        """Returns the good rows of a block, None if there are none, and the others."""
        reasons: dict[int, str] = {}
        inputs = {
            name: _values(raw, names, self.specs[name], reasons)
            for name, names in self.columns.items()
        }
        names = np.array([name_of(raw.path, p) for p in raw.positions.tolist()], object)
        keys = names if self.key is None else _keys(raw, self.key, reasons)
        invalid = [
            Invalid(names[i], reasons[i], None if self.key is None else keys[i])
            for i in sorted(reasons)
        ]
        good = np.setdiff1d(np.arange(len(names)), list(reasons))
        if not len(good):
            return None, invalid
        if reasons:
            inputs = {name: value[good] for name, value in inputs.items()}
        if "seed" in self.specs:
            inputs["seed"] = _seeds(self.seed, inputs)
        return Block(names[good], keys[good], inputs), invalid


def _seeds(seed, inputs):
    """Returns int64 [n, 2]: the noise of a row follows from what it holds.

    Then it does not turn on the file or the order that the row was found in.
    """
    arrays = [np.ascontiguousarray(inputs[name]) for name in sorted(inputs)]
    seeds = np.empty((len(arrays[0]), 2), np.int64)
    seeds[:, 0] = seed
    for i in range(len(seeds)):
        digest = hashlib.blake2b(digest_size=8)
        for array in arrays:
            digest.update(array[i].tobytes())
        seeds[i, 1] = int.from_bytes(digest.digest(), "little", signed=True)
    return seeds


def _keys(raw, column, reasons):
    keys = np.empty(len(raw.positions), object)
    found = raw.columns.get(column)
    for i in range(len(keys)):
        keys[i] = None if found is None else _key(found[i])
        if keys[i] is None:
            reasons.setdefault(i, f"no key in column {column!r}")
    return keys


def _key(value):
    """Returns a key as text, None if it is none: numbers and text tell rows apart."""
    if isinstance(value, np.ndarray) and value.size == 1:  # of a tf.train.Example
        value = value.reshape([])[()]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, (list, dict, np.ndarray)):
        return None
    return str(value)


def _values(raw, names, spec, reasons):
    """Returns `[n, *shape]`; rows that hold something else are told in `reasons`."""
    missing = [name for name in names if name not in raw.columns]
    count = len(raw.positions)
    if missing:
        text = f"no column {missing[0]!r} in its file"
        reasons.update({i: text for i in range(count) if i not in reasons})
        return np.zeros((count, *spec.shape), spec.dtype)
    columns = [raw.columns[name] for name in names]
    joined = _regular(columns, spec)
    if joined is None:
        joined = np.zeros((count, spec.size), np.float64)
        for i in range(count):
            try:
                joined[i] = _row([column[i] for column in columns], names, spec)
            except ValueError as error:
                reasons.setdefault(i, str(error))
    return _cast(joined, spec, names, reasons).reshape(count, *spec.shape)


def _regular(columns, spec):
    """Returns `[n, size]` of columns of numbers that fit, None for others."""
    if any(column.dtype.kind not in "fiub" for column in columns):
        return None
    if len(columns) == 1 and not _fits(columns[0].shape[1:], spec.shape):
        return None
    flat = [column.reshape(len(column), -1) for column in columns]
    if sum(part.shape[1] for part in flat) != spec.size:
        return None
    return flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)


def _row(values, names, spec):
    """Returns the numbers of one row `[size]`.

    Raises:
      ValueError: with what is wrong about the row.
    """
    parts = [_numbers(v, name, spec) for v, name in zip(values, names, strict=True)]
    size = sum(part.size for part in parts)
    if size != spec.size:
        raise ValueError(f"{size} numbers in {_listed(names)}, wanted {spec.size}")
    if len(parts) == 1 and not _fits(parts[0].shape, spec.shape):
        shapes = f"{list(parts[0].shape)}, wanted {list(spec.shape)}"
        raise ValueError(f"column {names[0]!r} has shape {shapes}")
    return np.concatenate([part.ravel() for part in parts])


def _numbers(value, name, spec):
    if value is None:
        raise ValueError(f"nothing in column {name!r}")
    if isinstance(value, bytes):
        value = images.decoded(value, name, spec.shape)
    try:
        array = np.asarray(float(value) if isinstance(value, str) else value)
    except ValueError as error:
        what = f"{value!r:.40} in" if isinstance(value, str) else "a ragged list in"
        raise ValueError(f"{what} column {name!r} is no number") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{value!r:.40} in column {name!r} is no number")
    return array


def _cast(joined, spec, names, reasons):
    """Returns numbers in the dtype of the model; integers stay what they were."""
    if spec.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return joined.astype(spec.dtype)  # too large: infinity, not valid
    bounds = np.iinfo(spec.dtype)
    with np.errstate(invalid="ignore"):
        whole = (joined >= bounds.min) & (joined <= bounds.max)
        whole &= np.floor(joined) == joined
        for i in np.flatnonzero(~whole.all(axis=1)).tolist():
            value = joined[i][~whole[i]][0]
            text = f"{value} in {_listed(names)} is no {spec.dtype.name}"
            reasons.setdefault(i, text)
        return np.where(whole, joined, 0).astype(spec.dtype)


def _fits(shape, wanted):
    """Whether a shape is that of the model, but for dimensions of 1, or flat."""
    if len(shape) < 2:
        return True
    return [d for d in shape if d != 1] == [d for d in wanted if d != 1]


def _listed(names):
    few = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    return f"column{'s' * (len(names) > 1)} {few}"
