"""The shape of a program in words: complete, the same for the same text, and compared aspect by
aspect."""

from itertools import combinations

import pytest

from orchestrator.backends.bcc.compiler.places import OpenProgram
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.compiled import make_program_key
from orchestrator.backends.protocol import Artifact
from orchestrator.bundle.model import BundledProgram
from orchestrator.bundle.shape import describe_shape, find_nearest
from orchestrator.plan.load import load_plan
from orchestrator.run.prepare import prepare
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import PLANS

#: Other alternatives, mechanisms, widths, lengths, numbers of attach points, and no atomics.
DIFFERING = ("io-sizes", "tcp-accepts", "oom-kills", "capability-checks", "slow-io")
LAYOUT = f"{HEAD}probes: {{p: {{attach: 'tracepoint:sched:sched_switch', emit: [pid, comm]}}}}\n"


def artifact_of(plan: str | bytes, kernel: str, **overrides: dict[str, str]) -> Artifact[BccDetail]:
    path = plan if isinstance(plan, bytes) else PLANS[plan]
    prepared = prepare(load_plan(path, **overrides), recorded(kernel), backend="bcc")
    return prepared.choice.artifact


def bundled(shape: dict[str, str]) -> BundledProgram:
    return BundledProgram(program=OpenProgram(code={}), slots=(), shape=shape)


def without_names(shape: dict[str, str]) -> dict[str, str]:
    """Without the attach points' names, which no text depends on."""
    return {name: words for name, words in shape.items() if not name.endswith(" attach points")}


@pytest.mark.parametrize("plan", DIFFERING)
def test_texts_that_differ_have_shapes_that_differ_and_equal_ones_differ_in_names_alone(plan):
    artifacts = [artifact_of(plan, kernel) for kernel in ("5.10", "6.1", "6.12")]
    shapes = [(make_program_key(made, "0"), describe_shape(made)) for made in artifacts]
    for (key, shape), (other, its_shape) in combinations(shapes, 2):
        if key == other:
            assert without_names(shape) == without_names(its_shape)
        else:
            assert shape != its_shape


def test_a_shape_has_no_number_of_the_host():
    one, other = (
        artifact_of(LAYOUT.encode(), "6.1", target={"pid": number}) for number in ("7", "123456")
    )
    assert one.numbers != other.numbers
    assert describe_shape(one) == describe_shape(other)


def test_lengths_and_texts_of_settings_are_in_the_shape():
    plan = (
        f"{HEAD}params: {{name: {{type: string, default: x}}}}\n"
        "probes: {p: {attach: 'syscall:openat', "
        "where: 'str(args.filename, 32) == params.name', emit: {f: 'str(args.filename, 32)'}}}\n"
    ).encode()
    shape = describe_shape(artifact_of(plan, "6.1", settings={"name": "passwd"}))
    assert shape["probe p, field f"] == "string of 32 bytes"
    assert shape["probe p, text 'passwd'"] == "used"
    assert shape["probe p, mechanism"] == "perf tracepoint"


def test_the_nearest_program_differs_in_the_fewest_aspects_and_they_are_said():
    wanted = {"a": "1", "b": "2", "c": "3"}
    near, far = bundled({"a": "1", "b": "5", "d": "4"}), bundled({"a": "7", "b": "8", "d": "4"})
    nearest = find_nearest(wanted, {"far": far, "near": near, "too": near})
    assert nearest is not None
    assert nearest.key == "near"
    assert nearest.differences == (
        "b: wanted 2, and there it is 5",
        "c: wanted 3, and there it is missing",
        "d: not wanted, and there it is 4",
    )


def test_an_equal_shape_has_no_differences_and_no_program_is_near_where_there_is_none():
    nearest = find_nearest({"a": "1"}, {"k": bundled({"a": "1"})})
    assert nearest is not None
    assert nearest.differences == ()
    assert find_nearest({"a": "1"}, {}) is None
