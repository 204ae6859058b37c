"""Process ids where the kernel's differ from ours."""

import os

import pytest

from orchestrator.backends.bcc.attach.identity import check_namespace
from orchestrator.plan.findings import HostError
from tests.support.bcc_maps import recorded_program

PROBES = "probes: {p: {attach: 'entry:vfs_read', emit: {}}}\n"


@pytest.mark.parametrize("target", ["pid: [1]", "tid: [1]", "children: true"])
def test_a_target_by_ids_is_refused_in_a_pid_namespace(target: str) -> None:
    program = recorded_program(f"target: {{{target}}}\n{PROBES}")
    with pytest.raises(HostError, match="PID namespace") as refused:
        check_namespace(program.target, os.getpid() + 1)
    assert "--pid=host" in refused.value.findings[0].hint
    check_namespace(program.target, os.getpid())


def test_other_targets_do_not_need_ids() -> None:
    program = recorded_program(f"target: {{comm: [sshd]}}\n{PROBES}")
    check_namespace(program.target, os.getpid() + 1)
