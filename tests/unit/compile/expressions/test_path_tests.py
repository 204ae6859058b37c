"""Conditions on paths: their C on every kernel, and what is refused."""

from collections.abc import Callable

import pytest

from orchestrator.backends.bcc import artifact
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel


@every_kernel
def test_all_tests_compile_on_every_kernel(kernel: str) -> None:
    """Of files and of dentries, through definitions, and of the entry of a call."""
    text = """
probes:
  p:
    attach: rawtracepoint:sched_process_exec
    let: {f: args.bprm.file, p: path(f), d: path(f.f_path.dentry)}
    where: under(f, "/usr") and not endswith(p, ".sh") and p != "/usr/bin/true"
    emit: {a: 'p in ("/a", "/b/c")', b: 'under(d, "/")', c: 'entry(p == "/x")'}
"""
    facts = recorded(kernel)
    program = compile_plan(load_plan((HEAD + text).encode()), facts)
    assert artifact.emit(program, facts).text.count("pp_walk_begin(&walk") == 7


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ('path(args.bprm.file) == "etc/x"', "no path is 'etc/x'"),
        ('path(args.bprm.file) == "/etc/"', "no path is '/etc/'"),
        ('under(args.bprm.file, "/etc/../x")', "no path is"),
        ('endswith(path(args.bprm.file), "a//b")', "no path ends with"),
        ('endswith(path(args.bprm.file), "")', "no path ends with"),
        (f'under(args.bprm.file, "/{"a" * 129}")', "too long to be compared"),
        (f'under(args.bprm.file, "{"/a" * 17}")', "too long to be compared"),
        ('path(args.bprm.file) < "/etc"', "not defined for paths"),
        ("path(args.bprm.file) == comm", "constant string"),
        ('under(args.bprm, "/etc")', "needs a pointer to a struct file"),
        ('under(comm, "/etc")', "needs a pointer"),
        ('glob(path(args.bprm.file), "*x")', "needs a string"),
    ],
)
def test_what_no_path_can_be_is_a_finding(
    compiled: Callable[..., Program], test: str, reason: str
) -> None:
    with pytest.raises(PlanError, match=reason):
        compiled(
            "probes: {p: {attach: 'rawtracepoint:sched_process_exec', "
            f"where: '{test}', emit: {{}}}}}}"
        )
