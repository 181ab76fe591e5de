"""The settings of a run as they take effect, for people and for bug reports: without secrets (--print-config)."""

from collections.abc import Iterator, Mapping

from classifier.config.ini_file import SECTIONS
from classifier.config.properties import is_secret, without_userinfo
from classifier.config.settings import OPTIONS, Settings, flag
from classifier.serialization.registry import REGISTRY_TIMING

SECRET = "****"

Sections = Mapping[str, Mapping[str, object]]


def effective_lines(path: str, settings: Settings) -> Iterator[str]:
    """Yield what takes effect of the options and of the file at `path`, with what the client itself sets."""
    options = {flag(each): getattr(settings, each.name) for each in OPTIONS if each.name != "print_config"}
    # The consumer is told to complain where it finds no offset: we look up where to begin.
    begin = {"auto.offset.reset": settings.consumer.get("auto.offset.reset", "earliest")}
    sections = (
        {**REGISTRY_TIMING, **settings.schema_registry},
        {**settings.consumer_properties, **begin},
        settings.producer_properties,
    )
    yield from settings_lines({"CONFIG_FILE": path, **options}, dict(zip(SECTIONS, sections, strict=True)))


def settings_lines(options: Mapping[str, object], sections: Sections) -> Iterator[str]:
    """Yield the options and the sections in the form of an INI file.

    Parameters
    ----------
    options : mapping of str to object
        Value by the option as it is written on the command line.
    sections : mapping of str to mapping of str to object
        Properties as the clients get them, by section.
    """
    yield "[options]"
    for name, value in options.items():
        yield f"{name} = {in_words(value)}"
    for section, properties in sections.items():
        yield ""
        yield f"[{section}]"
        for key, value in sorted(properties.items()):
            yield f"{key} = {harmless(key, in_words(value))}"


def in_words(value: object) -> str:
    """Return a value as it would be written; what is not in use is off."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def harmless(key: str, value: str) -> str:
    """Return the value of a property, **** for a secret, without the userinfo of a URL."""
    return SECRET if is_secret(key) else without_userinfo(value)
