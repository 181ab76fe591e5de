"""Purchases in a file: the layouts that can be read, and the message for each file that cannot."""

import gzip
from pathlib import Path

import pytest

from local.own_data.lines import MAX_LINE_BYTES, FileError
from local.own_data.purchases import WHITESPACE, Purchase, Purchases, ReadOptions
from tests.support import cdnow

ANN = Purchase("ann", 10.0)
BOB = Purchase("bob", 5.5)
CHOOSE_AMOUNT = "Choose the one of the amount by name, or by number from 1: --amount NAME, or AMOUNT=NAME with make"
CHOOSE_USER = "Choose the one of the user by name, or by number from 1: --user NAME, or USER=NAME with make"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to the folder of the files, so that their names in messages have no folder."""
    monkeypatch.chdir(tmp_path)


def file(content: str | bytes, name: str = "purchases.csv") -> Path:
    """Write a file."""
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(content: str | bytes, **options: str) -> list[Purchase]:
    """Return the purchases in a file."""
    return list(Purchases(file(content), ReadOptions(**options)))


def rejection(content: str | bytes, **options: str) -> str:
    """Return the message for a file that is rejected."""
    with pytest.raises(FileError) as caught:
        read(content, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("user_id,amount\nann,10\nbob,5.5\n", {}),
        ("customer,date,price\r\nann,2024-01-01,10\r\nbob,2024-01-02,5.5", {}),
        ("date;Customer ID;Price\n1;ann;10\n2;bob;5.5\n", {}),
        ("user\tamount\nann\t10\nbob\t5.5\n", {}),
        ("amount|user\n10|ann\n5.5|bob\n", {}),
        ("user amount\n ann   10 \n\tbob\t5.5\n", {}),
        ("\ufeffuser,amount\nann,10\nbob,5.5\n", {}),
        ('"user","amount"\n"ann","10"\n"bob"," 5.5 "\n', {}),
        ("user,amount\n\nann,10\n   \nbob,5.5\n\n", {}),
        ("who,paid\nann,10\nbob,5.5\n", {"user": "who", "amount": "paid"}),
        ("who,paid\nann,10\nbob,5.5\n", {"user": "1", "amount": "2"}),
        ("ann,x,10\nbob,y,5.5\n", {"user": "1", "amount": "3"}),
        ("ann 10\nbob 5.5\n", {"user": "1", "amount": "2"}),
        ("user#amount\nann#10\nbob#5.5\n", {"delimiter": "#"}),
        ("user, a  amount\nann  x 10\n", {"delimiter": WHITESPACE, "user": "1", "amount": "3"}),
        ("user;amount\nann;10,0\nbob;5,5\n", {"decimal": ","}),
        ("user,amount,price\nann,10,1\nbob,5.5,1\n", {}),
        ("user,amount\nann,+1e1\nbob,.55e1\n", {}),
    ],
)
def test_layouts_that_are_read(content: str, options: dict[str, str]) -> None:
    assert read(content, **options) == [ANN, BOB][: content.count("ann") + content.count("bob")]


def test_a_quoted_field_keeps_its_text() -> None:
    assert read('user,amount\n"Smith, ""Ann""\nLondon",-3\n') == [Purchase('Smith, "Ann"\nLondon', -3.0)]


def test_gzip_is_detected_by_its_first_bytes() -> None:
    assert read(gzip.compress(b"user,amount\nann,10\nbob,5.5\n")) == [ANN, BOB]


def test_real_customers() -> None:
    purchases = Purchases(cdnow.cdnow_file(), ReadOptions(user=str(cdnow.USER_NUMBER), amount=str(cdnow.AMOUNT_NUMBER)))
    assert purchases.count() == cdnow.N_PURCHASES
    assert next(iter(purchases)) == Purchase("00001", 11.77)
    expected = f"the user is column {cdnow.USER}, the amount column {cdnow.AMOUNT}; line 1 is its header"
    assert str(purchases.layout) == expected


def test_a_layout_by_column_numbers() -> None:
    purchases = Purchases(file("ann,x,10\n"), ReadOptions(user="1", amount="3"))
    assert str(purchases.layout) == "the user is column 1, the amount column 3; no header"


def test_progress_in_bytes_of_the_file() -> None:
    path = file("user,amount\n" + "ann,10\n" * 25_000)
    calls: list[int] = []
    assert Purchases(path, ReadOptions()).count(calls.append) == 25_000
    assert len(calls) == 2
    assert 0 < sum(calls) <= path.stat().st_size


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (
            "user,amount\nann,10\n\nbob,abc\n",
            {},
            "purchases.csv line 4, column amount: 'abc' is not a number; expected e.g. 12.50",
        ),
        (
            "ann,1\nbob,x\n",
            {"user": "1", "amount": "2"},
            "purchases.csv line 2, column 2: 'x' is not a number; expected e.g. 12.50",
        ),
        (
            "user;amount\nann;12,50\n",
            {},
            "purchases.csv line 2, column amount: '12,50' is not a number; expected e.g. 12.50; "
            "for decimal commas: --decimal , or DECIMAL=, with make",
        ),
        (
            "user;amount\nann;1.250,00\n",
            {"decimal": ","},
            "purchases.csv line 2, column amount: '1.250,00' is not a number; expected e.g. 12,50",
        ),
        *(
            (
                f"user,amount\nann,{text}\n",
                {},
                f"purchases.csv line 2, column amount: '{text}' is not a number; expected e.g. 12.50",
            )
            for text in ("", "nan", "inf", "-Infinity", "1e999", "1_000", "$5", "1 000", "0x10", "١٢")
        ),
        (
            f"user,amount\nann,{'9' * 39}x{'9' * 39}\n",
            {},
            f"purchases.csv line 2, column amount: '{'9' * 39}x…' is not a number; expected e.g. 12.50",
        ),
        ("user,amount\nann,1\n  ,2\n", {}, "purchases.csv line 3, column user: empty; each purchase needs a user"),
        (
            "user,amount\nann\n",
            {},
            "purchases.csv line 2: 1 field; expected 2 as in the first line, separated by ','",
        ),
        (
            "user amount\nann smith 3\n",
            {},
            "purchases.csv line 2: 3 fields; expected 2 as in the first line, separated by whitespace",
        ),
        (
            'user,amount\n"ann\nsmith",1\n"bob,2\n',
            {},
            "purchases.csv line 4: unexpected end of data; expected fields separated by ','",
        ),
        (
            'user,amount\n"ann"x,1\n',
            {},
            "purchases.csv line 2: ',' expected after '\"'; expected fields separated by ','",
        ),
        ("", {}, "purchases.csv is empty; expected one purchase per line"),
        ("\n \n", {}, "purchases.csv is empty; expected one purchase per line"),
        (
            "who,price\nann,1\n",
            {},
            f"purchases.csv: no column has a known name for the user; the columns are 'who', 'price'. {CHOOSE_USER}",
        ),
        (
            "user,price,total\nann,1,2\n",
            {},
            "purchases.csv: price and total may each be the amount; "
            f"the columns are 'user', 'price', 'total'. {CHOOSE_AMOUNT}",
        ),
        (
            "user,price\nann,1\n",
            {"user": "customer"},
            f"purchases.csv: there is no column customer; the columns are 'user', 'price'. {CHOOSE_USER}",
        ),
        (
            "user,amount,amount\nann,1,2\n",
            {},
            f"purchases.csv: 2 columns are named amount; the columns are 'user', 'amount', 'amount'. {CHOOSE_AMOUNT}",
        ),
        (
            "user,amount\nann,1\n",
            {"user": "3", "amount": "2"},
            "purchases.csv has 2 columns; there is no column 3 for the user",
        ),
        (
            "user,amount\nann,1\n",
            {"user": "2"},
            "purchases.csv: the user and the amount are both column amount; name two different columns",
        ),
        (
            b"user,amount\nann,1\nM\xfcller,2\n",
            {},
            "purchases.csv line 3: not UTF-8 (byte 0xfc); save it as UTF-8, e.g. with iconv -f latin1 -t utf8",
        ),
        (
            "user,amount\n" + "a" * (MAX_LINE_BYTES + 1),
            {},
            f"purchases.csv line 2 is longer than {MAX_LINE_BYTES:,} bytes; expected a purchase on each line",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_rejected(content: str | bytes, options: dict[str, str], expected: str) -> None:
    assert rejection(content, **options) == expected


def test_a_truncated_file() -> None:
    whole = gzip.compress(b"user,amount\n" + b"ann,10\n" * 1000 + b"bob,5.5\n")
    expected = "purchases.csv is truncated or damaged: its gzip data end after line {}; copy or download it again"
    assert rejection(whole[:-4]) == expected.format(1002)
    assert rejection(whole[:14]) == expected.format(0)
    assert rejection(whole[:-8] + b"\0" * 8) == expected.format(1002)


def test_a_header_without_purchases() -> None:
    with pytest.raises(FileError, match=r"^purchases\.csv has a header but no purchases$"):
        Purchases(file("user,amount\n\n"), ReadOptions()).count()


def test_a_missing_file() -> None:
    with pytest.raises(FileError, match=r"^purchases\.csv: no such file$"):
        Purchases(Path("purchases.csv"), ReadOptions())
    Path("folder").mkdir()
    problem = "is not a regular file; it is read twice, so save the data to a file first"
    with pytest.raises(FileError, match=f"^folder {problem}$"):
        Purchases(Path("folder"), ReadOptions())
    loop = Path("loop")
    loop.symlink_to(loop)
    with pytest.raises(FileError, match=r"^loop cannot be read: Too many levels of symbolic links$"):
        Purchases(loop, ReadOptions())


def test_a_file_is_read_as_purchases_are_consumed(tmp_path: Path) -> None:
    """So that it is never in memory as a whole."""
    path = file("user,amount\n" + "ann,10\n" * 500_000)
    calls: list[int] = []
    purchases = Purchases(path, ReadOptions()).read(calls.append)
    for _ in range(30_001):
        next(purchases)
    assert sum(calls) < path.stat().st_size / 4
