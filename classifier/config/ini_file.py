"""The configuration file: reading it, and checking every value before a client library sees it.

Guarantee: no message contains a value, because a value may be a secret.
"""

import configparser
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from classifier.config.authentication import authentication_problem
from classifier.config.properties import foreign_name_problem, is_secret
from classifier.config.references import QUOTES, foreign_form, foreign_secret_problem, substitute
from classifier.errors import ConfigError

Sections = Mapping[str, Mapping[str, str]]  # section -> property -> value

SECTIONS = ("schema_registry", "consumer", "producer")
REQUIRED = (  # section, property, example
    ("schema_registry", "url", "https://host:8081"),
    ("consumer", "bootstrap.servers", "host:9092"),
    ("producer", "bootstrap.servers", "host:9092"),
)
# The exactly-once guarantee depends on these. The file may repeat them, not change them.
FIXED = {
    "consumer": {
        "enable.auto.commit": "false",
        "enable.partition.eof": "true",
        "isolation.level": "read_committed",
    },
    "producer": {"enable.idempotence": "true"},
}
OFFSET_RESETS = {  # value of auto.offset.reset -> `Settings.reset_to`
    **dict.fromkeys(("earliest", "smallest", "beginning"), 0),
    **dict.fromkeys(("latest", "largest", "end"), 1),
}
PROPERTY = re.compile(r"[a-z0-9_.]+", re.ASCII)  # a property name; anything else may be a misplaced secret
PLACEHOLDER = re.compile(r"<(schema-registry-URL|token|hostname|hostname-port|user|password|api-key|api-secret)>")

COMMENT = re.compile(r"(?:^|\s)[#;]")
FOREIGN_VARIABLE = re.compile(r"\$\{.*\}|^\$[A-Za-z_]\w*|^%\w+%|\{\{.*\}\}", re.ASCII)
# librdkafka reads the leading digits of a number and ignores the rest: 60,000 would mean 60.
NUMERIC_PROPERTY = re.compile(
    r".*\.(ms|bytes|kbytes|messages|retries|records|fails)|.*(max\.in\.flight.*|retries|batch\.size|log_level)"
)
NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
DECIMAL_PROPERTIES = ("linger.ms", "queue.buffering.max.ms")
SERVER = re.compile(r"(?:(?P<protocol>[A-Za-z_]+)://)?(?:\[[0-9A-Fa-f:.]+\]|[^\W_][\w.-]*)(?::(?P<port>[0-9]{1,5}))?")


# -------------------------------------------------------------------------------------- reading


def read_configuration(path: str) -> dict[str, dict[str, str]]:
    """Read the INI file at `path` into {section: {property: value}}, with `${NAME}` and `${file:/path}` replaced.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed, or a reference cannot be replaced. The message has file, section,
        property or line, never a value.
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
        raise ConfigError(f"{path}{syntax_problem(error)}") from None
    check_property_names(path, parser)
    return {
        section: {key: replaced(f"{path}: [{section}] {key}", key, value) for key, value in parser[section].items()}
        for section in parser.sections()
    }


def replaced(where: str, key: str, value: str) -> str:
    """Return a value with its references replaced; `where` is file, section and property, for the message."""
    # Placeholders of the template are listed together later.
    if is_secret(key) and not PLACEHOLDER.search(value) and (problem := foreign_secret_problem(key, value)):
        raise ConfigError(f"{where} {problem}")
    return substitute(where, key, value)


def check_property_names(path: str, parser: configparser.ConfigParser) -> None:
    """Raise ConfigError for a line whose left side is no property name; the message has the line before it."""
    for section in filter(parser.has_section, SECTIONS):
        for before, name in itertools.pairwise((f"[{section}]", *parser[section])):
            if not PROPERTY.fullmatch(name):
                form = "not of the form 'property = value', with the property in lower case"
                raise ConfigError(f"{path}: the line after {before}: {form}")


def syntax_problem(error: configparser.Error) -> str:
    """Return where an INI file is malformed. The parser's own message quotes the line."""
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


# -------------------------------------------------------------------------------------- checking


def check_configuration(path: str, sections: Sections) -> None:
    """Raise ConfigError for the first property that is missing, has no usable value, or breaks the guarantee."""
    for name in SECTIONS:
        if name not in sections:
            raise ConfigError(f"{path}: no section [{name}]; add it as in configurations/configuration.ini")
    if problem := next(filter(None, unusable_properties(sections)), ""):
        raise ConfigError(f"{path}: {problem}")
    check_values(path, [(section, key, value) for section in SECTIONS for key, value in sections[section].items()])
    for section, key, example in REQUIRED:
        if not sections[section].get(key):
            raise ConfigError(f"{path}: [{section}] has no '{key}'; add e.g. {key} = {example}")
    if "transactional.id" in sections["producer"]:
        raise ConfigError(f"{path}: [producer] transactional.id is derived from -g and -o; remove the line")
    if sections["consumer"].get("auto.offset.reset", "earliest") not in OFFSET_RESETS:
        raise ConfigError(f"{path}: [consumer] auto.offset.reset must be earliest or latest")


def unusable_properties(sections: Sections) -> Iterator[str]:
    """Yield what to write instead of properties of Java's clients, of other sections, and of what does not work."""
    for section in ("consumer", "producer"):
        yield authentication_problem(section, sections[section])
    for section in SECTIONS:
        yield from (foreign_name_problem(section, key) for key in sections[section])


def check_values(path: str, values: list[tuple[str, str, str]]) -> None:
    """Raise ConfigError for the first (section, property, value) with an unusable value."""
    unfilled = [f"[{section}] {key}" for section, key, value in values if PLACEHOLDER.search(value)]
    if unfilled:
        raise ConfigError(f"{path}: placeholders still to be filled in: {', '.join(unfilled)}")
    for section, key, value in values:
        # configparser joins an indented line with the one before it. Only certificates (ssl.*.pem) have several lines.
        if "\n" in value and not key.endswith(".pem"):
            raise ConfigError(f"{path}: [{section}] {key} is followed by an indented line; remove the indentation")
    for section, key, value in values:
        if problem := value_problem(section, key, value):
            raise ConfigError(f"{path}: [{section}] {key} {problem}")
    for section, key, value in values:
        required = FIXED.get(section, {}).get(key)
        if required is not None and value.lower() != required:
            raise ConfigError(f"{path}: [{section}] {key} must be {required}; remove the line")


def value_problem(section: str, key: str, value: str) -> str:
    """Return what is wrong with a value, empty if nothing. Secrets and existing files may have any value."""
    if is_secret(key) or (key.endswith(".location") and os.path.exists(value)):  # noqa: PTH110  Path.exists raises for names too long
        return ""
    for problem, applies in VALUE_CHECKS.items():
        if applies(section, key, value):
            return problem
    return ""


def has_comment(section: str, key: str, value: str) -> bool:
    """Whether a comment follows the value. The parser would make it part of the value."""
    return bool(COMMENT.search(value))


def is_quoted(section: str, key: str, value: str) -> bool:
    """Whether the value is in quotes. The parser would make them part of the value."""
    return value.startswith(QUOTES)


def is_foreign_variable(section: str, key: str, value: str) -> bool:
    """Whether the value is a variable in another program's syntax. $ConnectionString is a user name of Azure."""
    if key == "sasl.username" and value == "$ConnectionString":
        return False
    return bool(FOREIGN_VARIABLE.search(value) or foreign_form(value))


def is_not_a_number(section: str, key: str, value: str) -> bool:
    """Whether the property takes a number and the value is none, or has text after it."""
    if section == "schema_registry" or not value or not NUMERIC_PROPERTY.fullmatch(key):
        return False
    number = DECIMAL if key in DECIMAL_PROPERTIES else NUMBER
    return not number.fullmatch(value)


def is_not_a_server_list(section: str, key: str, value: str) -> bool:
    """Whether the property takes a list of brokers and an item of the value cannot be one."""
    if key not in ("bootstrap.servers", "metadata.broker.list"):
        return False
    servers = [server.strip() for server in value.split(",")]
    return not all(is_server(server) for server in servers if server)


def is_server(server: str) -> bool:
    """Whether the text is host, host:port or protocol://host:port."""
    found = SERVER.fullmatch(server)
    return found is not None and 0 < int(found["port"] or 9092) < 65536


VALUE_CHECKS: dict[str, Callable[[str, str, str], bool]] = {  # problem -> whether (section, property, value) has it
    "has a comment after its value; put the comment on a line of its own": has_comment,
    "is in quotes; remove them": is_quoted,
    "has a variable in an unknown form; write ${NAME}": is_foreign_variable,
    "must be a number of digits only, without a unit or separators": is_not_a_number,
    "must be host:port, several separated by commas": is_not_a_server_list,
}
