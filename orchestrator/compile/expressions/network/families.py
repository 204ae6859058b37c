"""Families of addresses (include/linux/socket.h)."""

__all__ = ["AF_INET", "AF_INET6", "IP_FAMILIES"]

AF_INET, AF_INET6 = 2, 10
#: Those whose addresses are of IP, with a port.
IP_FAMILIES = (AF_INET, AF_INET6)
