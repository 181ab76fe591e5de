"""Numbers, percentages, amounts and user_ids as text."""

from classifier.formatting import format_amount, format_duration, format_percentage, format_user_id, format_users


def test_formats() -> None:
    assert [format_users(1), format_users(1234)] == ["1 user", "1,234 users"]
    assert [format_percentage(*of) for of in ((0, 9), (9, 9), (1, 3), (4, 10_000), (9_996, 10_000), (0, 0))] == [
        *("0.0%", "100.0%", "33.3%", "<0.1%", ">99.9%", "0.0%"),
    ]
    assert [format_duration(seconds) for seconds in (0.1, 119.0, 120.0, 7_200.0, 86_400.0, 172_800.0, -7_200.0)] == [
        *("0.1 s", "119.0 s", "2.0 min", "2.0 h", "24.0 h", "2.0 days", "-2.0 h"),
    ]
    assert [format_amount(amount) for amount in (1234.5, -0.5, 1e15, float("nan"))] == [
        "1,234.50",
        "-0.50",
        "1e+15",
        "-",
    ]
    assert format_user_id("né\n\x1b[2J") == "né\\n\\x1b[2J"
    assert format_user_id("a\r\u2028\u202e\x85\0b") == r"a\r\u2028\u202e\x85\x00b"
    assert format_user_id("x" * 41) == "x" * 39 + "…"
