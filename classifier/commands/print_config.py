"""--print-config: the settings of a run as they take effect, without secrets, for people and for bug reports."""

import re
from collections.abc import Iterator, Mapping

from classifier.config.ini_file import SECTIONS
from classifier.config.properties import is_secret, without_userinfo
from classifier.config.settings import OPTIONS, Settings, flag
from classifier.serialization.registry import REGISTRY_TIMING

SECRET = "****"

Sections = Mapping[str, Mapping[str, object]]


def effective_lines(path: str, settings: Settings) -> Iterator[str]:
    """Yield the options and properties in effect: those given, those of the file at `path`, and the client's own."""
    options = {flag(each): getattr(settings, each.name) for each in OPTIONS if each.name != "print_config"}
    # librdkafka gets another value, because the client looks up itself where to begin: show the one in effect.
    start = {"auto.offset.reset": settings.consumer.get("auto.offset.reset", "earliest")}
    sections = (
        {**REGISTRY_TIMING, **settings.schema_registry},
        {**settings.consumer_properties, **start},
        settings.producer_properties,
    )
    yield from settings_lines({"CONFIG_FILE": path, **options}, dict(zip(SECTIONS, sections, strict=True)))


def settings_lines(options: Mapping[str, object], sections: Sections) -> Iterator[str]:
    """Yield options and sections in the format of an INI file.

    Parameters
    ----------
    options : mapping of str to object
        Values by the name of the option on the command line.
    sections : mapping of str to mapping of str to object
        Properties as the Kafka clients and the registry get them, by section.
    """
    yield "[options]"
    for name, value in options.items():
        yield f"{name} = {text_of(value)}"
    for section, properties in sections.items():
        yield ""
        yield f"[{section}]"
        for key, value in sorted(properties.items()):
            yield f"{key} = {without_secrets(key, text_of(value))}"


def text_of(value: object) -> str:
    """Return a value as text: 'on' or 'off' for a switch, 'off' for an option that is not in use."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def without_secrets(key: str, value: str) -> str:
    """Return the value of a property: **** for a secret, a URL without its userinfo and query."""
    if is_secret(key):
        return SECRET
    shown = without_userinfo(value)
    return re.sub(r"\?.*", f"?{SECRET}", shown, flags=re.DOTALL) if key.endswith("url") else shown
