"""The command line of the dashboard: the client's configuration file, and its options that concern the output."""

import argparse
from collections.abc import Sequence

from classifier.config.argument_types import whole_number
from classifier.config.settings import OPTIONS, Settings, add_option, settings_from
from classifier.errors import ConfigError
from classifier.label_names import label_names_from

DEFAULT_PORT = 8501
CLIENT_OPTIONS = ("output", "label_names", "log_level")
EXAMPLES = """\
examples:
  python -m dashboard ./configurations/configuration.ini
  python -m dashboard ./configurations/local.ini --label-names stingy,standard,spendthrift --port 8600
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser; the options of the client are those of classifier/config/settings.py."""
    made = argparse.ArgumentParser(
        prog="python -m dashboard",
        description="Show the labels in a browser, on 127.0.0.1. The page updates itself and writes nothing.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("config", metavar="CONFIG_FILE", help="the client's INI file")
    for each in OPTIONS:
        if each.name in CLIENT_OPTIONS:
            add_option(made, each)
        else:
            made.set_defaults(**{each.name: each.default})
    made.add_argument(
        "--port",
        type=whole_number("port"),
        default=DEFAULT_PORT,
        metavar="PORT",
        help=f"port of the page on 127.0.0.1 (default: {DEFAULT_PORT})",
    )
    made.set_defaults(group=None)  # the dashboard joins no group, also if the file has one
    return made


def parsed(arguments: Sequence[str]) -> tuple[Settings, int]:
    """Return the settings and the port; ConfigError for an invalid value."""
    namespace = parser().parse_args(arguments)
    port = namespace.port
    del namespace.port
    if port > 65535:
        raise ConfigError(f"--port: a port is a whole number from 1 to 65535, got {port}")
    settings = settings_from(namespace)
    try:
        label_names_from(settings.label_names, None)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return settings, port
