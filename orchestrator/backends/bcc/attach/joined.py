"""One program at many places by one link (design/joining.py). It ends when its descriptor is
closed, in one grace period, however many places it has."""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext

from orchestrator.backends.bcc.design.groups import is_at_return
from orchestrator.backends.bcc.design.joining import pack_cookie
from orchestrator.backends.bcc.design.layout import HookSide
from orchestrator.backends.bcc.design.mechanism import Mechanism
from orchestrator.backends.bcc.handles.attachment import Attachment
from orchestrator.kernel.abi import bpf_links
from orchestrator.kernel.abi.file_identity import open_unchanged

__all__ = ["PlacesRefused", "attach_joined"]

_ENOTSUPP = 524  # include/linux/errno.h: an instruction that cannot be probed
#: What the kernel says of a place; other errors are of the link or the program.
_OF_A_PLACE = frozenset(
    {
        *(errno.EINVAL, errno.ENOENT, errno.ESRCH, errno.EILSEQ, errno.EBUSY, errno.EEXIST),
        *(errno.EOPNOTSUPP, errno.ERANGE, errno.EIO, _ENOTSUPP),
    }
)
#: Each is found by about ten more links; where there are more, all are attached one by one.
_MOST_REFUSED = 8

MakeLink = Callable[[Sequence[HookSide]], int]


class PlacesRefused(Exception):
    """The kernel makes no link that has the places of `sides` among others; the text says why."""

    def __init__(self, sides: Sequence[HookSide], refused: OSError) -> None:
        self.sides = tuple(sides)
        name = errno.errorcode.get(refused.errno or 0, f"errno {refused.errno}")
        super().__init__(f"a link for many places was refused: {refused.strerror} ({name})")


def attach_joined(
    sides: Sequence[HookSide], mechanism: Mechanism, program: int, process: int = 0
) -> Attachment:
    """Attach a program at the places of all `sides`: functions of the kernel, or places in one
    file, in one `process` or all (0). Raises PlacesRefused, and OSError where the file is another
    one now."""
    if mechanism == "kprobe multi":
        link = _link_all(sides, lambda some: _link_functions(some, program))
        place = f"one link for {len(sides)} functions"
        return Attachment(mechanism=mechanism, place=place, fds=[link])
    hook = sides[0].hook
    same = nullcontext(hook.path)
    opened = same if hook.identity is None else open_unchanged(hook.path, hook.identity)
    scope = f" in process {process}" if process else ""
    place = f"one link for {len(sides)} places in {hook.path}{scope}"
    with ExitStack() as undoing:
        with opened as path:
            link = _link_all(sides, lambda some: _link_places(some, path, program, process))
            attachment = Attachment(mechanism=mechanism, place=place, fds=[link])
            undoing.callback(attachment.detach)
        undoing.pop_all()
    return attachment


def _link_functions(sides: Sequence[HookSide], program: int) -> int:
    symbols = [side.hook.symbol for side in sides]
    returns = is_at_return(sides[0])
    return bpf_links.link_functions(
        program, symbols, list(map(pack_cookie, sides)), returns=returns
    )


def _link_places(sides: Sequence[HookSide], path: str, program: int, process: int) -> int:
    places = [
        bpf_links.FilePlace(offset=side.hook.file_offset, semaphore=side.hook.semaphore)
        for side in sides
    ]
    cookies, returns = list(map(pack_cookie, sides)), is_at_return(sides[0])
    return bpf_links.link_places(program, path, places, cookies, returns=returns, process=process)


def _link_all(sides: Sequence[HookSide], attempt: MakeLink) -> int:
    try:
        return attempt(sides)
    except OSError as error:
        refused = error
    if refused.errno not in _OF_A_PLACE:
        raise PlacesRefused(sides, refused)
    found = _find_refused(sides, attempt)
    raise PlacesRefused(found if 0 < len(found) <= _MOST_REFUSED else sides, refused)


def _find_refused(sides: Sequence[HookSide], attempt: MakeLink) -> list[HookSide]:
    """Those that the kernel refuses by themselves, by halves; more than _MOST_REFUSED where there
    are more."""
    found: list[HookSide] = []
    left = [sides]
    while left and len(found) <= _MOST_REFUSED:
        some = left.pop()
        try:
            os.close(attempt(some))
        except OSError:
            half = len(some) // 2
            if half:
                left += [some[half:], some[:half]]
            else:
                found += some
    return found
