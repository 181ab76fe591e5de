"""Purchases in a file: what can be read, and what is said of each file that cannot, in full."""

import gzip
from pathlib import Path

import pytest

from local.own_data.lines import MOST_BYTES, FileError
from local.own_data.purchases import WHITESPACE, Purchase, Purchases, ReadOptions
from tests.support import cdnow

ANN, BOB = Purchase("ann", 10.0), Purchase("bob", 5.5)
CHOOSE_AMOUNT = "Say which one it is, by name or by place from 1: --amount NAME, or AMOUNT=NAME with make"
CHOOSE_USER = "Say which one it is, by name or by place from 1: --user NAME, or USER=NAME with make"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named as their user names them, without a folder."""
    monkeypatch.chdir(tmp_path)


def file(content: str | bytes, name: str = "purchases.csv") -> Path:
    """A file with this content."""
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(content: str | bytes, **wanted: str) -> list[Purchase]:
    """The purchases in a file."""
    return list(Purchases(file(content), ReadOptions(**wanted)))


def refusal(content: str | bytes, **wanted: str) -> str:
    """What is said of a file, before anything is given of it or at the line that is wrong."""
    with pytest.raises(FileError) as caught:
        read(content, **wanted)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "wanted"),
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
def test_forms_that_are_read(content: str, wanted: dict[str, str]) -> None:
    assert read(content, **wanted) == [ANN, BOB][: content.count("ann") + content.count("bob")]


def test_a_quoted_field_keeps_what_is_in_it() -> None:
    assert read('user,amount\n"Smith, ""Ann""\nLondon",-3\n') == [Purchase('Smith, "Ann"\nLondon', -3.0)]


def test_gzip_is_known_by_its_beginning() -> None:
    assert read(gzip.compress(b"user,amount\nann,10\nbob,5.5\n")) == [ANN, BOB]


def test_real_customers() -> None:
    purchases = Purchases(cdnow.cdnow_file(), ReadOptions(user=str(cdnow.USER_NUMBER), amount=str(cdnow.AMOUNT_NUMBER)))
    assert purchases.count() == cdnow.N_PURCHASES
    assert next(iter(purchases)) == Purchase("00001", 11.77)
    told = f"the user is column {cdnow.USER}, the amount column {cdnow.AMOUNT}; line 1 is its header"
    assert str(purchases.layout) == told


def test_what_was_taken_for_what_is_told() -> None:
    purchases = Purchases(file("ann,x,10\n"), ReadOptions(user="1", amount="3"))
    assert str(purchases.layout) == "the user is column 1, the amount column 3; no header"


def test_progress_is_told_in_bytes_of_the_file() -> None:
    path = file("user,amount\n" + "ann,10\n" * 25_000)
    told: list[int] = []
    assert Purchases(path, ReadOptions()).count(told.append) == 25_000
    assert len(told) == 2
    assert 0 < sum(told) <= path.stat().st_size


@pytest.mark.parametrize(
    ("content", "wanted", "told"),
    [
        (
            "user,amount\nann,10\n\nbob,abc\n",
            {},
            "purchases.csv line 4, column amount: 'abc' is no number; expected e.g. 12.50",
        ),
        (
            "ann,1\nbob,x\n",
            {"user": "1", "amount": "2"},
            "purchases.csv line 2, column 2: 'x' is no number; expected e.g. 12.50",
        ),
        (
            "user;amount\nann;12,50\n",
            {},
            "purchases.csv line 2, column amount: '12,50' is no number; expected e.g. 12.50; "
            "for decimal commas: --decimal , or DECIMAL=, with make",
        ),
        (
            "user;amount\nann;1.250,00\n",
            {"decimal": ","},
            "purchases.csv line 2, column amount: '1.250,00' is no number; expected e.g. 12,50",
        ),
        *(
            (
                f"user,amount\nann,{text}\n",
                {},
                f"purchases.csv line 2, column amount: '{text}' is no number; expected e.g. 12.50",
            )
            for text in ("", "nan", "inf", "-Infinity", "1e999", "1_000", "$5", "1 000", "0x10", "١٢")
        ),
        (
            f"user,amount\nann,{'9' * 39}x{'9' * 39}\n",
            {},
            f"purchases.csv line 2, column amount: '{'9' * 39}x…' is no number; expected e.g. 12.50",
        ),
        ("user,amount\nann,1\n  ,2\n", {}, "purchases.csv line 3, column user: empty; each purchase needs its user"),
        (
            "user,amount\nann\n",
            {},
            "purchases.csv line 2: 1 field; expected 2, as in the first line, with ',' between them",
        ),
        (
            "user amount\nann smith 3\n",
            {},
            "purchases.csv line 2: 3 fields; expected 2, as in the first line, with whitespace between them",
        ),
        (
            'user,amount\n"ann\nsmith",1\n"bob,2\n',
            {},
            "purchases.csv line 4: unexpected end of data; expected fields with ',' between them",
        ),
        (
            'user,amount\n"ann"x,1\n',
            {},
            "purchases.csv line 2: ',' expected after '\"'; expected fields with ',' between them",
        ),
        ("", {}, "purchases.csv is empty; expected a line for each purchase"),
        ("\n \n", {}, "purchases.csv is empty; expected a line for each purchase"),
        (
            "who,price\nann,1\n",
            {},
            f"purchases.csv: no column has a usual name for the user; there is 'who', 'price'. {CHOOSE_USER}",
        ),
        (
            "user,price,total\nann,1,2\n",
            {},
            f"purchases.csv: price and total may be the amount; there is 'user', 'price', 'total'. {CHOOSE_AMOUNT}",
        ),
        (
            "user,price\nann,1\n",
            {"user": "customer"},
            f"purchases.csv: column customer is not there; there is 'user', 'price'. {CHOOSE_USER}",
        ),
        (
            "user,amount,amount\nann,1,2\n",
            {},
            "purchases.csv: column amount is there 2 times; "
            f"there is 'user', 'amount', 'amount'. {CHOOSE_AMOUNT}",
        ),
        (
            "user,amount\nann,1\n",
            {"user": "3", "amount": "2"},
            "purchases.csv has 2 columns, so none for the user at place 3",
        ),
        (
            "user,amount\nann,1\n",
            {"user": "2"},
            "purchases.csv: the user and the amount are both column amount; they are two columns",
        ),
        (
            b"user,amount\nann,1\nM\xfcller,2\n",
            {},
            "purchases.csv line 3: not UTF-8 (byte 0xfc); save it as UTF-8, e.g. with iconv -f latin1 -t utf8",
        ),
        (
            "user,amount\n" + "a" * (MOST_BYTES + 1),
            {},
            f"purchases.csv line 2 is longer than {MOST_BYTES:,} bytes; expected a purchase on each line",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(content: str | bytes, wanted: dict[str, str], told: str) -> None:
    assert refusal(content, **wanted) == told


def test_a_file_that_ends_early() -> None:
    whole = gzip.compress(b"user,amount\n" + b"ann,10\n" * 1000 + b"bob,5.5\n")
    told = "purchases.csv ends early or is damaged: its gzip data stop behind line {}; copy or download it again"
    assert refusal(whole[:-4]) == told.format(1002)
    assert refusal(whole[:14]) == told.format(0)
    assert refusal(whole[:-8] + b"\0" * 8) == told.format(1002)


def test_a_header_and_no_purchases() -> None:
    with pytest.raises(FileError, match=r"^purchases\.csv has a header and no purchases$"):
        Purchases(file("user,amount\n\n"), ReadOptions()).count()


def test_no_file() -> None:
    with pytest.raises(FileError, match=r"^purchases\.csv: there is no such file$"):
        Purchases(Path("purchases.csv"), ReadOptions())
    Path("folder").mkdir()
    with pytest.raises(FileError, match=r"^folder is no plain file; it is read twice, so save what it holds as one$"):
        Purchases(Path("folder"), ReadOptions())
    looks_at_itself = Path("loop")
    looks_at_itself.symlink_to(looks_at_itself)
    with pytest.raises(FileError, match=r"^loop cannot be read: Too many levels of symbolic links$"):
        Purchases(looks_at_itself, ReadOptions())


def test_no_more_than_a_line_is_held(tmp_path: Path) -> None:
    """What is read of a file grows as purchases are asked for."""
    path = file("user,amount\n" + "ann,10\n" * 500_000)
    told: list[int] = []
    purchases = Purchases(path, ReadOptions()).read(told.append)
    for _ in range(30_001):
        next(purchases)
    assert sum(told) < path.stat().st_size / 4
