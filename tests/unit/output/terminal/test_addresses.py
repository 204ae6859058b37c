"""Which keys of a plan are addresses: by the types that the kernel has for them."""

from orchestrator.compile.lower import compile_plan
from orchestrator.output.terminal.addresses import list_address_keys, show_addresses
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.samples import metric

PLAN = """
probes:
  a:
    attach: "function:vfs_read"
    let: {file: args.file, size: args.count}
    metrics: {calls: {count: true, by: [file, size, comm]}}
"""


def test_a_pointer_in_a_key_is_hexadecimal_and_a_size_is_not() -> None:
    keys = list_address_keys(compile_plan(load_plan((HEAD + PLAN).encode()), recorded("6.1")))
    assert {part.name: part.unit for part in keys["a", "calls"]}["file"] == "address"
    cell = {"key": {"file": 4096, "size": 4096, "comm": "cat"}, "other": False, "value": 1}
    record = {**metric("count", [cell, {"key": {}, "other": True, "value": 1}])}
    shown = show_addresses({**record, "probe": "a", "metric": "calls"}, keys)
    assert shown["cells"][0]["key"] == {"file": "0x1000", "size": 4096, "comm": "cat"}
    assert shown["cells"][1]["key"] == {}
    assert show_addresses(record, keys) == record, "of another metric"
