"""What the gate asks a loaded model: golden rows, bad rows, wrong shapes, no rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_flows.serving import c_api, golden, messages

# What no row may hold: character of the dtype -> name and number. int64 are seeds, any
# of which are good; int32 are data.
_BAD = {"f": ("NaN", np.nan), "d": ("NaN", np.nan), "i": ("-1", -1)}


class CheckError(Exception):
    """The model must not be served; the message says why in one line.

    Examples:
      >>> from tfp_flows.serving import check
      >>> try:
      ...     check.check_directory("nowhere")
      ... except CheckError:
      ...     print("refused")
      refused
    """


def signature(
    session: c_api.Session,
    name: str,
    expected: golden.Golden,
    card: Mapping[str, Any],
) -> None:
    """Checks one signature as clients meet it.

    Args:
      session: of the model.
      name: of the signature.
      expected: its golden rows.
      card: of the model.

    Raises:
      CheckError: if an answer is not as it should be.
    """
    asked = _Signature(session, name, expected, card)
    asked.check_rows()
    asked.check_bad_rows()
    asked.check_largest()
    asked.check_shapes()
    asked.check_batches()


def warm_up(
    session: c_api.Session,
    requests: Sequence[messages.Request],
    card: Mapping[str, Any],
) -> None:
    """Runs the recorded requests as a server does before it serves.

    Args:
      session: of the model.
      requests: in their order.
      card: of the model.

    Raises:
      CheckError: if a record fails, which would keep the version from loading, or a
        signature has no records of one row and of the largest batch.
    """
    sizes: dict[str, set[int]] = {name: set() for name in session.signatures}
    for number, asked in enumerate(requests):
        where = f"warm-up record {number} ({asked.signature})"
        try:
            _check_dtypes(session.signatures[asked.signature], asked.inputs)
            outputs = session.run(asked.signature, asked.inputs)
        except (c_api.CApiError, ValueError, KeyError) as error:
            raise CheckError(f"{where} fails: {line(error)}") from error
        sizes[asked.signature].add(len(outputs["valid"]))
        if len(outputs["valid"]) == 1 and not outputs["valid"][0]:
            raise CheckError(f"{where} is not valid")
    wanted = {1, card["max_batch_size"]}
    for name, found in sizes.items():
        if found != wanted:
            raise CheckError(
                f"the warm-up asks {name} for {sorted(found)} rows, wanted are "
                f"{sorted(wanted)}"
            )


def _check_dtypes(definition, inputs):
    """A server converts nothing."""
    for name, value in inputs.items():
        wanted = c_api.dtype_of(definition.inputs[name])
        if value.dtype != wanted:
            raise ValueError(f"{name} is {value.dtype}, wanted {wanted}")


class _Signature:
    """One signature of a loaded model with its golden rows."""

    def __init__(self, session, name, expected, card):
        self._session, self._name, self._expected = session, name, expected
        self._card = card
        self._atol = {
            key: golden.tolerance(value, expected.rtol)
            for key, value in expected.outputs.items()
        }
        if name == "sample" and card["kind"] == "flow" and card["num_values"]:
            # Its integers are rounded down: the last bit may move one by 1.
            self._atol["x"] = 1.0

    def check_rows(self):
        """Replays all rows, one and a few: a row may not see its neighbours."""
        last = golden.NUM_ROWS - 1
        for keep in (slice(None), slice(last, None), slice(last, None, -2)):
            inputs = self._picked(keep)
            size = len(next(iter(inputs.values())))
            where = f"golden rows replayed in a batch of {size}"
            self._compare(self._run(inputs), slice(None), where, keep)

    def check_bad_rows(self):
        """Makes the first row bad, one input at a time; the others must not change."""
        for key, value in self._expected.inputs.items():
            for what, number in self._bad(key, value.dtype.char):
                bad = value.copy()
                bad[0] = number
                outputs = self._run({**self._expected.inputs, key: bad})
                where = f"a {what} in row 0 of {key} changes other rows"
                self._compare(outputs, slice(1, None), where)
                if outputs.get("valid", np.zeros(1))[0]:
                    raise self._error(f"a row with {what} in {key} is called valid")

    def check_largest(self):
        """Makes one integer or label as large as the card says it can be."""
        classes = self._card["context_shape"] or [None]
        counts = {"x": ("num_values", self._card["num_values"])}
        counts["label"] = ("context_shape", classes[0])
        for key, (entry, count) in counts.items():
            value = self._expected.inputs.get(key)
            if value is None or count is None or not self._expected.outputs["valid"][0]:
                continue
            value = value.copy()
            value[:1].flat[0] = count - 1
            if not self._run({**self._expected.inputs, key: value})["valid"][0]:
                raise self._error(
                    f"a row with {count - 1} in {key} is called invalid, the card says "
                    f"{entry} {count}"
                )

    def check_shapes(self):
        """Sends each input with a wrong shape; anything but code 3 is wrong."""
        for key, value in self._expected.inputs.items():
            dims = ", ".join(map(str, value.shape[1:]))
            wrong = {f"[B, {dims}, 1]": value[..., None]}
            if value.ndim > 1:
                wider = np.concatenate([value, value[..., -1:]], axis=-1)
                wrong["one too many in the last dimension"] = wider
            for what, array in wrong.items():
                inputs = {**self._expected.inputs, key: array}
                self._refused(inputs, f"{key} of a wrong shape ({what})")

    def check_batches(self):
        """Sends one row less of one input, and no rows at all."""
        inputs = self._expected.inputs
        for key, value in inputs.items() if len(inputs) > 1 else ():
            for few in (value[:1], value[:-1]):
                what = f"{len(few)} rows of {key} beside {len(value)} of the others"
                self._refused({**inputs, key: few}, what)
        outputs = self._run(self._picked(slice(0)))
        self._compare(outputs, slice(None), "an empty batch", slice(0))

    def _bad(self, key, char):
        """Yields numbers that no row of an input may hold, with their names."""
        if key == "context" and char not in "fd":
            return  # which whole numbers a user's network takes, only it knows
        if char in _BAD:
            yield _BAD[char]
        if char == "i":
            values = self._card["num_values"] if key == "x" else None
            if key == "label":
                values = self._card["context_shape"][0]
            if key == "known":
                values = 2
            if values is not None:
                yield str(values), values

    def _picked(self, keep):
        return {key: value[keep] for key, value in self._expected.inputs.items()}

    def _refused(self, inputs, what):
        try:
            self._session.run(self._name, inputs)
        except c_api.CApiError as error:
            if error.code == c_api.INVALID_ARGUMENT:
                return
            raise self._error(f"{what} must give code 3, got {line(error)}") from error
        raise self._error(f"{what} is answered, not refused")

    def _compare(self, outputs, rows, where, keep=slice(None)):
        for key, wanted in self._expected.outputs.items():
            got, wanted = outputs[key][rows], wanted[keep][rows]
            rtol, atol = self._expected.rtol, self._atol[key]
            what = golden.difference(key, got, wanted, rtol, atol)
            if what:
                raise self._error(f"{where}: {what}")

    def _run(self, inputs):
        try:
            return self._session.run(self._name, inputs)
        except c_api.CApiError as error:
            size = len(next(iter(inputs.values())))
            what = f"fails on a batch of {size} golden rows: {line(error)}"
            raise CheckError(f"{self._name} {what}") from error

    def _error(self, what):
        return CheckError(f"{self._name}: {what}")


def line(error: Exception) -> str:
    """Returns the first line of an error's message, shortened."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
