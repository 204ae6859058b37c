"""Bundles that are refused: each case of the table in docs/bundles.md has its finding, one, and its
exit code."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bundle.file import read_bundle, write_bundle
from orchestrator.bundle.model import Bundle
from orchestrator.cli import main
from tests.support.bundled_runs import build_file
from tests.support.bundles import fold_all, rewrite_bundle, unfold_all
from tests.support.compiling import compile_to_nothing
from tests.support.paths import KERNELS, ROOT
from tests.support.recorded import HEAD, recorded

PLAN = f"{HEAD}probes: {{p: {{attach: 'tracepoint:sched:sched_switch', emit: []}}}}\n".encode()
KERNEL = str(KERNELS / "6.1.facts.xz")
Damage = Callable[[bytes], bytes]


def _rebuilt(**changes: Any) -> Damage:
    return lambda content: write_bundle(replace(_read(content), **changes))


def _read(content: bytes) -> Bundle:
    return read_bundle(content, "some.ppb")


def _replaced(old: bytes, new: bytes) -> Damage:
    def change(content: bytes) -> bytes:
        plain = unfold_all(content)
        assert old in plain
        return fold_all(plain.replace(old, new, 1))

    return change


def _misplaced(place: list[Any]) -> Damage:
    def change(head: Any) -> None:
        program = next(iter(head["programs"].values()))
        program["slots"] = ["some.number"]
        program["places"] = {next(iter(program["functions"])): [place]}

    return lambda content: rewrite_bundle(change, content)


#: By the beginning of the row in the table: ways to come to it.
CASES: dict[str, list[Damage]] = {
    "cut short": [
        lambda content: content[:-20],
        lambda content: content + b"\n",
        lambda _: fold_all(bytes(17 << 20)),
        lambda _: fold_all(b"[" * 100_000 + b"\n"),
        lambda _: Path(KERNEL).read_bytes(),
    ],
    "a place outside": [
        _misplaced([2, "add", 0]), _misplaced([0, "add", 0]), _misplaced([0, "record", 1]),
    ],
    "bytes changed": [
        _replaced(b"sched_switch", b"sched_waking"), _replaced(b"\xb7", b"\xb4"),
        _replaced(b'"created":1', b'"created":2'),
    ],
    "built by a newer": [
        _rebuilt(builder="99.0"), _replaced(b"probeplan-bundle/1", b"probeplan-bundle/2"),
    ],
    "expired": [
        _rebuilt(created=1, expires=2), _rebuilt(created=1 << 40), _rebuilt(arch="aarch64"),
    ],
}  # fmt: skip


def table() -> dict[str, tuple[str, int]]:
    """The page's table: the code of the finding and the exit code, by case."""
    text = (ROOT / "docs" / "bundles.md").read_text()
    [_, section] = text.split("\n## When a bundle is refused\n")
    rows = [re.split(r" *\| *", line.strip("| ")) for line in section.splitlines() if "|" in line]
    return {case: (finding, int(code)) for case, finding, code in rows[2:]}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with pytest.MonkeyPatch.context() as patching:
        compile_to_nothing(patching)
        file = tmp_path_factory.mktemp("bundle") / "some.ppb"
        return build_file(file, PLAN, ["6.1"]).read_bytes()


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded kernel is unpacked once for all tests."""
    monkeypatch.setattr("orchestrator.kernel.facts.load_facts", lambda _path: recorded("6.1"))


ALL = [(case, number) for case, ways in CASES.items() for number in range(len(ways))]


@pytest.mark.parametrize(("case", "number"), ALL)
def test_each_case_has_one_finding_and_its_exit_code(
    case: str, number: int, content: bytes, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """For people and for programs; and no traceback."""
    monkeypatch.setattr("orchestrator.bundle.opening.installed_version", lambda: "0.1.0")
    file = tmp_path / "some.ppb"
    file.write_bytes(CASES[case][number](content))
    [(finding, exit_code)] = [row for name, row in table().items() if name.startswith(case)]
    assert main(["explain", str(file), "--kernel", KERNEL]) == exit_code
    text = "".join(capsys.readouterr())
    assert re.findall(r"error\[(PP\d+)\]", text) == re.findall(r"PP\d+", finding)[:1]
    assert f"{file}: error[" in text
    assert "\n  hint: " in text
    assert "Traceback" not in text


def test_a_plan_that_a_policy_denies_is_refused_in_a_bundle_too(
    content: bytes, tmp_path: Path, capsys: Any
) -> None:
    """By the rules for plans, the digest of its text among them."""
    policy, file = tmp_path / "policy.yaml", tmp_path / "some.ppb"
    file.write_bytes(content)
    signers = tmp_path / "signers"
    signers.write_text("")
    head = f"apiVersion: probeplan/v1\nkind: Policy\nsignatures: {{signers: {signers}}}\n"
    explain = ["explain", str(file), "--kernel", KERNEL, "--policy", str(policy)]
    policy.write_text(f"{head}deny_kinds: [tracepoint]\n")
    assert main(explain) == 3
    policy.write_text(f"{head}plans: ['{'0' * 64}']\n")
    assert main(explain) == 3
    capsys.readouterr()
    policy.write_text(f"{head}plans: ['{hashlib.sha256(PLAN).hexdigest()}']\n")
    assert main(explain) == 0


def test_a_policy_that_names_no_signers_takes_no_bundle(
    content: bytes, tmp_path: Path, capsys: Any
) -> None:
    """Though it allows the plan: nothing says that the programs are that plan's."""
    policy, file = tmp_path / "policy.yaml", tmp_path / "some.ppb"
    file.write_bytes(content)
    allowed = f"plans: ['{hashlib.sha256(PLAN).hexdigest()}']\n"
    policy.write_text(f"apiVersion: probeplan/v1\nkind: Policy\n{allowed}")
    for command in (["explain", "--kernel", KERNEL], ["lint"]):
        name, *options = command
        assert main([name, str(file), *options, "--policy", str(policy)]) != 0
        assert f"{file}: error[PP134]: " in "".join(capsys.readouterr())


def test_the_table_lists_what_is_tested_here_and_next_to_it() -> None:
    """Numbers that are too large are in tests/unit/bundle/test_programs.py, signatures in
    test_signatures.py there."""
    others = {
        "a number that is too large",
        "unsigned",
        "the plan is denied",
        "a policy has no rules",
    }
    starts = [*CASES, *others]
    for case in table():
        assert sum(case.startswith(start) for start in starts) == 1, case
    assert len(table()) == len(starts)
