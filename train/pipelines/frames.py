"""Tables with a header: columns of any kinds, missing values, .csv and .parquet.

Text is UTF-8; what separates the columns, one of `,` `;` and tabulators, is what the
header has most of. Spaces around names and before values are left out.
"""

import pathlib
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd

from tfp_flows import tables
from train.pipelines.sources import Arrays
from train.pipelines.tables import existing, three_parts


def load(config: Any) -> tuple:
    """Reads a `.csv` or `.parquet` file and finds out what each column holds.

    Args:
      config: `path`; `kinds`, such as "sex: category, hour: periodic 24", for columns
        of which you know better than `tables.infer`; `condition_on`, names of columns
        that the others are given; `num_valid`, `num_test`, `seed`.

    Returns:
      (sources of train, valid and test), and `columns`, those of the context first.

    Raises:
      ValueError: for a file that is no table, a column that is not there or never
        varies, or too few rows.
    """
    path = existing(config)
    frame = _read(path)
    if not len(frame) or not len(frame.columns):
        raise ValueError(f"{path} holds no rows. Give a file with a header and rows.")
    columns = tables.infer(frame, kinds_of(config.kinds))
    given = list(config.condition_on)
    columns = tables.Columns(
        [*map(columns.__getitem__, given), *columns.without(given)]
    )
    x = columns.encode(frame).astype(np.float32)
    constant = [c.name for c, v in zip(columns, x.T, strict=True) if _is_constant(v)]
    if constant:
        raise ValueError(
            f"{path} has the same value, as float32, in all rows of {constant}. Drop "
            "these columns: they say nothing, and numbers have no density. Or subtract "
            "what is large and the same in all rows, as of times."
        )
    cut = len(given)
    source = Arrays(x[:, cut:], x[:, :cut] if given else None)
    order = np.random.default_rng(config.seed).permutation(len(x))
    return three_parts(source, order, config), {"columns": columns}


def kinds_of(text: str) -> dict[str, Any]:
    """Returns name -> kind of a text such as "sex: category, hour: periodic 24".

    Raises:
      ValueError: for what is not `name: kind` with numbers after it.
    """
    kinds = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, words = part.rpartition(":")
        kind, *numbers = words.split() or [""]
        try:
            found = tuple(map(float, numbers))
        except ValueError:
            found = None
        if not name or kind not in tables.KINDS or found is None:
            raise ValueError(
                f"config.data.kinds has {part!r}, wanted name: kind, and the numbers "
                f"of that kind. Choose from {', '.join(tables.KINDS)}."
            )
        kinds[name.strip()] = (kind, *found) if found else kind
    return kinds


def _read(path):
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path} is no .csv or .parquet file. Give one of these.")
    try:
        frame = _read_text(path) if suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, Warning) as error:  # pandas', Arrow's are ValueErrors
        raise ValueError(
            f"{path} is no readable table: {str(error).strip(' .')}. Wanted is text in "
            "UTF-8 with a header and as many values in each line, or parquet."
        ) from None
    return frame.rename(columns=lambda name: str(name).strip())


def _read_text(path):
    with open(path, encoding="utf-8-sig") as file:
        header = re.sub('"[^"]*"', "", file.readline())
    separator = max(",;\t", key=header.count)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of lines too long
        return pd.read_csv(
            path,
            sep=separator,
            index_col=False,
            skipinitialspace=True,
            low_memory=False,
        )


def _is_constant(x):
    there = x[~np.isnan(x)]
    return bool((there == there[0]).all())
