"""The CDNOW customers as a table of totals, also as it was after their first purchases."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.support.cdnow import cdnow_file


class Customers(NamedTuple):
    """Customers with at least one purchase, in the order of their numbers."""

    numbers: NDArray[np.int64]
    totals: NDArray[np.float64]  # shape (n_customers, 2): dollars to the cent, purchases


@cache
def purchases() -> NDArray[np.int64]:
    """Customer and cents of each purchase, shape (n_purchases, 2), in order of date."""
    numbers, dates, dollars = np.loadtxt(cdnow_file(), skiprows=1, usecols=(0, 1, 3)).T
    in_order = np.argsort(dates, kind="stable")
    return np.column_stack((numbers, np.rint(100 * dollars)))[in_order].astype(np.int64)


def customers(n_purchases: int | None = None) -> Customers:
    """The table after the first purchases, or after all."""
    numbers, cents = purchases()[:n_purchases].T
    known, at = np.unique(numbers, return_inverse=True)
    return Customers(known, np.column_stack((np.bincount(at, cents) / 100, np.bincount(at))))
