"""configuration.ini: read, checked, and complained about without showing a value: values are secrets."""

import configparser
import itertools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from classifier.config.properties import is_secret, other_word
from classifier.errors import ConfigError

SECTIONS = ("schema_registry", "consumer", "producer")
REQUIRED = (
    ("schema_registry", "url", "https://host:8081"),
    ("consumer", "bootstrap.servers", "host:9092"),
    ("producer", "bootstrap.servers", "host:9092"),
)
# The words of configuration.ini that stand for a value of the user's own.
PLACEHOLDER = re.compile(r"<(schema-registry-URL|token|hostname|hostname-port|user|password|api-key|api-secret)>")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)  # in a value: taken from the environment
PROPERTY = re.compile(r"[a-z0-9_.]+", re.ASCII)  # a name; what is none may be a secret beside its property
# What the guarantee rests on; the file must not say otherwise.
FIXED = {
    "consumer": {
        "enable.auto.commit": "false",
        "enable.partition.eof": "true",
        "isolation.level": "read_committed",
    },
    "producer": {"enable.idempotence": "true"},
}
OFFSET_RESETS = {
    **dict.fromkeys(("earliest", "smallest", "beginning"), 0),
    **dict.fromkeys(("latest", "largest", "end"), 1),
}


def read_configuration(path: str) -> dict[str, dict[str, str]]:
    """Read the INI file at `path` into {section: {property: value}}.

    Raises
    ------
    ConfigError
        With file, section, property or line, never with a value: values are secrets.
    """
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="\0", strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; copy configurations/configuration.ini and fill it in") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); choose a readable file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file in UTF-8; save it as one") from None
    except configparser.Error as error:
        raise ConfigError(f"{path}{syntax_complaint(error)}") from None
    for section in filter(parser.has_section, SECTIONS):
        for before, name in itertools.pairwise((f"[{section}]", *parser[section])):
            if not PROPERTY.fullmatch(name):
                form = "not of the form 'property = value', with the property in lower case"
                raise ConfigError(f"{path}: the line after {before}: {form}")
    return {
        section: {
            key: from_environment(f"{path}: [{section}] {key}", key, value) for key, value in parser[section].items()
        }
        for section in parser.sections()
    }


def from_environment(where: str, key: str, value: str) -> str:
    """Put the environment's values in place of `${NAME}`. Any other `$` stands for itself: passwords hold some."""

    def found(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{where}: {match[0]} is not set in the environment; type first: export {match[1]}=...")
        if (taken := os.environ[match[1]]) != taken.strip("\r\n") and not key.endswith(".pem"):
            raise ConfigError(
                f"{where}: {match[0]} begins or ends with a line break; set it with printf %s, not with echo"
            )
        return taken

    return VARIABLE.sub(found, value)


def syntax_complaint(error: configparser.Error) -> str:
    """Say where an INI file is malformed. The parser's own message quotes the line: not shown."""
    if isinstance(error, configparser.DuplicateOptionError):
        name = f"'{error.option}'" if PROPERTY.fullmatch(error.option) else "the same"
        return f": line {error.lineno}: [{error.section}] has {name} twice; remove one"
    if isinstance(error, configparser.DuplicateSectionError):
        return f": line {error.lineno}: section [{error.section}] appears twice; merge the two"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f": line {error.lineno}: is before the first section; start with [schema_registry]"
    if isinstance(error, configparser.ParsingError):
        return f": line {error.errors[0][0]}: not of the form 'property = value'"
    return ": not an INI file; see configurations/configuration.ini"


def check_configuration(path: str, sections: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ConfigError for the first thing missing, unfilled or contrary to the guarantee."""
    for name in SECTIONS:
        if name not in sections:
            raise ConfigError(f"{path}: no section [{name}]; add it as in configurations/configuration.ini")
    for section in SECTIONS:
        for complaint in filter(None, (other_word(section, key) for key in sections[section])):
            raise ConfigError(f"{path}: {complaint}")
    check_values(path, [(section, key, value) for section in SECTIONS for key, value in sections[section].items()])
    for section, key, example in REQUIRED:
        if not sections[section].get(key):
            raise ConfigError(f"{path}: [{section}] has no '{key}'; add e.g. {key} = {example}")
    if "transactional.id" in sections["producer"]:
        raise ConfigError(f"{path}: [producer] transactional.id is derived from -g and -o; remove the line")
    if sections["consumer"].get("auto.offset.reset", "earliest") not in OFFSET_RESETS:
        raise ConfigError(f"{path}: [consumer] auto.offset.reset must be earliest or latest")


def check_values(path: str, values: list[tuple[str, str, str]]) -> None:
    """Raise ConfigError for a value that cannot be meant."""
    unfilled = [f"[{section}] {key}" for section, key, value in values if PLACEHOLDER.search(value)]
    if unfilled:
        raise ConfigError(f"{path}: placeholders still to be filled in: {', '.join(unfilled)}")
    for section, key, value in values:
        # configparser joins an indented line to the one above; certificates (ssl.*.pem) are meant so.
        if "\n" in value and not key.endswith(".pem"):
            raise ConfigError(f"{path}: [{section}] {key} is followed by an indented line; remove the indentation")
    for section, key, value in values:
        if complaint := value_problem(section, key, value):
            raise ConfigError(f"{path}: [{section}] {key} {complaint}")
    for section, key, value in values:
        if value.lower() != FIXED.get(section, {}).get(key, value.lower()):
            raise ConfigError(f"{path}: [{section}] {key} must be {FIXED[section][key]}; remove the line")


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


def value_problem(section: str, key: str, value: str) -> str:
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
    "has a comment after its value; put the comment on a line of its own": has_comment,
    "is in quotes; remove them": is_quoted,
    "has a variable in an unknown form; write ${NAME}": is_foreign_variable,
    "must be a number of digits only, without a unit or separators": is_no_number,
    "must be host:port, several separated by commas": is_no_list_of_servers,
}
