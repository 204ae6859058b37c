"""Addresses and networks in plans."""

import pytest

from orchestrator.plan.expression.networks import IpNetwork, parse_networks
from orchestrator.plan.load import check_plan, load_plan
from tests.support.plans import probe


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("192.0.2.1", [(bytes([192, 0, 2, 1]), 32)]),
        ("10.0.0.0/8, ::1", [(bytes([10, 0, 0, 0]), 8), (bytes(15) + b"\1", 128)]),
        ("::ffff:192.0.2.0/120", [(bytes([192, 0, 2, 0]), 24)]),
        ("0.0.0.0/0", [(bytes(4), 0)]),
        ("2001:db8::/32", [(b"\x20\x01\x0d\xb8" + bytes(12), 32)]),
    ],
)
def test_networks_of_both_families(text: str, networks: list[tuple[bytes, int]]) -> None:
    """IPv4 that is mapped into IPv6 is IPv4."""
    assert parse_networks(text) == tuple(IpNetwork(*one) for one in networks)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.1/8", "bits after its prefix: the network is 10.0.0.0/8"),
        ("10.0.0.0/33", "is not an IP address"),
        ("fe80::1%eth0", "names an interface"),
        ("localhost", "is not an IP address"),
        ("", "is not an IP address"),
        ("::1,", "is not an IP address"),
        (",".join(["::1"] * 33), "at most 32"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_networks(text)


PARAM = "params: {nets: {type: net, default: NET}}"


def test_a_net_param_is_checked_where_it_is_written() -> None:
    good = load_plan(probe("emit: {}", before=PARAM.replace("NET", '"10.0.0.0/8, ::1"')))
    assert good.params["nets"].value == "10.0.0.0/8, ::1"
    [finding] = check_plan(probe("emit: {}", before=PARAM.replace("NET", "10.0.0.1/8")))[1]
    assert (finding.code, finding.position.line, finding.position.column) == ("PP066", 4, 37)
    assert "the network is 10.0.0.0/8" in finding.message
