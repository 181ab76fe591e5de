"""References in values of the configuration file: `${NAME}` for an environment variable, `${file:/path}` for a file.

A reference is replaced wherever it occurs in a value, and the replacement is taken literally. Other programs have other
forms. They are refused, because they would be sent to the brokers as passwords.

Guarantee: no message contains a value or the content of a file.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from classifier.errors import ConfigError

REFERENCE = re.compile(r"\$\{(?:file:(?P<path>[^{}]*)|(?P<variable>[A-Za-z_][A-Za-z0-9_]*))\}", re.ASCII)
MAX_FILE_BYTES = 1_048_576  # as in a Secret of Kubernetes
EXAMPLE = "${file:/run/secrets/kafka}"
QUOTES = tuple("\"'“”‘’")

# Forms of other programs: as messages show them, and the pattern of a whole value.
TEMPLATES = {
    "$NAME": r"\$[A-Za-z_]\w*",
    "$env:NAME": r"\$env:\w+",
    "$(...)": r"\$\(.*\)",
    "`...`": r"`[\w./~-]+( .*)?`",
    "%NAME%": r"%\w+%",
    "%(NAME)s": r"%\(\w+\)s",
    "{{...}}": r"\{\{.*\}\}",
    "#{...}": r"#\{.+\}#?",
    "__NAME__": r"__[A-Z]\w*__",
    "<...>": r"<[A-Za-z][\w .:/-]*>|<%.+%>",
    "!vault": r"!(vault|secret|env|env_var|ENV|file|include|Ref|Sub|GetAtt|ImportValue)\s.+",
    "ENC(...)": r"ENC(\(.+\)|\[.+\])",
    "{cipher}...": r"\{(cipher|aes|xor)\}.+",
    "$ANSIBLE_VAULT": r"\$ANSIBLE_VAULT;.*",
    "@Microsoft.KeyVault(...)": r"@Microsoft\.KeyVault\(.+\)",
}
# Other values have these forms, too; a secret has not.
ADDRESSES = {
    "env:NAME": r"env:\w+",
    "file:/...": r"file:/.*",
    "vault:...": r"vault:.+",
    "...://...": r"[a-z][a-z0-9+.-]*://\S+",
    "arn:aws:...": r"arn:aws[\w-]*:(secretsmanager|ssm):\S+",
    "projects/.../secrets/...": r"projects/[^/]+/secrets/\S+",
    "****": r"\*{4,}|\[hidden\]",
}
INNER = re.compile(r"\$\{[A-Za-z_][^}]*\}|^\$\{.*\}$", re.DOTALL)  # anywhere, once the references are removed


def substitute(where: str, key: str, value: str) -> str:
    """Return a value with its references replaced; `where` is file, section and property, for the message."""

    def replacement(match: re.Match[str]) -> str:
        problem_at = f"{where}: {match[0]}"
        if match["path"] is None:
            return one_line(problem_at, key, value_of_variable(problem_at, match["variable"]))
        return one_line(problem_at, key, content_of_file(where, key, match["path"]))

    return REFERENCE.sub(replacement, value)


def value_of_variable(where: str, name: str) -> str:
    """Return the value of an environment variable."""
    found = os.environ.get(name)
    if found is None:
        raise ConfigError(f"{where} is not set in the environment; type first: export {name}=...")
    return found


def content_of_file(where: str, key: str, path: str) -> str:
    """Return the content of a file without one line break at its end."""
    if key.endswith((".location", ".file")):
        raise ConfigError(f"{where} is a path itself; write the path without ${{file:...}}")
    if ":" in path:
        raise ConfigError(f"{where}: ${{file:path:key}} is a form of Java clients; write {EXAMPLE}, one secret a file")
    if not Path(path).is_absolute():
        raise ConfigError(f"{where}: ${{file:...}} needs the whole path; write e.g. {EXAMPLE}")
    return decoded(f"{where}: ${{file:{path}}}", path, bytes_of(f"{where}: ${{file:{path}}}", path))


def bytes_of(where: str, path: str) -> bytes:
    """Return the bytes of a regular file. Others may never end, or can be read only once."""
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise ConfigError(f"{where} is a folder; name a file in it")
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{where} is a device or a pipe; write the secret to a file")
        with Path(path).open("rb") as file:
            found = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{where} does not exist; mount the secret there, or correct the path") from None
    except PermissionError:
        raise ConfigError(f"{where} cannot be read by user {os.geteuid()}; let this user read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no valid path"
        raise ConfigError(f"{where} cannot be read ({reason}); choose a readable file") from None
    if len(found) > MAX_FILE_BYTES:
        raise ConfigError(f"{where} is larger than 1 MiB; name the file of the secret")
    return found


def decoded(where: str, path: str, content: bytes) -> str:
    """Return the text of a file without one line break at its end."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # also in UTF-16
        raise ConfigError(f"{where} is not a text file in UTF-8; save it as one")
    if not text.strip():
        raise ConfigError(f"{where} is empty; write the secret to it: printf %s ... > {path}")
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def one_line(where: str, key: str, found: str) -> str:
    """Return a replacement; ConfigError if it has several lines, which only certificates (ssl.*.pem) have."""
    if key.endswith(".pem") or not {"\n", "\r"} & set(found):
        return found
    if found != found.strip("\r\n"):
        raise ConfigError(f"{where} begins or ends with a line break; set it with printf %s, not with echo")
    raise ConfigError(f"{where} has several lines; keep only the secret")


def foreign_secret_problem(key: str, value: str) -> str:
    """Return why a secret, as it is in the file, is a reference in another form; empty if it is none."""
    if value.startswith(QUOTES) and value.endswith(QUOTES):
        if REFERENCE.search(value):
            return "is in quotes; remove them"
        value = value[1:-1]
    if form := form_of_secret(key, REFERENCE.sub("", value)):
        written = f"write ${{NAME}} for an environment variable or {EXAMPLE} for a file"
        return f"has the form {form}, which is not replaced; {written}, also if it is the secret itself"
    path = value.removeprefix("@")
    if path.startswith("/") and os.path.isfile(path):  # noqa: PTH113  Path.is_file raises for names that are too long
        return f"is the path of a file; write it as in {EXAMPLE}"
    return ""


def form_of_secret(key: str, value: str) -> str:
    """Return the form of other programs that a secret has, or the second part of user:secret; empty if none."""
    secret = value.partition(":")[2] if key.endswith("user.info") else value
    if INNER.search(value) or INNER.search(secret):
        return "${...}"
    return foreign_form(value) or foreign_form(secret, TEMPLATES | ADDRESSES)


def foreign_form(value: str, forms: Mapping[str, str] = TEMPLATES) -> str:
    """Return the form that the whole value has; empty if none."""
    matching = (form for form, pattern in forms.items() if re.fullmatch(pattern, value, re.DOTALL | re.ASCII))
    return next(matching, "")
