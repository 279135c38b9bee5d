"""Which columns of the files are the key and the inputs of the model."""

from collections.abc import Mapping, Sequence

from tfp_flows.scoring.rows import Rows
from tfp_flows.scoring.signatures import Signature

# Inputs that columns hold; a seed is made of what they hold.
_CONDITIONS = ("context", "label")
_FROM_COLUMNS = ("x", *_CONDITIONS)


def rows_for(
    signature: Signature,
    widths: Mapping[str, int | None],
    *,
    key: str | None = None,
    x: Sequence[str] = (),
    context: Sequence[str] = (),
    seed: int = 0,
) -> Rows:
    """Returns how rows of files become inputs of a signature.

    Without names, an input has the column of its own name; an `x` that has none has all
    columns but the key's and the context's, in the order of the file.

    Args:
      signature: that is asked.
      widths: columns of a file, with how many numbers each holds, None if unknown.
      key: the column of the key.
      x: columns of the event.
      context: columns of the context, or the one of the label of a class.
      seed: of the noise that a signature may take.

    Raises:
      ValueError: if columns are missing, or do not give what the signature takes.

    Examples:
      >>> import numpy as np
      >>> from tfp_flows.scoring.signatures import Spec
      >>> spec = Spec((2,), np.dtype("float32"))
      >>> signature = Signature("log_prob", {"x": spec}, {})
      >>> rows_for(signature, {"id": 1, "a": 1, "b": 1}, key="id").columns
      {'x': ('a', 'b')}
    """
    named = {"x": tuple(x), "context": tuple(context)}
    _check_names([*([key] if key is not None else []), *x, *context], widths)
    _check_inputs(signature, named)
    columns = {}
    for name in _CONDITIONS:
        if name in signature.inputs:
            columns[name] = named["context"] or (name,)
            _check_context(signature, name, columns[name], widths)
    others = {key, *(column for picked in columns.values() for column in picked)}
    rest = tuple(name for name in widths if name not in others)
    columns["x"] = named["x"] or (("x",) if "x" in widths else rest)
    columns = {"x": columns.pop("x"), **columns}
    for name, picked in columns.items():
        _check_width(name, picked, signature.inputs[name].size, widths)
    return Rows(columns, signature.inputs, key, seed)


def _check_names(names, widths):
    for name in names:
        if name not in widths:
            raise ValueError(
                f"There is no column {name!r}; the first file has {_listed(widths)}."
            )


def _check_inputs(signature, named):
    if "x" not in signature.inputs:
        raise ValueError(f"Signature {signature.name!r} takes no x: rows are no input.")
    strange = sorted(set(signature.inputs) - {*_FROM_COLUMNS, "seed"})
    if strange:
        raise ValueError(
            f"Signature {signature.name!r} takes {', '.join(strange)}, which rows of "
            "files do not have."
        )
    if named["context"] and not set(signature.inputs) & set(_CONDITIONS):
        raise ValueError("This model takes no context: leave --context out.")


def _check_context(signature, name, picked, widths):
    if picked[0] not in widths:
        size = signature.inputs[name].size
        raise ValueError(
            f"This model takes a {name} of {size} numbers. Name its columns with "
            f"--context; the first file has {_listed(widths)}."
        )


def _check_width(name, picked, size, widths):
    found = [widths[column] for column in picked]
    if not picked or (None not in found and sum(found) != size):
        flag = "context" if name in _CONDITIONS else name
        raise ValueError(
            f"{name} needs {size} numbers a row, columns {_listed(picked)} hold "
            f"{sum(found)}. Name the right ones: --{flag}=COLUMN,COLUMN."
        )


def _listed(names):
    names = list(names)
    return ", ".join(names[:6]) + (f", ... ({len(names)})" if len(names) > 6 else "")
