"""What was prepared for one process, made for another: `--target pid=N` is a number that programs
leave open, so that nothing else differs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.backends.protocol import Artifact, OpenNumber
from orchestrator.compile.program import ResolvedTarget
from orchestrator.plan.model import Target

__all__ = ["ANY_PID", "change_pid", "find_pid", "names_pid", "without_pid"]

_LARGEST_PID = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h
ANY_PID = _LARGEST_PID + 1  # takes the place of the number in what is kept
_NUMBER = "target.pid"  # its name among the open numbers


def find_pid(overrides: Mapping[str, Mapping[str, str]]) -> int | None:
    """The pid of `--target pid=N`; None where there is none, or are several."""
    text = overrides.get("target", {}).get("pid", "")
    if not re.fullmatch(r"[1-9][0-9]{0,6}", text) or int(text) > _LARGEST_PID:
        return None
    return int(text)


def without_pid(overrides: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    """The same, whatever pid is named: no pid is written like this."""
    return {**overrides, "target": {**overrides["target"], "pid": "*"}}


def change_pid(old: int, new: int) -> Callable[[Any], Any]:
    """A function that changes the pid in an object that has it, and returns others as they are."""
    in_comments = re.compile(rf"(?<={re.escape(_NUMBER)} = ){old}\b|(?<=pid in \(){old}(?=\))")

    def change(value: Any) -> Any:
        match value:
            case Target() | ResolvedTarget() if value.pid == (old,):
                return replace(value, pid=(new,))
            case OpenNumber(name=name, value=number) if (name, number) == (_NUMBER, old):
                return replace(value, value=new)
            case Artifact():
                return replace(value, text=in_comments.sub(str(new), value.text))
        return value

    return change


def names_pid(text: str, pid: int) -> bool:
    """Whether the number is anywhere in a text; it may be there for another reason."""
    return re.search(rf"(?<![0-9]){pid}(?![0-9])", text) is not None
