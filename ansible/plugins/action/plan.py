# Copyright: the probeplan authors
# SPDX-License-Identifier: GPL-3.0-or-later
# (see COPYING: this plugin runs inside ansible-core and imports it)

"""The controller's half of the module `plan`: sends the file and its signature to the host, in
check mode too, and has the module examine and install them."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError

from ansible.plugins.action import ActionBase

_MODULE = "probeplan.fleet.plan"
_SIGNATURE = ".sig"
_MOST_BYTES = (16 << 20) + (64 << 10)
_WITHOUT_SIGNATURE = "none"
#: Files up to this size go with the parameters of the module; each file costs four more commands.
_MOST_ALONG = 64 << 10


class ActionModule(ActionBase):
    """`probeplan.fleet.plan`."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        """Run the module with the staged files."""
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        if hidden := [name for name in args if str(name).startswith("_")]:
            raise AnsibleActionFail(f"{', '.join(hidden)}: not a parameter of {_MODULE}")
        try:
            if args.get("state", "present") == "present":
                args["_staged"] = self._stage(args)
            return self._execute_module(_MODULE, module_args=args, task_vars=task_vars)
        finally:
            if self._connection._shell.tmpdir:
                self._remove_tmp_path(self._connection._shell.tmpdir)

    def _stage(self, args):
        """Send the files; returns the module's hidden parameter."""
        source = self._find(args.get("src"), "src")
        content = _read(source)
        found = self._find_signature(source, args.get("signature", "auto"))
        signature = None if found is None else _read(found)
        if len(content) + len(signature or b"") <= _MOST_ALONG:
            return {"content": _encode(content), "signature": signature and _encode(signature)}
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        staged = self._connection._shell.join_path(folder, _staged_name(content))
        sent = [self._send(content, staged)]
        if signature is not None:
            sent.append(self._send(signature, staged + _SIGNATURE))
        self._fixup_perms2([folder, *sent])
        return {
            "path": staged,
            "sha256": hashlib.sha256(content).hexdigest(),
            "signed": signature is not None,
        }

    def _send(self, content, path):
        """The file at `path` of the host has these bytes afterwards. _transfer_data takes text."""
        with tempfile.NamedTemporaryFile(prefix="probeplan-") as file:
            file.write(content)
            file.flush()
            return self._transfer_file(file.name, path)

    def _find(self, name, parameter):
        """The file on the controller, looked for as Ansible does: next to the play, in files/."""
        if not isinstance(name, str) or not name:
            raise AnsibleActionFail(f"{parameter}: name a plan or bundle on the controller")
        try:
            found = Path(self._find_needle("files", name))
        except AnsibleError as error:
            raise AnsibleActionFail(f"{parameter}: {error}") from error
        if not found.is_file():
            raise AnsibleActionFail(f"{parameter}: {found} is not a file")
        return found

    def _find_signature(self, source, wanted):
        """The signature's file on the controller; None: there is to be none."""
        if wanted == _WITHOUT_SIGNATURE:
            return None
        if wanted != "auto":
            return self._find(wanted, "signature")
        neighbour = source.with_name(source.name + _SIGNATURE)
        return neighbour if neighbour.is_file() else None


def _read(path):
    """The bytes of the file. Signatures are of bytes, so nothing is decrypted or filled in."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise AnsibleActionFail(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise AnsibleActionFail(f"{path}: more than {_MOST_BYTES} bytes: no plan and no bundle")
    return content


def _encode(content):
    return base64.b64encode(content).decode("ascii")


def _staged_name(content):
    """A name that shows whether it is a bundle or a plan; their first bytes differ."""
    return "plan.ppb" if content.startswith(b"\xfd7zXZ\x00") else "plan.yaml"
