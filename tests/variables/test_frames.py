"""What the columns of a table tell of their variables."""

import decimal

import numpy as np
import pandas as pd
import pytest

from sklearn_proxyopt.variables import Categorical, Integer, Ordinal, Real
from sklearn_proxyopt.variables._frames import is_frame, kinds_of_frame, rows_of_frame


def kind_of(column):
    return kinds_of_frame(pd.DataFrame({"a": column})).domains[0]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([0.5, 2.0], Real(0.5, 2.0)),
        ([1, 5, 3], Integer(1, 5)),
        (pd.array([1, 5], dtype="Int64"), Integer(1, 5)),
        (pd.array([1, None, 5], dtype="Int64"), Integer(1, 5)),
        (pd.array([0.5, None, 2.0], dtype="Float64"), Real(0.5, 2.0)),
        (["b", "a", "b"], Categorical(("a", "b"))),
        (pd.array(["b", None, "a"], dtype="string"), Categorical(("a", "b"))),
        ([True, True], Categorical((False, True))),
        (pd.array([True, None], dtype="boolean"), Categorical((False, True))),
        (pd.Categorical(["b"], ["b", "a"]), Categorical(("b", "a"))),
        (pd.Categorical(["M"], ["S", "M", "L"], ordered=True), Ordinal(("S", "M", "L"))),
        (pd.Categorical([2], [4, 2]), Categorical((4, 2))),
        (np.array([1.5, decimal.Decimal("2.5")], dtype=object), Real(1.5, 2.5)),
        ([7, 7], Integer(7, 7)),
    ],
    ids=repr,
)
def test_a_column_tells_what_its_variable_is(column, kind):
    assert kind_of(column) == kind


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["a", 3], "X must hold either numbers or labels in 'a'; got 3 too"),
        (pd.to_datetime(["2026-01-01"]), "X must hold numbers in 'a'; got Timestamp"),
        ([{}, {}], "X must hold numbers in 'a'; got {}"),
    ],
)
def test_a_column_of_other_things_is_named(column, message):
    with pytest.raises(ValueError, match=message):
        kind_of(column)


def test_labels_become_codes_and_what_is_missing_is_no_number():
    frame = pd.DataFrame({"a": ["x", "y"], "b": pd.array([1, None], dtype="Int64")})
    np.testing.assert_array_equal(
        rows_of_frame(frame, kinds_of_frame(frame)), [[0.0, 1.0], [1.0, np.nan]]
    )


def test_a_missing_label_is_named():
    kinds = kinds_of_frame(pd.DataFrame({"a": ["x", "y"]}))
    with pytest.raises(ValueError, match=r"X must hold labels of 'a', \['x', 'y'\]; got nan"):
        rows_of_frame(pd.DataFrame({"a": ["x", np.nan]}), kinds)


def test_text_where_numbers_belong_is_named():
    kinds = kinds_of_frame(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="X must hold numbers in 'a'; got 'THF'"):
        rows_of_frame(pd.DataFrame({"a": ["THF", "MeCN"]}), kinds)


def test_columns_without_names_have_kinds_too():
    kinds = kinds_of_frame(pd.DataFrame({0: [1, 2], 1: ["x", "y"]}))
    assert kinds.names is None
    assert kinds.domains == (Integer(1, 2), Categorical(("x", "y")))


@pytest.mark.parametrize("rows", [[[1.0]], np.ones((2, 2)), pd.Series([1.0])])
def test_what_has_no_columns_is_no_table(rows):
    assert not is_frame(rows)


def test_a_table_of_polars_tells_what_its_variables_are():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "whole": [1, 5, None],
            "number": [0.5, 2.0, None],
            "text": ["b", "a", "b"],
            "flag": [True, False, True],
            "category": pl.Series(["y", "x", "y"], dtype=pl.Categorical),
            "listed": pl.Series(["y", "x", "y"], dtype=pl.Enum(["y", "x"])),
        }
    )
    kinds = kinds_of_frame(frame)
    assert kinds.names == tuple(frame.columns)
    assert kinds.domains == (
        Integer(1, 5),
        Real(0.5, 2.0),
        Categorical(("a", "b")),
        Categorical((False, True)),
        Categorical(("x", "y")),
        Categorical(("y", "x")),
    )
    np.testing.assert_array_equal(
        rows_of_frame(frame, kinds)[:2], [[1, 0.5, 1, 1, 1, 0], [5, 2.0, 0, 0, 0, 1]]
    )
