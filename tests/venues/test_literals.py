"""Numbers as they are written, and as JavaScript would write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalanced.venues.literals import exact, js_number, optional, plain, signed


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (100.0, "100"),
        (-4.0, "-4"),
        (0.5, "0.5"),
        (19203.444049780002, "19203.444049780002"),
        (0.00012345, "0.00012345"),
        (0.000001, "0.000001"),
        (0.0000015, "0.0000015"),
        (0.00000099, "9.9e-7"),
        (2.5e-7, "2.5e-7"),
        (1e-8, "1e-8"),
        (-1e-10, "-1e-10"),
        (49780002e12, "49780002000000000000"),
        (1e20, "100000000000000000000"),
        (1.5e21, "1.5e+21"),
    ],
)
def test_a_number_as_javascript_writes_it(value: float, written: str) -> None:
    assert js_number(value) == written


@given(st.floats(min_value=1e-12, max_value=1e24))
def test_what_is_written_is_the_number(value: float) -> None:
    assert float(js_number(value)) == value
    assert float(plain(js_number(value))) == value
    assert "e" not in plain(js_number(value))


def test_signs() -> None:
    assert signed("-2.5e-7") == (-1, "2.5e-7")
    assert signed("3") == (1, "3")
    for amount in ("0", "-0", "1e19"):
        with pytest.raises(ValueError, match="is no amount"):
            signed(amount)


def test_what_may_be_null() -> None:
    assert optional("null") is None
    assert optional("-1.415e-05") == -1.415e-05
    with pytest.raises(ValueError, match="is no number"):
        optional("1e999")


def test_sizes_that_can_be_summed_exactly() -> None:
    assert exact("0.00000001") == Decimal("1e-8")
    assert exact("2.5e-7") == Decimal("2.5e-7")
    assert exact("0") == 0
    for size in ("-1", "nan", "1e19", "1e-61", "1_0", " 1", "\u0661", ""):
        with pytest.raises(ValueError, match="is no size"):
            exact(size)
