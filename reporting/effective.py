"""The settings of a run as they take effect, for people and for bug reports: without secrets (--print-config)."""

import re
from collections.abc import Iterator, Mapping

SECRET_WORDS = ("password", "passphrase", "secret", "user.info", "token", ".key", "jaas", "pem", "oauthbearer.config")
SECRET = "****"
USERINFO = re.compile(r"//.*@", re.DOTALL)  # of a URL; greedy, as a password can hold a slash
SHORT_FLAGS = {"config": "CONFIG_FILE", "topic": "-t", "group": "-g", "output": "-o", "n_clusters": "-k"}

Sections = Mapping[str, Mapping[str, object]]


def settings_lines(options: Mapping[str, object], sections: Sections) -> Iterator[str]:
    """Yield the options and the sections in the form of an INI file.

    Parameters
    ----------
    options : mapping of str to object
        Value by the name that argparse has for the option.
    sections : mapping of str to mapping of str to object
        Properties as the clients get them, by section.
    """
    yield "[options]"
    for name, value in options.items():
        yield f"{SHORT_FLAGS.get(name) or flag(name)} = {in_words(value)}"
    for section, properties in sections.items():
        yield ""
        yield f"[{section}]"
        for key, value in sorted(properties.items()):
            yield f"{key} = {harmless(key, in_words(value))}"


def flag(name: str) -> str:
    """Return '--batch-size' for 'batch_size'."""
    return f"--{name.replace('_', '-')}"


def in_words(value: object) -> str:
    """Return a value as it would be written; what is not in use is off."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def harmless(key: str, value: str) -> str:
    """Return the value of a property, **** for a secret, without the userinfo of a URL."""
    if any(word in key.lower() for word in SECRET_WORDS):
        return SECRET
    return USERINFO.sub(f"//{SECRET}@", value)
