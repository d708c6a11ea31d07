"""Which hosts are development hosts: nothing is ever recorded for them (DESIGN §4.1)."""

from __future__ import annotations

import ipaddress

_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "0.0.0.0/32", "::1/128", "10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12")
)
_SUFFIXES = (".local", ".localhost")
MAX_HOST = 253


def host_name(host: str) -> str:
    """Return the name of a Host header without its port, brackets and final dot, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    if colon and ":" not in name and (not port or port.isdigit()):
        host = name
    return host.rstrip(".")


def is_development_host(host: str) -> bool:
    """Whether ``host`` (a name or address, with or without a port) is a development host.

    An empty host is one: a request that does not say where it goes is no visitor's.
    """
    name = host_name(host)
    if not name or name == "localhost" or name.endswith(_SUFFIXES):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in _NETWORKS)
