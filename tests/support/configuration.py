"""Configuration files of the client."""

from collections.abc import Mapping
from pathlib import Path

from classifier.config.settings import Settings, settings_from
from user_classifier import argument_parser

Sections = Mapping[str, Mapping[str, str]]


def sections(bootstrap_servers: str, registry_url: str) -> dict[str, dict[str, str]]:
    """The three sections for services without security."""
    return {
        "schema_registry": {"url": registry_url},
        "consumer": {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "args.group",
            "auto.offset.reset": "earliest",
            # Other requests wait for the fetch that the broker holds back, by default half a second.
            "fetch.wait.max.ms": "10",
        },
        "producer": {"bootstrap.servers": bootstrap_servers},
    }


def write(path: Path, content: Sections) -> Path:
    """Write an ini file and return its path."""
    lines: list[str] = []
    for section, settings in content.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in settings.items()), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def taken(file: Path, *options: str) -> Settings:
    """The settings of a file and a command line."""
    return settings_from(argument_parser().parse_args([str(file), *options]))
