"""CDNOW: 69,659 purchases of 23,570 real customers, January 1997 to June 1998, fetched by `make cdnow`.

The file is the one that Fader and Hardie published, as the package lifetimes carries it. Its lines begin with a space,
end in CR LF, and have four columns with whitespace between them, the first line their names:
customer_id, date (YYYYMMDD), number_of_cds, dollar_value. 80 purchases are worth 0.00.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(".local", "cdnow", "lifetimes", "datasets", "CDNOW_master.txt")
"""Relative to the root of the repository; the Makefile has the same path."""
USER = "customer_id"
DATE = "date"
AMOUNT = "dollar_value"
USER_NUMBER = 1
AMOUNT_NUMBER = 4
"""The two columns that the pipeline needs, by name and by number."""
N_PURCHASES = 69_659
N_CUSTOMERS = 23_570


def cdnow_file() -> Path:
    """The path of the file; FileNotFoundError names the command that fetches it."""
    path = ROOT / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{FILE} does not exist; to fetch it: make cdnow")
    return path
