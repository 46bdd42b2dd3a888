"""Sockets that processes listen on."""

import ipaddress
import socket

import psutil


def listening(process: int) -> set[str]:
    """Addresses on which a process and its descendants accept TCP connections."""
    family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    connections = [connection for member in family for connection in member.net_connections("tcp")]
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address that something listens on."""
    return ipaddress.ip_address(address).is_loopback


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
