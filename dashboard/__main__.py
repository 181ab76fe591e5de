"""python -m dashboard CONFIG_FILE: the labels in a browser.

A mistake in the command line or in the file is told before anything is started, as the client tells it.
"""

import importlib.util
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier.config.settings import Settings
from classifier.errors import ClassifierError, ConfigError
from classifier.serialization.http import HTTP_LIBRARIES
from classifier.stdio import exit_code_of, print_error, print_line, repair_streams
from dashboard.options import parsed

PAGE = Path(__file__).with_name("page.py")
ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")  # by which a browser on this machine asks


def streamlit_options(port: int) -> dict[str, str]:
    """Return how the page is served: to this machine alone, and nothing is told to anybody else."""
    return {
        "server.address": ADDRESS,
        "server.port": str(port),
        # A page of somebody else does not get in, whatever Streamlit's own file or the environment say.
        "server.enableCORS": "true",
        "browser.serverAddress": ADDRESS,
        "browser.gatherUsageStats": "false",
        "server.headless": "true",  # no browser is opened, and no e-mail address asked for
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "global.developmentMode": "false",
        "logger.hideWelcomeMessage": "true",
        "runner.magicEnabled": "false",
        "runner.postScriptGC": "false",  # it would look through the table after each redraw
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C."""
    repair_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        settings, port = parsed(arguments)
        check_packages()
        check_port(port)
    except ClassifierError as error:
        print_error(f"python -m dashboard: error: {error}")
        return error.exit_code
    set_up_logging(settings)
    print_line(f"http://{ADDRESS}:{port} shows the labels; Ctrl-C ends it")
    serve(port, arguments)
    return 0


def check_packages() -> None:
    """Raise ConfigError where the packages of the page are not there."""
    wanted = ("streamlit", "plotly")
    if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise ConfigError(f"no package {missing[0]}; type: pip install -r dashboard/requirements.txt")


def check_port(port: int) -> None:
    """Raise ConfigError where somebody else serves on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise ConfigError(f"port {port}: {error.strerror}; choose another one: --port N") from None


def set_up_logging(settings: Settings) -> None:
    """Log to standard error what the client would; the libraries keep silent."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL + 1)
    for library in HTTP_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def serve(port: int, arguments: Sequence[str]) -> None:
    """Run Streamlit as its own command does."""
    from streamlit import net_util
    from streamlit.web.cli import main as streamlit

    # At a page of somebody else that knocks, Streamlit would ask a machine elsewhere for this one's address.
    net_util.get_external_ip = lambda: None
    options = [f"--{name}={value}" for name, value in streamlit_options(port).items()]
    # A page of somebody else to whose name a name server gives this address does not get in either.
    options += [f"--server.allowedHosts={name}" for name in NAMES]
    streamlit(["run", str(PAGE), *options, "--", *arguments], standalone_mode=False)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
