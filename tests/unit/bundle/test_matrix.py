"""The matrix: what a plan comes to on recorded kernels, without a compiler and without root."""

import pytest

from orchestrator.backends.bcc.compiler import clang
from orchestrator.backends.compiled import make_program_key
from orchestrator.bundle.build import BuildOptions, draw_blueprint
from orchestrator.bundle.matrix import RecordedKernel, name_kernel
from orchestrator.bundle.model import Bundle, MatrixRow
from orchestrator.bundle.variants import list_variants
from orchestrator.plan.load import load_plan
from orchestrator.run.prepare import prepare
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import PLANS, X86_KERNELS

ALL = [RecordedKernel(name=name, facts=recorded(name)) for name in X86_KERNELS]
NO_KPROBES = "6.18-no-kprobes"


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_texts(*_: object) -> None:
        raise AssertionError("the compiler was started")

    monkeypatch.setattr(clang, "compile_texts", compile_texts)


def draw(plan: str | bytes, **options: object) -> Bundle:
    source = plan if isinstance(plan, bytes) else str(PLANS[plan])
    return draw_blueprint(source, ALL, BuildOptions(**options)).bundle


def as_recorded(bundle: Bundle) -> dict[str, MatrixRow]:
    return {r.kernel: r for r in bundle.matrix if r.fetching == r.trampolines == "as recorded"}


@pytest.mark.parametrize(
    ("plan", "backends", "mechanisms"),
    [
        ("slow-io", dict.fromkeys(X86_KERNELS, "bcc"), None),
        ("file-life", {**dict.fromkeys(X86_KERNELS, "bcc"), NO_KPROBES: None}, "fentry"),
    ],
)
def test_a_plan_has_the_expected_backend_on_each_kernel(plan, backends, mechanisms) -> None:
    rows = as_recorded(draw(plan))
    assert {name: row.backend for name, row in rows.items()} == backends
    for row in rows.values():
        assert (row.backend == "bcc") == (row.key is not None)
        if mechanisms and row.backend:
            assert mechanisms in row.mechanisms.values()


def test_alternatives_are_named_with_those_not_taken_and_why() -> None:
    rows = as_recorded(draw("vfs-reads"))
    assert rows["6.1"].alternatives == {"read": "function:vfs_read"}
    assert rows[NO_KPROBES].alternatives["read"].startswith("syscall:")
    [reason] = [why for name, why in rows[NO_KPROBES].skipped.items() if "vfs_read" in name]
    assert "CONFIG_KPROBES" in reason


def test_without_trampolines_functions_take_their_next_mechanism() -> None:
    rows = {
        row.trampolines: row
        for row in draw("vfs-reads").matrix
        if row.kernel == "6.1" and row.fetching == "as recorded"
    }
    assert rows["as recorded"].mechanisms == {"function:vfs_read": "fentry"}
    assert rows["none"].mechanisms == {"function:vfs_read": "dynamic event"}
    assert rows["none"].key != rows["as recorded"].key


def test_a_kernel_with_fetching_atomics_gives_the_program_of_one_without() -> None:
    """5.10 is served whether or not it was recorded."""
    matrix = draw("vfs-reads").matrix
    assert as_recorded(draw("vfs-reads"))["5.10"].key in {
        row.key for row in matrix if row.kernel == "6.1" and row.fetching == "none"
    }


@pytest.mark.parametrize("plan", ["vfs-reads", "off-cpu-time"])
def test_each_variant_has_the_program_that_a_host_without_it_would_make(plan: str) -> None:
    """As if that host's own facts were resolved: what is planned for several variants at once is
    what each is planned for alone."""
    rows = {
        (row.fetching, row.trampolines): row for row in draw(plan).matrix if row.kernel == "6.12"
    }
    for variant in list_variants(recorded("6.12")):
        artifact = prepare(load_plan(PLANS[plan]), variant.facts).choice.artifact
        row = rows[variant.fetching, variant.trampolines]
        assert row.key == make_program_key(artifact)
        assert row.memory == sum(artifact.memory.values())
    assert len(rows) == 4


def test_where_nothing_serves_a_kernel_the_reasons_are_findings_of_the_plan() -> None:
    blueprint = draw_blueprint(str(PLANS["file-life"]), ALL, BuildOptions())
    assert {row.kernel for row in blueprint.unserved} == {NO_KPROBES}
    assert all(
        reason.startswith("file-life.yaml:24:13: error[PP080]: ")
        for row in blueprint.unserved
        for reason in row.reasons[:1]
    )


def test_each_combination_of_values_is_planned_and_one_program_serves_all_of_its_text() -> None:
    plan = (
        HEAD
        + """\
params:
  call: {type: choice, choices: [read, write], default: read}
probes: {p: {attach: 'syscall:$(params.call)', emit: [pid]}}
"""
    ).encode()
    bundle = draw(plan, params={"call": ["read", "write"]}, with_command=True)
    assert [(one.params["call"], one.command) for one in bundle.settings] == [
        ("read", False),
        ("read", True),
        ("write", False),
        ("write", True),
    ]
    rows = {r.settings.params["call"]: r for r in bundle.matrix if not r.settings.command}
    assert rows["read"].mechanisms == {"syscall:read": "perf tracepoint"}
    assert rows["write"].mechanisms == {"syscall:write": "perf tracepoint"}
    assert rows["read"].key == rows["write"].key


def test_a_cgroup_that_is_not_here_is_an_open_number() -> None:
    for path in ("/no-such.slice", "/no-such.slice/docker-*"):
        rows = as_recorded(draw("slow-io", target={"cgroup": [path]}))
        assert {row.backend for row in rows.values()} == {"bcc"}


PARAMS = f"""{HEAD}params:
  call: {{type: choice, choices: [read, write], default: read}}
  many: {{type: int, default: 3}}
  open: {{type: bool, default: true}}
  every: {{type: ratio, default: 1/10}}
  name: {{type: string, default: a}}
probes:
  p:
    attach: 'syscall:$(params.call)'
    sample: params.every
    where: args.count > params.many and params.open and comm == params.name
    emit: [pid]
"""


@pytest.mark.parametrize(
    ("options", "other"),
    [
        ({"target": {"pid": ["1", "2"]}}, False),
        ({"target": {"uid": ["0", "7"]}}, False),
        ({"target": {"cgroup": ["/a", "/b"]}}, False),
        ({"target": {"exe": ["/no/such", "/no/other"]}}, False),
        ({"target": {"not.pid": ["1", "2"]}}, False),
        ({"target": {"not.exe": ["/no/such", "/no/other"]}}, False),
        ({"target": {"not.cgroup": ["/a", "/b"]}}, False),
        ({"target": {"not.pidns": ["4026532201", "4026532202"]}}, False),
        ({"params": {"many": ["4", "5"]}}, False),
        ({"params": {"open": ["true", "false"]}}, False),
        ({"params": {"every": ["1/10", "1/20"]}}, False),
        ({"target": {"pid": ["1", "1,2"]}}, True),
        ({"target": {"comm": ["a", "b"]}}, True),
        ({"target": {"cgroup": ["/a", "/a/b"]}}, True),
        ({"target": {"exe": ["/a", "/a,/b"]}}, True),
        ({"target": {"not.comm": ["a", "b"]}}, True),
        ({"target": {"not.pid": ["1", "1,2"]}}, True),
        ({"target": {"not.cgroup": ["/a", "/a/b"]}}, True),
        ({"params": {"name": ["a", "b"]}}, True),
    ],
)
def test_a_host_may_give_other_numbers_and_no_other_text(options: dict, other: bool) -> None:
    """What docs/bundles.md says of both: two values have one program, or two."""
    bundle = draw_blueprint(PARAMS.encode(), ALL[:1], BuildOptions(**options)).bundle
    by_settings = {str(row.settings): row.key for row in bundle.matrix if row.is_recorded}
    assert len(by_settings) == 2
    assert len(set(by_settings.values())) == 1 + other


def test_a_command_has_programs_that_follow_descendants() -> None:
    keys = {
        row.settings.command: row.key
        for row in draw("slow-io", with_command=True).matrix
        if row.kernel == "6.1" and row.fetching == row.trampolines == "as recorded"
    }
    assert keys[False] != keys[True]


@pytest.mark.parametrize(
    ("file", "name"),
    [("a/b/6.1.facts.xz", "6.1"), ("web.xz", "web"), ("host", "host"), (".facts.xz", ".facts")],
)
def test_a_kernel_has_the_name_of_its_recording(file: str, name: str) -> None:
    assert name_kernel(file) == name
