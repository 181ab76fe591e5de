"""The command line of the page: the client's configuration file, and those of its options that concern the output."""

import argparse
from collections.abc import Sequence

from classifier.config.argument_types import whole_number
from classifier.config.settings import OPTIONS, Settings, add_option, settings_from
from classifier.errors import ConfigError
from classifier.label_names import label_names_from

DEFAULT_PORT = 8501
SHOWN = ("output", "label_names", "log_level")
EXAMPLES = """\
examples:
  python -m dashboard ./configurations/configuration.ini
  python -m dashboard ./configurations/local.ini --label-names stingy,standard,spendthrift --port 8600
"""


def parser() -> argparse.ArgumentParser:
    """Describe the command line; the client's options are told in classifier/config/settings.py."""
    found = argparse.ArgumentParser(
        prog="python -m dashboard",
        description="Show the labels in a browser, on 127.0.0.1, and keep the page up to date. Nothing is written.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("config", metavar="CONFIG_FILE", help="the client's INI file")
    for each in OPTIONS:
        if each.name in SHOWN:
            add_option(found, each)
        else:
            found.set_defaults(**{each.name: each.default})
    found.add_argument(
        "--port",
        type=whole_number("port"),
        default=DEFAULT_PORT,
        metavar="PORT",
        help=f"where the page is on 127.0.0.1 (default: {DEFAULT_PORT})",
    )
    found.set_defaults(group=None)  # the file may name one; it is not used
    return found


def parsed(arguments: Sequence[str]) -> tuple[Settings, int]:
    """Return the settings and the port; ConfigError for what cannot be meant."""
    found = parser().parse_args(arguments)
    port = found.port
    del found.port
    if port > 65535:
        raise ConfigError(f"--port: a port is a whole number from 1 to 65535, got {port}")
    settings = settings_from(found)
    try:
        label_names_from(settings.label_names, None)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return settings, port
