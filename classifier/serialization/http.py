"""How the Schema Registry is reached: the HTTP library of Confluent's client, proxies and trusted certificates.

What the environment says of these is checked before anything is asked, and a mistake is told by the variable's name,
never by its value: a proxy's URL can hold a password.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from urllib.parse import urlsplit

from classifier.errors import ConfigError

HTTP_LIBRARIES = ("httpx2", "httpx")  # the first from confluent-kafka 2.16 on; it is imported by that client
PROXIES = ("all", "http", "https")
CA = "ssl.ca.location"


def http_libraries() -> tuple[ModuleType, ...]:
    """Return the library by which Confluent's client speaks HTTP, once that client is imported."""
    return tuple(sys.modules[name] for name in HTTP_LIBRARIES if name in sys.modules)


def http_errors(*names: str) -> tuple[type[Exception], ...]:
    """Return the errors of that library by their names."""
    return tuple[type[Exception], ...](getattr(library, name) for library in http_libraries() for name in names)


def check_transport(properties: Mapping[str, str]) -> None:
    """Raise ConfigError for a proxy or certificates that cannot be used, with the variable or property that says so."""
    if CA not in properties:
        check_variable("SSL_CERT_FILE", "is not a certificate file", certificates_of)
        if not os.environ.get("SSL_CERT_FILE"):  # which counts before
            check_variable("SSL_CERT_DIR", "is not a directory", os.listdir)
    check_variable("SSLKEYLOGFILE", "is not a writable file", appendable)
    if "proxy" in properties:
        if complaint := proxy_complaint(properties["proxy"]):
            raise ConfigError(f"[schema_registry] proxy: {complaint}")
        return
    for scheme, proxy in proxies().items():
        if complaint := proxy_complaint(proxy):
            where = proxy_variable(scheme)
            raise ConfigError(f"environment: {where}: {complaint}, or type: unset {where}")
    if not can_be_made(trust_env=True):  # all but the exceptions have been tried
        where = variable("no_proxy")
        raise ConfigError(f"environment: {where}: hosts are written host or host:port, separated by commas")


def check_variable(name: str, complaint: str, use: Callable[[str], object]) -> None:
    """Raise ConfigError if what a variable names cannot be used."""
    if not (named := os.environ.get(name)):
        return
    try:
        use(named)
    except OSError:
        raise ConfigError(f"environment: {name}: its value {complaint}; set one, or type: unset {name}") from None


def certificates_of(path: str) -> None:
    """Read a file as the ssl module reads certificates."""
    import ssl

    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)


def appendable(path: str) -> None:
    """Open a file as the ssl module does to write keys to it."""
    import ssl

    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).keylog_filename = path


def proxies() -> dict[str, str]:
    """Return the proxies of the environment, or of the system, by the scheme of URLs they are for."""
    from urllib.request import getproxies  # slow to import, with the ssl module: --help need not wait for it

    found = {scheme: proxy for scheme, proxy in getproxies().items() if scheme in PROXIES and proxy}
    return {scheme: proxy if "://" in proxy else f"http://{proxy}" for scheme, proxy in found.items()}


def variable(name: str) -> str:
    """Return a variable as the environment spells it; small letters count before capitals."""
    spelt = [each for each in sorted(os.environ, reverse=True) if each.lower() == name]
    return spelt[0] if spelt else name.upper()


def proxy_variable(scheme: str) -> str:
    """Return the variable that names a proxy."""
    return variable(f"{scheme}_proxy")


def proxy_complaint(proxy: str) -> str:
    """Say what is wrong with the URL of a proxy, nothing if it can be used."""
    try:
        usable = host_of(proxy) and can_be_made(proxy=proxy)
    except ImportError:
        return "a SOCKS proxy needs a package that is not installed; type: pip install socksio"
    return "" if usable else "is not a proxy URL; write http://host:port, special characters as %XX"


def host_of(url: str) -> str:
    """Return the host in a URL, nothing where there is none that can be one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return host if parts.port != 0 and not re.search(r"\s", host) else ""
    except ValueError:
        return ""


def is_url(url: str) -> bool:
    """Whether a registry can be at this address."""
    try:
        for library in http_libraries():
            library.URL(url)
    except http_errors("InvalidURL"):
        return False
    return urlsplit(url).scheme in ("http", "https") and bool(host_of(url))


def can_be_made(**how: object) -> bool:
    """Whether an HTTP client can be made so; ImportError for a proxy that takes another package."""
    import ssl

    no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unusable: tuple[type[Exception], ...] = ValueError, TypeError, *http_errors("InvalidURL")
    try:
        for library in http_libraries():
            library.Client(**{"trust_env": False, "verify": no_certificates, **how}).close()
    except unusable:
        return False
    return True


def also_to_check(properties: Mapping[str, str], cause: str) -> str:
    """Say what to look at beside its url when the Schema Registry does not answer as it should."""
    names = list[str]()
    if "CERTIFICATE" in cause:
        trusted = [each for each in ("SSL_CERT_FILE", "SSL_CERT_DIR") if CA not in properties and os.environ.get(each)]
        names += [CA, *trusted[:1]]
    names += ["proxy"] if "proxy" in properties else list(proxies_used(properties["url"]))[:1]
    *most, last = "", *names
    return f"{', '.join(most)} and {last}" if names else ""


def proxies_used(urls: str) -> Iterator[str]:
    """Yield the variables that name a proxy for one of these URLs, separated by commas."""
    from urllib.request import proxy_bypass

    for url in map(str.strip, urls.split(",")):
        named = [scheme for scheme in (urlsplit(url).scheme, "all") if scheme in proxies()]
        if named and not proxy_bypass(host_of(url)):
            yield proxy_variable(named[0])
