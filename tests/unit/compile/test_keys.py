"""Keys that are computed: definitions without a name."""

from collections.abc import Callable

import pytest

from orchestrator.compile.program import Program


def test_the_same_expression_in_two_keys_is_evaluated_once(
    compiled: Callable[..., Program],
) -> None:
    program = compiled("""
probes:
  p:
    attach: function:vfs_read
    metrics:
      n: {count: true, by: [comm, "args.count // 4096"]}
      sum: {sum: retval, by: [{pages: "args.count // 4096"}]}
""")
    assert [let.name for let in program.hooks[0].body.lets] == ["(args.count // 4096)"]
    assert [[part.name for part in metric.key] for metric in program.metrics] == [
        ["comm", "args.count // 4096"],
        ["pages"],
    ]


@pytest.mark.parametrize("by", ["[start.wanted // 2]", "[{half: start.wanted // 2}]"])
def test_a_span_computes_its_keys_at_the_end(compiled: Callable[..., Program], by: str) -> None:
    program = compiled(f"""
probes:
  first: {{attach: "entry:vfs_read", let: {{wanted: args.count}}}}
  last: {{attach: "kretprobe:vfs_read"}}
spans:
  s: {{start: first, end: last, key: [tid], metrics: {{n: {{count: true, by: {by}}}}}}}
""")
    [span] = program.spans
    assert [value.name for value in span.kept] == ["start.wanted"]
    assert [part.form for part in span.metrics[0].key] == ["u64"]


def test_what_is_outstanding_keeps_the_computed_part_of_its_key(
    compiled: Callable[..., Program],
) -> None:
    program = compiled("""
probes:
  first: {attach: "entry:vfs_read", let: {wanted: args.count}}
  last: {attach: "kretprobe:vfs_read"}
outstanding:
  o: {open: first, close: last, key: [tid], value: wanted, by: [comm, {pages: wanted // 4096}]}
""")
    [span] = program.spans
    assert span.resource is not None
    assert [part.name for part in span.resource.shown.key] == ["comm", "pages"]
