"""The version of the installed package."""

import os
import re
import sys
from functools import cache

__all__ = ["installed_version"]

#: The folder of an installed package's metadata, whose name says the version (PEP 376, PEP 427).
_METADATA = re.compile(r"probeplan-(?P<version>[^-]+)\.dist-info")


@cache
def installed_version() -> str | None:
    """probeplan's version from the metadata of the installed package; None where there is none,
    as in a source tree."""
    return _find_folder() or _ask_metadata()


def _find_folder() -> str | None:
    """The version by the name of its folder alone: importing what reads such folders takes 10 to
    20 ms, and a run that begins with a bundle needs the version first of all."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208  # pathlib makes an object for each
        except OSError:  # an archive, or nothing
            continue
        for match in filter(None, map(_METADATA.fullmatch, names)):
            return match["version"]
    return None


def _ask_metadata() -> str | None:
    """The same of a package that was installed in another form, such as in an archive."""
    from importlib.metadata import PackageNotFoundError, version  # see above

    try:
        return version("probeplan")
    except PackageNotFoundError:
        return None
