"""Numbers and names as people read them."""

import math
import reprlib

LARGEST_IN_FULL = 1e12  # larger amounts are shown as 1.23e+15
WIDEST_USER_ID = 40  # characters


def format_count(count: int, noun: str) -> str:
    """Return '1 broker', '12 brokers'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_users(n_users: int) -> str:
    """Return '1 user', '12 users'."""
    return format_count(n_users, "user")


def format_percentage(part: int, whole: int) -> str:
    """Return a percentage; 0.0% and 100.0% mean none and all."""
    if 0 < part < 0.0005 * whole:
        return "<0.1%"
    if 0.9995 * whole <= part < whole:
        return ">99.9%"
    return f"{part / max(whole, 1):.1%}"


def format_amount(amount: float) -> str:
    """Return an amount, to the hundredth where that can be read."""
    if math.isnan(amount):
        return "-"
    return f"{amount:,.2f}" if abs(amount) < LARGEST_IN_FULL else f"{amount:.3g}"


def format_user_id(user_id: str) -> str:
    """Return a user_id that fits into a column; control characters would move the cursor."""
    text = user_id if user_id.isprintable() else repr(user_id)[1:-1]
    return text if len(text) <= WIDEST_USER_ID else text[: WIDEST_USER_ID - 1] + "…"


def abbreviated(value: object) -> str:
    """Return the beginning of a value, for a message."""
    return reprlib.repr(value)
