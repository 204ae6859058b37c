"""Rings begin with one host of each kernel build, only grow, and are the same each time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.collection import load_plugin

plugin = load_plugin("filter.rings")

DEFAULT = ["kernels", "10%", "100%"]
fleets = st.dictionaries(
    st.text("abcdefgh01", min_size=1, max_size=5), st.sampled_from("456"), min_size=1
)
percents = st.lists(st.integers(1, 100), min_size=1, max_size=4).map(sorted)


def fleet(count: int, *builds: str) -> dict[str, str]:
    return {f"host{number:03}": builds[number % len(builds)] for number in range(count)}


@given(fleets)
def test_the_first_ring_has_one_host_of_each_kernel_build(kernels):
    first = plugin.make_rings(kernels, ["kernels"], "opens")[0]["hosts"]
    assert sorted(kernels[host] for host in first) == sorted(set(kernels.values()))


@given(fleets, percents)
def test_each_host_is_in_one_ring_and_rings_reach_as_far_as_they_say(kernels, sizes):
    rings = plugin.make_rings(kernels, [f"{size}%" for size in sizes], "opens")
    hosts = [host for ring in rings for host in ring["hosts"]]
    assert len(set(hosts)) == len(hosts) == math.ceil(len(kernels) * sizes[-1] / 100)


@given(fleets, st.randoms())
def test_the_order_of_the_inventory_does_not_matter(kernels, random):
    shuffled = list(kernels.items())
    random.shuffle(shuffled)
    rings = plugin.make_rings(kernels, DEFAULT, "opens")
    assert plugin.make_rings(dict(shuffled), DEFAULT, "opens") == rings


@given(fleets, st.integers(1, 100), st.integers(1, 100))
def test_a_larger_percentage_only_adds_hosts(kernels, one, other):
    small, large = (
        {h for ring in plugin.make_rings(kernels, [f"{size}%"], "opens") for h in ring["hosts"]}
        for size in sorted((one, other))
    )
    assert small <= large


def test_another_plan_begins_on_other_hosts():
    kernels = fleet(100, "6.1")
    first = {plugin.make_rings(kernels, [1], plan)[0]["hosts"][0] for plan in "abcdefgh"}
    assert len(first) > 1


def test_a_ring_without_new_hosts_is_left_out():
    rings = plugin.make_rings(fleet(8, "6.1", "6.12"), DEFAULT, "opens")
    assert [(ring["name"], len(ring["hosts"])) for ring in rings] == [("kernels", 2), ("100%", 6)]


def test_hosts_beyond_the_last_ring_are_not_touched():
    rings = plugin.make_rings(fleet(100, "6.1"), ["kernels", 5, "10%"], "opens")
    assert [len(ring["hosts"]) for ring in rings] == [1, 4, 5]


@pytest.mark.parametrize("size", ["all", "0%", "101%", "-3", "", "nan", "inf", "10 %x"])
def test_a_size_that_is_none_is_refused_with_its_value(size):
    with pytest.raises(ValueError, match=r"rollout_rings: .* is not `kernels`") as error:
        plugin.make_rings(fleet(8, "6.1"), ["kernels", size], "opens")
    assert repr(size) in str(error.value)


def test_rings_that_shrink_are_refused():
    with pytest.raises(ValueError, match="'10%' is less than what precedes it"):
        plugin.make_rings(fleet(8, "6.1"), ["50%", "10%"], "opens")


def test_a_build_is_named_so_that_a_file_can_be_called_so():
    facts = {"arch": "x86_64", "kernel": "6.1.0-28-amd64", "build_id": "5b1f6e0c9d8a7b6c5d4e"}
    odd = {"arch": "x86_64", "kernel": "6.1/../x", "build_id": None}
    hostvars = {
        name: {"ansible_facts": {"probeplan": found}}
        for name, found in {"one": facts, "other": odd}.items()
    }
    assert plugin.name_builds(hostvars, ["one", "other"]) == {
        "one": "x86_64-6.1.0-28-amd64-5b1f6e0c9d8a",
        "other": "x86_64-6.1_.._x-unknown",
    }
