"""Tables of any form to numbers and back, and what is refused, by column and row."""

import json

import numpy as np
import pandas as pd
import pytest

from tfp_flows import flows, tables
from tfp_flows.tables import Column, Columns

TABLE = {
    "age": [31, None, 58],
    "city": ["Rome", "Oslo", None],
    "smokes": [True, False, None],
    "income": [1000.5, 5e4, 2e3],
    "temp": [36.5, np.nan, -1.25],
    "hour": [-1.0, 25.0, 23.5],
    "share": [0.25, 0.5, 0.75],
    "code": [7, 8, 7],
}
KINDS = {
    "hour": ("periodic", 24),
    "share": ("bounded", 0, 1),
    "code": "category",
}


@pytest.fixture(scope="module")
def columns():
    return tables.infer(TABLE, KINDS)


def test_kinds_are_inferred_and_said(columns):
    kinds = [c.kind for c in columns]
    assert kinds == [
        *("integer", "category", "boolean", "positive", "real"),
        *("periodic", "bounded", "category"),
    ]
    lines = columns.summary().splitlines()
    assert lines == repr(columns).splitlines() and len(lines) == len(columns)
    assert "whole numbers from 0" in lines[0] and "'Oslo', 'Rome' (text)" in lines[1]
    assert columns["code"].values == (7, 8)


def test_numbers_and_back(columns):
    x = columns.encode(TABLE)
    np.testing.assert_array_equal(np.isnan(x[:, :3]), [[0, 0, 0], [1, 0, 0], [0, 1, 1]])
    np.testing.assert_array_equal(x[:, 5], [23.0, 1.0, 23.5])
    back = columns.decode(x)
    assert back["city"].tolist() == ["Rome", "Oslo", None]
    assert back["smokes"].tolist() == [True, False, None]
    assert back["code"].dtype == object and back["code"].tolist() == [7, 8, 7]
    np.testing.assert_array_equal(back["age"], [31, np.nan, 58])
    assert columns.decode(x[[0, 2]])["age"].dtype == np.int64
    np.testing.assert_array_equal(columns.encode(back), x)


@pytest.mark.parametrize("extension", [False, True])
def test_data_frames_are_tables(columns, extension):
    frame = pd.DataFrame(TABLE)
    if extension:
        frame = frame.convert_dtypes()
    found = tables.infer(frame, KINDS)
    assert [c.kind for c in found] == [c.kind for c in columns]
    x = columns.encode(TABLE)
    np.testing.assert_array_equal(found.encode(frame), x)
    again = columns.frame(x)
    assert str(again["city"].dtype) == "category" and str(again["age"].dtype) == "Int64"
    np.testing.assert_array_equal(columns.encode(again), x)
    assert tables.infer(again, KINDS)["city"].values == columns["city"].values


def test_arrays_are_tables():
    rows = np.array([(1, 0.5), (3, -1.0)], [("n", int), ("x", float)])
    columns = tables.infer(rows)
    assert [(c.name, c.kind) for c in columns] == [("n", "integer"), ("x", "real")]
    np.testing.assert_array_equal(columns.encode(rows), [[1, 0.5], [3, -1]])
    plain = tables.infer(np.array([[0.0, 1.5], [1.0, 2.5]]))
    assert [(c.name, c.kind) for c in plain] == [("x0", "boolean"), ("x1", "real")]
    np.testing.assert_array_equal(plain.encode([[1, 2.5]]), [[1, 2.5]])


def test_json_holds_all_of_it(columns):
    again = Columns(json.loads(json.dumps(columns.as_list())))
    assert again == columns
    assert columns.select(["code", "age"]).names == ["code", "age"]
    assert columns.without(["code", "age"]).names == columns.names[1:-1]


def test_bounds_of_the_data_are_widened():
    found = tables.infer({"x": [1.0, 2.5, 4.0]}, {"x": "bounded"})["x"]
    assert (found.low, found.high) == (0.0, 5.0)


def with_value(name, value):
    return {**TABLE, name: [*TABLE[name][:2], value]}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("city", "Bern", "Column 'city', row 2: 'Bern' is none of its values 'Oslo'"),
        ("code", 9, "Column 'code', row 2: 9 is none of its values 7, 8"),
        ("smokes", "yes", "row 2: 'yes' is none of its values True and False"),
        ("age", "old", "Column 'age' is integer, and row 2 holds 'old'"),
        ("age", 1.5, "Column 'age' takes whole numbers from 0, and row 2 holds 1.5"),
        ("age", -3, "row 2 holds -3"),
        ("share", 1.0, "between 0 and 1, ends left out, and row 2 holds 1"),
        ("income", 0.0, "takes numbers above 0, and row 2 holds 0"),
        ("temp", np.inf, "Column 'temp' takes any numbers, and row 2 holds inf"),
        ("hour", -np.inf, "with the period 24, and row 2 holds -inf"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_column_and_row(
    columns, name, value, message
):
    with pytest.raises(ValueError, match=message):
        columns.encode(with_value(name, value))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.encode({"age": [1]}), "has no column .*'city'.*only .'age'"),
        (lambda c: c.encode(np.zeros((3, 2))), r"array of shape \[N, 8\]"),
        (lambda c: c.encode({**TABLE, "age": [1]}), "different lengths"),
        (lambda c: c.decode(np.zeros((3, 2))), r"\[N, 8\], got \(3, 2\)"),
        (lambda c: c.select(["agee"]), "no column .'agee'. among"),
        (lambda c: c.without("agee"), "no column .'agee'. among"),
        (lambda c: tables.infer(TABLE, {"agee": "real"}), "names the columns .'agee'"),
        (lambda c: tables.infer({"x": [None, np.nan]}), "'x' has no value in any row"),
        (lambda c: tables.infer({"x": [1, "a"]}), "'x' holds int, str, which is neit"),
        (
            lambda c: tables.infer(pd.DataFrame({"x": pd.to_datetime(["2020-01-01"])})),
            "dates into days",
        ),
        (
            lambda c: tables.infer({"x": np.array(["2020-01-01"], "datetime64[ns]")}),
            "'x' holds dates or times",
        ),
        (lambda c: tables.infer({"x": np.zeros((3, 2))}), "wanted one value a row"),
        (lambda c: Column("x", "ordinal"), "unknown kind 'ordinal'. Choose from real"),
        (lambda c: Column("x", "bounded", low=0), "is bounded and needs high"),
        (lambda c: Column("x", "real", period=2), "is real and cannot use period"),
        (lambda c: Column("x", "bounded", low=1, high=0), "low below high"),
        (lambda c: Column("x", "category", values=("a", "a")), "1 of them different"),
        (lambda c: Columns.of({"x": ("periodic", 1, 2)}), "takes period, got"),
        (lambda c: Columns([]), "at least one column"),
        (lambda c: flows.tabular(pd.DataFrame(TABLE)), "Take tables.infer"),
        (lambda c: flows.tabular(TABLE), "Take tables.infer"),
        (lambda c: flows.tabular(c, condition_on=["sex"]), "no column .'sex'"),
        (lambda c: flows.tabular(c, num_orders=0), "num_orders >= 1"),
        (lambda c: flows.tabular(c, num_components=0), "num_components >= 1"),
    ],
)
def test_tables_and_columns_that_do_not_fit_are_refused(columns, call, message):
    with pytest.raises(ValueError, match=message):
        call(columns)
