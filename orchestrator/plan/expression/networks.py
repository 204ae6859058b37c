"""Addresses and networks that a plan compares with: `192.0.2.1`, `10.0.0.0/8`, `::1/128`."""

from orchestrator.values import dataclass

__all__ = ["IpNetwork", "parse_networks"]

MAX_NETWORKS = 32
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, IPv4 in IPv6 (RFC 4291, 2.5.5.2)
_MAPPED_BITS = 96


@dataclass(frozen=True, slots=True)
class IpNetwork:
    """All addresses whose first `bits` bits are those of `address`, 4 bytes (IPv4) or 16 (IPv6) in
    network order. IPv4 addresses that are mapped into IPv6 are IPv4."""

    address: bytes
    bits: int

    @property
    def is_single(self) -> bool:
        """Whether it is one address."""
        return self.bits == 8 * len(self.address)

    @property
    def holds_mapped(self) -> bool:
        """Whether, by its bits alone, IPv4 addresses that are mapped into IPv6 would be in it."""
        head = int.from_bytes(self.address) >> (128 - self.bits) if self.bits else 0
        mapped = int.from_bytes(_MAPPED + bytes(4)) >> (128 - self.bits) if self.bits else 0
        return len(self.address) == len(_MAPPED) + 4 and head == mapped


def parse_networks(text: str) -> tuple[IpNetwork, ...]:
    """The networks in `text`, between commas. Raises ValueError, whose text says what is wrong."""
    import ipaddress  # 5 ms, and few plans name addresses

    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MAX_NETWORKS:
        raise ValueError(f"{len(parts)} networks; at most {MAX_NETWORKS}")
    networks = []
    for part in parts:
        shown = f"{part[:60]!r}"
        try:
            network = ipaddress.ip_network(part, strict=False)
            exact = ipaddress.ip_interface(part)
        except ValueError:
            raise ValueError(f"{shown} is not an IP address or network") from None
        if "%" in part:
            raise ValueError(f"{shown} names an interface, which addresses in packets do not")
        if exact.ip != network.network_address:
            raise ValueError(f"{shown} has bits after its prefix: the network is {network}")
        networks.append(_unmap(network.network_address.packed, network.prefixlen))
    return tuple(networks)


def _unmap(address: bytes, bits: int) -> IpNetwork:
    if address.startswith(_MAPPED) and bits >= _MAPPED_BITS and len(address) > len(_MAPPED):
        return IpNetwork(address[len(_MAPPED) :], bits - _MAPPED_BITS)
    return IpNetwork(address, bits)
