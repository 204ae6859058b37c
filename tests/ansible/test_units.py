"""A run's parameters, as the drop-in of a unit has them."""

import pytest

from tests.support.collection import load_plugin

plugin = load_plugin("filter.units")


def test_options_of_a_unit_are_those_of_a_run_without_what_the_unit_has():
    parameters = {
        "set": {"fs": "ext4"},
        "target": {"pid": [1, 2]},
        "limits": {},
        "policies": [],
        "backend": "auto",
        "duration": "30s",
        "label": "two words",
        "shard": "5%",
        "expires": None,
        "keep": None,
    }
    assert plugin.format_unit_options(parameters).split(" ", 1)[1] == (
        "--backend=auto --set=fs=ext4 --target=pid=1,2 --duration=30s '--label=two words' "
        "--shard=5%%"
    )
    with pytest.raises(ValueError, match="a quote or a backslash cannot be passed to a unit"):
        plugin.format_unit_options(parameters | {"label": "don't"})
