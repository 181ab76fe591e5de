"""python -m dashboard CONFIG_FILE: show the labels in a browser.

A mistake in the command line or the file is the same error as in the client, before anything is started.
"""

import errno
import importlib.util
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier.config.settings import LOOPBACK, Settings
from classifier.errors import ClassifierError, ConfigError
from classifier.serialization.http import HTTP_LIBRARIES
from classifier.stdio import exit_code_of, log_to_stderr, print_error, print_line, repair_streams
from dashboard.options import Address, parsed

PAGE = Path(__file__).with_name("page.py")
log = logging.getLogger("user_classifier")


def streamlit_options(address: Address) -> dict[str, str]:
    """Return the options of Streamlit that have one value: nothing is sent to another machine."""
    return {
        "server.address": address.host,
        "server.port": str(address.port),
        "server.baseUrlPath": address.base_path,
        # Refuses other websites in the same browser, whatever Streamlit's own file or the environment set.
        "server.enableCORS": "true",
        "browser.serverAddress": LOOPBACK,
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
        settings, address = parsed(arguments)
        check_packages()
        check_address(address)
    except ClassifierError as error:
        print_error(f"python -m dashboard: error: {error}")
        return error.exit_code
    set_up_logging(settings)
    print_line(f"{address.url} shows the labels; Ctrl-C ends it")
    if not address.is_of_this_machine_only:
        log.warning(
            "the page has no password, and other machines can connect to %s port %d: let only a reverse proxy connect"
            " that asks who it is, see docs/dashboard.md, Behind a reverse proxy",
            address.host,
            address.port,
        )
    serve(address, arguments)
    return 0


def check_packages() -> None:
    """Raise ConfigError if a package of the page is not installed."""
    for name in ("streamlit", "plotly"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"package {name} is not installed; type: pip install -r dashboard/requirements.txt")


def check_address(address: Address) -> None:
    """Raise ConfigError if the address is not of this machine, or its port is in use."""
    try:
        family, *_, bound = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(bound)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            remedy = "choose an address of this machine, 0.0.0.0 for all"
            raise ConfigError(f"--host {address.host}: {error.strerror}; {remedy}") from None
        raise ConfigError(f"port {address.port}: {error.strerror}; choose another one: --port N") from None


def set_up_logging(settings: Settings) -> None:
    """Log to standard error as the client does; libraries log warnings at most."""
    log_to_stderr(settings.log_level)
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL + 1)
    for library in HTTP_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def serve(address: Address, arguments: Sequence[str]) -> None:
    """Run Streamlit as its own command line does."""
    from streamlit import net_util
    from streamlit.web.cli import main as streamlit

    # On a request of another website, Streamlit would ask a server for the external address of this machine.
    net_util.get_external_ip = lambda: None
    options = [f"--{name}={value}" for name, value in streamlit_options(address).items()]
    # Also refuses a website whose host name resolves to this address (DNS rebinding).
    options += [f"--server.allowedHosts={host}" for host in address.hosts]
    options += [f"--server.corsAllowedOrigins={origin}" for origin in address.origins]
    streamlit(["run", str(PAGE), *options, "--", *arguments], standalone_mode=False)


if __name__ == "__main__":
    # Until Streamlit has a handler of its own. The kernel drops signals for which process 1 of a container has none.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(exit_code_of(main))
