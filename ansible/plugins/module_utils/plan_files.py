# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""The plans that are installed on a host: NAME.yaml or NAME.ppb, each with its signature."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

#: What an xz stream begins with: bundles are packed, plans are not.
XZ_MAGIC = b"\xfd7zXZ\x00"
ENDINGS = (".ppb", ".yaml")
SIGNATURE = ".sig"
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755


def ending_of(content):
    """The ending of a file with this content: .ppb of a bundle, .yaml of a plan."""
    return ".ppb" if content.startswith(XZ_MAGIC) else ".yaml"


def find_installed(directory, name):
    """The path of the plan or bundle called `name`; None where it is not installed."""
    paths = (Path(directory, name + ending) for ending in ENDINGS)
    return next((str(path) for path in paths if path.is_file()), None)


def files_of(directory, name):
    """All files that a plan called `name` can have."""
    plain = [str(Path(directory, name + ending)) for ending in ENDINGS]
    return [file for path in plain for file in (path, path + SIGNATURE)]


def read_or_none(path):
    """The bytes of the file; None where there is none."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def write_file(path, content):
    """Replace the file, at once and for good. Readers see the old bytes or the new ones."""
    folder = Path(path).parent
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".probeplan-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def describe(path, content):
    """The content as a diff shows it: a plan's text; of other files, and of none, the digest."""
    if content is None:
        return ""
    if path.endswith(".yaml"):
        return content.decode("utf-8", "replace")
    return f"sha256: {digest(content)}\nbytes: {len(content)}\n"


def digest(content):
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
