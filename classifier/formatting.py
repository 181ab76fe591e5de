"""Numbers, names and values as text for people."""

import math
import reprlib

MAX_AMOUNT_IN_FULL = 1e12  # larger amounts are written as 1.23e+15
MAX_USER_ID_WIDTH = 40  # characters


def format_count(count: int, noun: str) -> str:
    """Return '1 broker', '12 brokers'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_users(n_users: int) -> str:
    """Return '1 user', '12 users'."""
    return format_count(n_users, "user")


def format_percentage(part: float, whole: float) -> str:
    """Return a percentage with one decimal; 0.0% means none, and 100.0% all."""
    if 0 < part < 0.0005 * whole:
        return "<0.1%"
    if 0.9995 * whole <= part < whole:
        return ">99.9%"
    return f"{part / max(whole, 1):.1%}"


def format_duration(seconds: float) -> str:
    """Return '45.0 s', '90.0 min', '24.0 h', '3.0 days'."""
    units = (("days", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    unit, size = next(((unit, size) for unit, size in units if abs(seconds) >= 2 * size), units[-1])
    return f"{seconds / size:.1f} {unit}"


def format_amount(amount: float) -> str:
    """Return an amount with two decimals, very large ones in scientific notation."""
    if math.isnan(amount):
        return "-"
    return f"{amount:,.2f}" if abs(amount) < MAX_AMOUNT_IN_FULL else f"{amount:.3g}"


def printable(text: str) -> str:
    """Return a text with line breaks, control characters and invisible ones escaped: it cannot begin a line."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def format_user_id(user_id: str) -> str:
    """Return a user_id for a column of a table: shortened, and printable."""
    text = printable(user_id)
    return text if len(text) <= MAX_USER_ID_WIDTH else text[: MAX_USER_ID_WIDTH - 1] + "…"


def abbreviated(value: object) -> str:
    """Return the beginning of a value's repr, for a message."""
    return reprlib.repr(value)
