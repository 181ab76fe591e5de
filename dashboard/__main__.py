"""python -m dashboard CONFIG_FILE: show the labels in a browser.

A mistake in the command line or the file is the same error as in the client, before anything is started.
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
from classifier.stdio import exit_code_of, log_to_stderr, print_error, print_line, repair_streams
from dashboard.options import parsed

PAGE = Path(__file__).with_name("page.py")
ADDRESS = "127.0.0.1"
HOSTS = (ADDRESS, "localhost")  # names of this machine that a browser may use in a request


def streamlit_options(port: int) -> dict[str, str]:
    """Return the options of Streamlit: the page is for this machine only, and nothing is sent to another one."""
    return {
        "server.address": ADDRESS,
        "server.port": str(port),
        # Refuses other websites in the same browser, whatever Streamlit's own file or the environment set.
        "server.enableCORS": "true",
        "browser.serverAddress": ADDRESS,
        "browser.gatherUsageStats": "false",
        "server.headless": "true",  # opens no browser, and does not ask for an e-mail address
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "global.developmentMode": "false",
        "logger.hideWelcomeMessage": "true",
        "runner.magicEnabled": "false",
        "runner.postScriptGC": "false",  # it would search the whole table after each redraw
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
    """Raise ConfigError if a package of the page is not installed."""
    for name in ("streamlit", "plotly"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"package {name} is not installed; type: pip install -r dashboard/requirements.txt")


def check_port(port: int) -> None:
    """Raise ConfigError if the port is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise ConfigError(f"port {port}: {error.strerror}; choose another one: --port N") from None


def set_up_logging(settings: Settings) -> None:
    """Log to standard error as the client does; libraries log warnings at most."""
    log_to_stderr(settings.log_level)
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL + 1)
    for library in HTTP_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def serve(port: int, arguments: Sequence[str]) -> None:
    """Run Streamlit as its own command line does."""
    from streamlit import net_util
    from streamlit.web.cli import main as streamlit

    # On a request of another website, Streamlit would ask a server for the external address of this machine.
    net_util.get_external_ip = lambda: None
    options = [f"--{name}={value}" for name, value in streamlit_options(port).items()]
    # Also refuses a website whose host name resolves to this address (DNS rebinding).
    options += [f"--server.allowedHosts={host}" for host in HOSTS]
    streamlit(["run", str(PAGE), *options, "--", *arguments], standalone_mode=False)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
