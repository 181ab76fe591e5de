"""The addresses at which a process listens."""

import ipaddress

import psutil


def addresses_of_listener(port: int) -> set[str]:
    """All addresses at which the process of a local port accepts connections, on any port."""
    listeners = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    pids = {each.pid for each in listeners if each.laddr.port == port}
    if len(pids) != 1 or None in pids:
        raise AssertionError(f"port {port} is used by the processes {pids}")
    return {each.laddr.ip for each in listeners if each.pid in pids}


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address; Java writes 127.0.0.1 as ::ffff:127.0.0.1."""
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
