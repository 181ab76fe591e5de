"""What a value in configuration.ini cannot mean. Nothing is cut off or guessed: what is not meant is refused.

Secrets are left alone: a password may hold quotes, # and anything else.
"""

import os
import re
from collections.abc import Callable

from classifier.properties import is_secret

QUOTES = tuple("\"'“”‘’")
COMMENT = re.compile(r"(?:^|\s)[#;]")
VARIABLE_OF_OTHERS = re.compile(r"\$\{.*\}|^\$[A-Za-z_]\w*|^%\w+%|\{\{.*\}\}", re.ASCII)
# librdkafka reads the digits that a number begins with, and no further: 60,000 would be 60.
COUNTS = re.compile(
    r".*\.(ms|bytes|kbytes|messages|retries|records|fails)|.*(max\.in\.flight.*|retries|batch\.size|log_level)"
)
NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
MAY_BE_DECIMAL = ("linger.ms", "queue.buffering.max.ms")
SERVER = re.compile(r"(?:(?P<protocol>[A-Za-z_]+)://)?(?:\[[0-9A-Fa-f:.]+\]|[^\W_][\w.-]*)(?::(?P<port>[0-9]{1,5}))?")


def complaint_about(section: str, key: str, value: str) -> str:
    """Say why a value cannot be meant, nothing if it can."""
    if is_secret(key) or (key.endswith(".location") and os.path.exists(value)):  # noqa: PTH110  Path.exists raises for names too long
        return ""
    for complaint, cannot_be_meant in CHECKS.items():
        if cannot_be_meant(section, key, value):
            return complaint
    return ""


def has_comment(section: str, key: str, value: str) -> bool:
    """Whether a comment stands behind the value: none ends there, so it would be a part of it."""
    return bool(COMMENT.search(value))


def is_quoted(section: str, key: str, value: str) -> bool:
    """Whether quotes would be a part of the value."""
    return value.startswith(QUOTES)


def is_foreign_variable(section: str, key: str, value: str) -> bool:
    """Whether it is a variable as other programs write it; $ConnectionString is a user name of Azure's."""
    return key != "sasl.username" and bool(VARIABLE_OF_OTHERS.search(value))


def is_no_number(section: str, key: str, value: str) -> bool:
    """Whether a number is wanted and something else is there, be it behind a number."""
    number = DECIMAL if key in MAY_BE_DECIMAL else NUMBER
    counts = section != "schema_registry" and COUNTS.fullmatch(key)
    return bool(value and counts) and not number.fullmatch(value)


def is_no_list_of_servers(section: str, key: str, value: str) -> bool:
    """Whether something in a list of brokers cannot be one."""
    servers = [server for each in value.split(",") if (server := each.strip())]
    return key in ("bootstrap.servers", "metadata.broker.list") and not all(map(is_server, servers))


def is_server(server: str) -> bool:
    """Whether a broker can be at this address."""
    found = SERVER.fullmatch(server)
    return found is not None and 0 < int(found["port"] or 9092) < 65536


CHECKS: dict[str, Callable[[str, str, str], bool]] = {
    "has a comment behind its value; put that on a line of its own": has_comment,
    "is in quotes; remove them": is_quoted,
    "holds a variable in a form that is not known; write ${NAME}": is_foreign_variable,
    "must be a number in digits alone, without a unit or separators": is_no_number,
    "must be host:port, several with a comma in between": is_no_list_of_servers,
}
