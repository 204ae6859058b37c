# Copyright: the probeplan authors
# SPDX-License-Identifier: GPL-3.0-or-later
# (see COPYING: this plugin runs inside ansible-core and imports it)

"""The controller's half of the module `run`: with `fetch_to` it keeps the result on the controller.

The result comes with what the module returns: a file that is fetched alone costs a task more.
"""

from __future__ import annotations

import base64
import os
import zlib
from pathlib import Path

from ansible.errors import AnsibleActionFail

from ansible.plugins.action import ActionBase

_MODULE = "probeplan.fleet.run"
#: No larger result is merged; a host is not trusted to say how large its own is.
_MOST_BYTES = 16 << 20


class ActionModule(ActionBase):
    """`probeplan.fleet.run`."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp=None, task_vars=None):
        """Run the module, and write what it returned of the result."""
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        if "_pack" in args:
            raise AnsibleActionFail(f"_pack: not a parameter of {_MODULE}")
        place = args.get("fetch_to")
        if place and self._task.async_val:
            raise AnsibleActionFail(
                "fetch_to: not with async; fetch the returned result afterwards"
            )
        result = self._execute_module(
            _MODULE,
            module_args={**args, "_pack": bool(place)},
            task_vars=task_vars,
            wrap_async=self._task.async_val and not self._connection.has_native_async,
        )
        packed = result.pop("packed", None)
        if place and packed:
            try:
                _write_result(Path(place), packed)
            except (OSError, ValueError, zlib.error) as error:
                result.update(failed=True, msg=f"the result was not kept: {_explain(error, place)}")
        return result


def _write_result(path, packed):
    """Write a packed result, whole or not at all. Raises OSError, ValueError and zlib.error."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(base64.b64decode(packed, validate=True), _MOST_BYTES)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError(f"it is torn, or has more than {_MOST_BYTES >> 20} MiB")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _explain(error, place):
    return f"{place}: {error.strerror}" if isinstance(error, OSError) else str(error)
