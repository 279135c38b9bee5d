"""The columns of a table, and tables of any form as arrays of numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfp_flows.tables.column import KINDS, Column


class Columns:
    """The columns of a table, in order: from tables to `[N, D]` numbers and back.

    A table is a pandas DataFrame, a dict of arrays, a NumPy structured array, or a 2-d
    array with the columns in order. What is missing (None, NaN) is NaN among the
    numbers; nothing is filled in.

    Args:
      columns: `Column`s, or what `Column` takes as dicts.

    Raises:
      ValueError: if there are none, or two have one name.

    Examples:
      >>> columns = Columns.of({"age": "integer", "smokes": "boolean"})
      >>> x = columns.encode({"age": [31, None], "smokes": [True, False]})
      >>> print(x)
      [[31.  1.]
       [nan  0.]]
      >>> columns.decode(x)["smokes"]
      array([ True, False])
    """

    def __init__(self, columns: Sequence[Column | Mapping[str, Any]]):
        found = [c if isinstance(c, Column) else Column(**c) for c in columns]
        self._columns = {column.name: column for column in found}
        if not found or len(self._columns) != len(found):
            raise ValueError(
                "A table needs at least one column, and names that differ, got "
                f"{[column.name for column in found]}."
            )

    @classmethod
    def of(cls, columns: Any) -> "Columns":
        """Returns columns from any way of saying what they are.

        Args:
          columns: `Columns`, a sequence as above, or a dict of name -> kind, where a
            kind with numbers is a tuple: `("bounded", low, high)`, `("periodic",
            period)`, `("integer", low, high)`, `("category", values)`.

        Raises:
          ValueError: for a kind that needs more, or what says no columns, such as data.
        """
        if isinstance(columns, cls):
            return columns
        if isinstance(columns, Mapping) and all(map(_is_kind, columns.values())):
            return cls([column_of(name, kind) for name, kind in columns.items()])
        is_list = isinstance(columns, (list, tuple))
        if is_list and all(isinstance(c, (Column, Mapping)) for c in columns):
            return cls(columns)
        raise ValueError(
            "Columns are a dict of name -> kind or come from tfp_flows.tables.infer, "
            f"got {type(columns).__name__}. Take tables.infer(table) if it is data."
        )

    @property
    def names(self) -> list[str]:
        """Of the columns, in order."""
        return list(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def __getitem__(self, name: str) -> Column:
        return self._columns[self._known([name])[0]]

    def __eq__(self, other):
        return isinstance(other, Columns) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def select(self, names: str | Sequence[str]) -> "Columns":
        """Returns some of the columns, in the order of the names."""
        return Columns([self._columns[name] for name in self._known(names)])

    def without(self, names: str | Sequence[str]) -> "Columns":
        """Returns the other columns, in their order.

        Args:
          names: of those to leave out, or one name.

        Raises:
          ValueError: for a name that there is not, or if no column is left.
        """
        left_out = set(self._known(names))
        if len(left_out) == len(self):
            raise ValueError(
                f"Without {list(names)} no column is left of {self.names}. Leave one."
            )
        return Columns([c for c in self if c.name not in left_out])

    def _known(self, names):
        names = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in names if name not in self._columns]
        if unknown:
            raise ValueError(
                f"There is no column {unknown} among {self.names}. Name some of these."
            )
        return names

    def encode(self, table: Any) -> np.ndarray:
        """Returns the numbers of a table, float64 `[N, D]`.

        Args:
          table: with these columns; a DataFrame or dict may have others and any order.

        Raises:
          ValueError: for missing columns, or a value that a column cannot hold, by
            column and row.
        """
        arrays = named_arrays(table, self.names)
        absent = [name for name in self.names if name not in arrays]
        if absent:
            raise ValueError(
                f"The table has no column {absent}, only {list(arrays)}. Give all of "
                f"{self.names}; a value that is not known is None."
            )
        encoded = [column.encode(arrays[column.name]) for column in self]
        lengths = {c.name: len(x) for c, x in zip(self, encoded, strict=True)}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"The columns have different lengths: {lengths}. Give a value for each "
                "row, None where it is not known."
            )
        return np.stack(encoded, axis=1)

    def decode(self, x: Any) -> dict[str, np.ndarray]:
        """Returns the table of numbers, a dict of name -> `[N]`.

        Args:
          x: `[N, D]`, as from `encode` or a model's `sample`.

        Raises:
          ValueError: for another shape.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != len(self):
            raise ValueError(
                f"A table needs numbers of shape [N, {len(self)}], got {x.shape}. "
                "Reshape them."
            )
        return {c.name: c.decode(x[:, i]) for i, c in enumerate(self)}

    def frame(self, x: Any) -> Any:
        """Returns the same as a pandas DataFrame, categories as such.

        Args:
          x: `[N, D]`, as from `encode` or a model's `sample`.
        """
        import pandas as pd  # an extra

        values = self.decode(x)
        for column in self:
            if column.kind == "category":
                kind = pd.CategoricalDtype(list(column.values or ()))
                values[column.name] = pd.Series(values[column.name]).astype(kind)
            elif column.kind == "integer":
                values[column.name] = pd.Series(values[column.name]).astype("Int64")
            elif column.kind == "boolean":
                values[column.name] = pd.Series(values[column.name]).astype("boolean")
        return pd.DataFrame(values)

    def as_list(self) -> list[dict[str, Any]]:
        """Returns what JSON can hold; `Columns(columns.as_list())` is the same."""
        return [column.as_dict() for column in self]

    def summary(self) -> str:
        """Returns a line for each column: what it was taken for, and why."""
        width = max(len(str(name)) for name in self.names)
        return "\n".join(
            f"{c.name!s:{width}}  {c.kind:8}  {c.wanted} ({c.why})" for c in self
        )

    def __repr__(self):
        return self.summary()


def column_of(name: str, kind: Any, why: str = "given") -> Column:
    """Returns a column of a kind as `Columns.of` takes it.

    Raises:
      ValueError: for an unknown kind, or one with more or less than it takes.
    """
    if not _is_kind(kind) and not isinstance(kind, str):
        raise ValueError(
            f"Column {name!r} has the kind {kind!r}. Choose from {', '.join(KINDS)}, "
            'or give a tuple that begins with one, such as ("periodic", 24).'
        )
    kind, *rest = (kind,) if isinstance(kind, str) else kind
    options = KINDS.get(kind, ((),))[0]
    if len(rest) > len(options):
        raise ValueError(
            f"Column {name!r} is {kind} and takes {', '.join(options) or 'nothing'}, "
            f"got {rest}. Give no more; values are one list."
        )
    return Column(name, kind, **dict(zip(options, rest, strict=False)), why=why)


def named_arrays(table: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns the columns of a table by name.

    Args:
      table: a DataFrame, a dict, a structured array, or a 2-d array.
      names: of the columns of a 2-d array; x0, x1, ... if None.

    Raises:
      ValueError: for anything else, a 2-d array with another number of columns, or a
        DataFrame with several columns of one name.
    """
    if isinstance(table, Mapping):
        return dict(table)
    if hasattr(table, "columns") and hasattr(table, "iloc"):
        found = list(table.columns)
        twice = {n for n in found if found.count(n) > 1}
        twice &= set(found if names is None else names)
        if twice:
            raise ValueError(
                f"The table has several columns of the name {sorted(twice, key=str)}. "
                "Drop all but one of each, or give them other names."
            )
        return {name: table[name] for name in found}
    is_masked = isinstance(table, np.ma.MaskedArray)
    array = table if is_masked else np.asarray(table)
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2 or (names is not None and array.shape[1] != len(names)):
        wanted = "D" if names is None else len(names)
        raise ValueError(
            "A table is a DataFrame, a dict of arrays, a structured array or an array "
            f"of shape [N, {wanted}], got {type(table).__name__} of shape "
            f"{array.shape}. Give one of these."
        )
    names = [f"x{i}" for i in range(array.shape[1])] if names is None else names
    return {name: array[:, i] for i, name in enumerate(names)}


def _is_kind(kind):
    if isinstance(kind, (list, tuple)) and kind:
        return isinstance(kind[0], str) and kind[0] in KINDS
    return isinstance(kind, str)
