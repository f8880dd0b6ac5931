"""The proxy that a request to a host goes through, as curl and others read it from the environment."""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.parse import urlsplit

from detkds.errors import ConfigError

_SCHEMES = ("http", "https")


def proxy_for(scheme: str, host: str) -> str | None:
    """The address of the proxy for requests to `scheme`://`host`; None where they go straight.

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are read, in small letters too. This machine itself is never asked through a proxy.

    Args:
        scheme: http or https.
        host: with or without a port.

    Raises:
        ConfigError: the proxy is none of http:// or https://; its password is not in the message.
    """
    proxies = urllib.request.getproxies_environment()
    address = proxies.get(scheme) or proxies.get("all")
    if not address or _is_here(host) or urllib.request.proxy_bypass_environment(host, proxies):  # type: ignore[attr-defined]
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        got = f"must be an address as http://proxy:3128, got one of {parts.scheme or 'no'} scheme"
        raise ConfigError(f"{scheme.upper()}_PROXY {got}; correct it, or name {urlsplit(f'//{host}').hostname} in NO_PROXY.")
    return parts.geturl()


def proxy_host(address: str | None) -> str:
    """host:port of a proxy's address, without a user and password."""
    return urlsplit(address or "").netloc.rpartition("@")[2]


def _is_here(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
