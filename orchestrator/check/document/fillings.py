"""`$(…)` in a workload: params, the scratch folder, the check's folder, the number of operations.

Each text is read once from left to right, so that a value is never searched for further `$(…)`, and
a value cannot add an argument. Other `$(…)` are left alone: an argument may be a program of another
language.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from orchestrator.check.model import Check, MachineSpec, Workload
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.model import Param
from orchestrator.plan.nearest import find_nearest, suggest_name
from orchestrator.plan.params import show_value

__all__ = ["check_fillings", "fill_text", "fill_workload", "fillings_of", "names_operations"]

#: The names besides those of params.
PLACES = ("scratch", "here", "ops")
_FILLING = re.compile(r"\$\(\s*([A-Za-z_][A-Za-z0-9_.]*)\s*\)")
#: What begins like one, whether it ends or not.
_OPENING = re.compile(r"\$\(\s*([^)\s]*)\s*\)?")


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """`text` with the `$(NAME)` that `values` has."""
    return _FILLING.sub(lambda match: values.get(match[1], match[0]), text)


def fillings_of(check: Check, *, scratch: str, ops: int) -> dict[str, str]:
    """The values of all names, for a run with this scratch folder and number of operations."""
    params = {
        f"params.{name}": show_value(param.type, param.value)
        for name, param in check.params.items()
        if param.value is not None
    }
    return {**params, "scratch": scratch, "here": str(check.here), "ops": str(ops)}


def fill_workload(workload: Workload, values: Mapping[str, str]) -> Workload:
    """The workload with all its `$(…)` replaced."""

    def fill(argv: Iterable[str]) -> tuple[str, ...]:
        return tuple(fill_text(text, values) for text in argv)

    serve = workload.serve
    return replace(
        workload,
        run=fill(workload.run),
        setup=tuple(map(fill, workload.setup)),
        teardown=tuple(map(fill, workload.teardown)),
        serve=serve and replace(serve, run=fill(serve.run), ready=fill_text(serve.ready, values)),
        cwd=fill_text(workload.cwd, values),
        env={name: fill_text(text, values) for name, text in workload.env.items()},
        stdin=fill_text(workload.stdin, values),
        witness=fill(workload.witness),
    )


def names_operations(workload: Workload) -> bool:
    """Whether `$(ops)` is anywhere in what runs."""
    serve = workload.serve.run if workload.serve else ()
    commands = (workload.run, *workload.setup, serve)
    texts = [*(text for argv in commands for text in argv), *workload.env.values(), workload.stdin]
    return any(match[1] == "ops" for text in texts for match in _FILLING.finditer(text))


# ---------------------------------------------------------------- findings


def check_fillings(
    workload: Workload,
    params: Mapping[str, Param],
    collector: FindingCollector,
    machine: MachineSpec | None = None,
) -> None:
    """Report what is not defined: any `$(…)` where no other program reads it, in programs' names
    and paths; elsewhere only what looks like one of ours."""
    check = _FillingChecker(params, collector).check
    head: DocumentPath = ("workload",)
    for key, commands in (("setup", workload.setup), ("teardown", workload.teardown)):
        for index, argv in enumerate(commands):
            _check_argv(argv, (*head, key, index), check)
    _check_argv(workload.run, (*head, "run"), check)
    _check_argv(workload.witness, (*head, "witness"), check)
    if workload.serve is not None:
        _check_argv(workload.serve.run, (*head, "serve", "run"), check)
        check(workload.serve.ready, (*head, "serve", "ready"), True)
    check(workload.cwd, (*head, "cwd"), True)
    check(workload.stdin, (*head, "stdin"), True)
    for name, text in workload.env.items():
        check(text, (*head, "env", name), False)
    if machine is not None:
        check(machine.kernel, ("machine", "kernel"), True)
        for index, file in enumerate(machine.files):
            check(file, ("machine", "files", index), True)


def _check_argv(
    argv: Iterable[str], path: DocumentPath, check: Callable[[str, DocumentPath, bool], None]
) -> None:
    for index, text in enumerate(argv):
        check(text, (*path, index), index == 0)


class _FillingChecker:
    def __init__(self, params: Mapping[str, Param], collector: FindingCollector) -> None:
        self.params, self.collector = params, collector
        self.known = [*PLACES, *(f"params.{name}" for name in params)]

    def check(self, text: str, path: DocumentPath, strict: bool) -> None:
        """Report what `text` should not contain. `strict`: no other program reads it."""
        for match in _OPENING.finditer(text):
            if self._is_defined(match[0], match[1]):
                continue
            ours = match[1].startswith(("params.", "param."))
            if not (strict or ours or find_nearest(match[1], PLACES)):
                continue
            listed = ", ".join(f"$({name})" for name in self.known)
            self.collector.add(
                "PP209",
                f"{match[0]!r} is not defined",
                self.collector.document.value_position(path),
                suggest_name(match[1], self.known, f"known here: {listed}"),
                "error" if strict or ours else "warning",
            )

    def _is_defined(self, whole: str, name: str) -> bool:
        param = name.removeprefix("params.")
        known = name in self.known or self.collector.has_refused(("params", param))
        return known and _FILLING.fullmatch(whole) is not None
