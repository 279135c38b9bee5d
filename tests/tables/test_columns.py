"""Tables of any form to numbers and back, and what is refused, by column and row."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

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


def test_forms_of_missing_values_and_of_columns():
    masked = np.ma.masked_array([1.5, 2.0, 3.0], [0, 1, 0])
    columns = tables.infer({"x": masked, "when": [0.5, 1.5, 2.5]}, {"when": "real"})
    x = columns.encode({"x": masked, "when": [np.datetime64("NaT"), pd.NA, None]})
    np.testing.assert_array_equal(x, [[1.5, np.nan], [np.nan] * 2, [3.0, np.nan]])
    whole = np.ma.masked_array([[1.5, 2.5], [3.5, 4.5]], [[1, 0], [0, 0]])
    np.testing.assert_array_equal(
        tables.infer(whole).encode(whole), [[np.nan, 2.5], [3.5, 4.5]]
    )
    few = Columns.of({"k": ("category", [0, 1]), "b": "boolean"})
    ones = tf.ones([2], tf.int32)
    np.testing.assert_array_equal(few.encode({"k": ones, "b": ones}), np.ones((2, 2)))


def test_text_of_numbers_and_large_whole_numbers_are_told_of():
    table = {"comma": ["1,5", "2,5"], "mark": ["1", "2", "?"], "n": [2**24 + 1, 0]}
    why = {c.name: (c.kind, c.why) for c in tables.infer(table)}
    assert (
        why["comma"] == why["mark"] == ("category", "text, of which most are numbers")
    )
    assert why["n"] == ("real", "whole, and beyond 2**24: too large for integers")
    assert tables.infer({"x": ["a", "1"]})["x"].why == "text"


def test_a_periodic_value_just_below_0_is_in_the_period():
    x = Columns.of({"x": ("periodic", 24)}).encode({"x": [-1e-20, 24.0, -1.0]})
    assert x.tolist() == [[0.0], [0.0], [23.0]]


def test_other_columns_of_a_frame_may_share_a_name():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
    assert Columns.of({"b": "integer"}).encode(frame).tolist() == [[3.0]]
    with pytest.raises(ValueError, match="several columns of the name .'a'"):
        tables.infer(frame)


def test_columns_may_have_numbers_for_names():
    columns = Columns(
        json.loads(json.dumps(tables.infer(pd.DataFrame(np.eye(2))).as_list()))
    )
    assert columns[0].name == 0 and columns.without([0]).names == [1]


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
        ("age", 2**25 + 1, r"none of them beyond 2\*\*24, and row 2 holds 33554433"),
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
        (lambda c: c.encode({**TABLE, "age": 31}), "is 31, wanted a list or array"),
        (lambda c: c.encode({**TABLE, "city": "Rome"}), r"Give \['Rome'\] for a"),
        (lambda c: c["age"].encode(np.zeros((3, 1))), "one value a row"),
        (lambda c: c["city"].decode([2.0]), "'Oslo', 'Rome', and row 0 holds 2"),
        (lambda c: c["city"].decode([-1.0]), "row 0 holds -1"),
        (lambda c: c["smokes"].decode([7.0]), "row 0 holds 7"),
        (lambda c: c["age"].decode([np.inf]), "row 0 holds inf"),
        (lambda c: c.without(c.names), "no column is left"),
        (lambda c: tables.infer(TABLE, {"age": None}), "has the kind None. Choose"),
        (lambda c: tables.infer(TABLE, {"city": "bounded"}), "row 0 holds 'Rome'"),
        (lambda c: tables.infer({"x": [1.0, 1.0]}, {"x": "bounded"}), "holds 1 alone"),
        (lambda c: Column("x", "periodic", period="24"), "period='24'"),
        (lambda c: Column("x", "integer", low=2**25), r"up to 2\*\*24 for integers"),
        (lambda c: Column(("a", "b"), "real"), "join the levels"),
        (lambda c: Column("x", "category", values="abc"), "'abc'. Give a list"),
        (lambda c: Column("x", "category", values=["a", None]), "values None, and th"),
        (lambda c: Column("x", "category", values=[[1], [2]]), "text, finite numbers"),
        (lambda c: Column("x", "category", values=[b"a"]), "v.decode"),
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


def test_whole_numbers_beyond_64_bits_are_real():
    table = {"id": [2**70 + 2**60 * i for i in range(5)]}
    columns = tables.infer(table)
    assert columns["id"].kind == "real"
    np.testing.assert_array_equal(
        columns.encode(table)[:, 0], np.array(table["id"], float)
    )
