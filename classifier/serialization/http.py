"""HTTP settings of the Schema Registry client: proxies, trusted certificates, URLs.

Checked before the first request. Messages name the environment variable, never its value: a proxy's URL may contain a
password.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from classifier.errors import ConfigError

HTTP_LIBRARIES = ("httpx2", "httpx")  # of Confluent's client: the first one from confluent-kafka 2.16 on
PROXY_SCHEMES = ("all", "http", "https")
CA_PROPERTY = "ssl.ca.location"
CREDENTIALS_PROPERTY = "basic.auth.user.info"


def http_libraries() -> tuple[ModuleType, ...]:
    """Return the HTTP library that Confluent's client has imported."""
    return tuple(sys.modules[name] for name in HTTP_LIBRARIES if name in sys.modules)


def http_errors(*names: str) -> tuple[type[Exception], ...]:
    """Return error classes of the HTTP library by their names."""
    return tuple[type[Exception], ...](getattr(library, name) for library in http_libraries() for name in names)


def check_transport(properties: Mapping[str, str]) -> None:
    """Raise ConfigError with the variable or property that names an unusable proxy or certificate."""
    if CA_PROPERTY not in properties:
        check_variable("SSL_CERT_FILE", "is not a certificate file", load_certificates)
        if not os.environ.get("SSL_CERT_FILE"):  # it takes precedence
            check_variable("SSL_CERT_DIR", "is not a directory", os.listdir)
    check_variable("SSLKEYLOGFILE", "is not a writable file", open_key_log)
    if "proxy" in properties:
        if problem := proxy_problem(properties["proxy"]):
            raise ConfigError(f"[schema_registry] proxy: {problem}")
        return
    for scheme, proxy in proxies().items():
        if problem := proxy_problem(proxy):
            name = proxy_variable(scheme)
            raise ConfigError(f"environment: {name}: {problem}, or type: unset {name}")
    if not client_accepts(trust_env=True):  # everything but the exceptions has been checked above
        name = variable("no_proxy")
        raise ConfigError(f"environment: {name}: hosts are written host or host:port, separated by commas")


def check_variable(name: str, problem: str, use: Callable[[str], object]) -> None:
    """Raise ConfigError if `use` fails for the value of an environment variable."""
    value = os.environ.get(name)
    if not value:
        return
    try:
        use(value)
    except OSError:
        raise ConfigError(f"environment: {name}: its value {problem}; set one, or type: unset {name}") from None


def load_certificates(path: str) -> None:
    """Read a file as the ssl module reads certificates."""
    import ssl

    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)


def open_key_log(path: str) -> None:
    """Open a file as the ssl module opens its key log."""
    import ssl

    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = path


def trusted_authorities(properties: Mapping[str, str]) -> Any:
    """Return an SSLContext that trusts public authorities, as the HTTP library does, and those of ssl.ca.location."""
    (library, *_) = http_libraries()
    context = library.create_ssl_context()
    if ca := properties.get(CA_PROPERTY):
        context.load_verify_locations(**{"capath" if os.path.isdir(ca) else "cafile": ca})  # noqa: PTH112  as given
    return context


def proxies() -> dict[str, str]:
    """Return the proxies of the environment or the system by URL scheme."""
    from urllib.request import getproxies  # imports ssl, which takes time that --help need not wait for

    found = {scheme: proxy for scheme, proxy in getproxies().items() if scheme in PROXY_SCHEMES and proxy}
    return {scheme: proxy if "://" in proxy else f"http://{proxy}" for scheme, proxy in found.items()}


def variable(name: str) -> str:
    """Return the name of a variable as it is set in the environment; lower case takes precedence."""
    spellings = [each for each in sorted(os.environ, reverse=True) if each.lower() == name]
    return spellings[0] if spellings else name.upper()


def proxy_variable(scheme: str) -> str:
    """Return the name of the variable that sets the proxy of a URL scheme."""
    return variable(f"{scheme}_proxy")


def proxy_problem(proxy: str) -> str:
    """Return what is wrong with the URL of a proxy; empty if it can be used."""
    try:
        usable = host_of(proxy) and client_accepts(proxy=proxy)
    except ImportError:
        return "a SOCKS proxy needs a package that is not installed; type: pip install socksio"
    return "" if usable else "is not a proxy URL; write http://host:port, special characters as %XX"


def host_of(url: str) -> str:
    """Return the host of a URL; empty if it has no valid one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return host if parts.port != 0 and not re.search(r"\s", host) else ""
    except ValueError:
        return ""


def is_url(url: str) -> bool:
    """Whether the text is an http or https URL that the HTTP library accepts."""
    try:
        for library in http_libraries():
            library.URL(url)
    except http_errors("InvalidURL"):
        return False
    return urlsplit(url).scheme in ("http", "https") and bool(host_of(url))


def client_accepts(**arguments: object) -> bool:
    """Whether the HTTP library accepts these arguments; ImportError for a proxy that needs another package."""
    import ssl

    without_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    refusals: tuple[type[Exception], ...] = (ValueError, TypeError, *http_errors("InvalidURL"))
    try:
        for library in http_libraries():
            library.Client(**{"trust_env": False, "verify": without_certificates, **arguments}).close()
    except refusals:
        return False
    return True


def other_settings_to_check(properties: Mapping[str, str], cause: str) -> str:
    """Return the settings that may cause a failed request, as ', a and b' to follow the property url; or nothing."""
    names: list[str] = []
    if cause == "HTTP 401":
        names.append(CREDENTIALS_PROPERTY)
    if "CERTIFICATE" in cause:
        names.append(CA_PROPERTY)
        if CA_PROPERTY not in properties:
            names += [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)][:1]
    if "proxy" in properties:
        names.append("proxy")
    else:
        names += list(proxy_variables(properties["url"]))[:1]
    if not names:
        return ""
    return "".join(f", {name}" for name in names[:-1]) + f" and {names[-1]}"


def proxy_variables(urls: str) -> Iterator[str]:
    """Yield the variables that set a proxy for one of these URLs, separated by commas."""
    from urllib.request import proxy_bypass

    for url in map(str.strip, urls.split(",")):
        schemes = [scheme for scheme in (urlsplit(url).scheme, "all") if scheme in proxies()]
        if schemes and not proxy_bypass(host_of(url)):
            yield proxy_variable(schemes[0])
