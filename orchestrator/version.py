"""The version of the installed package."""

__all__ = ["installed_version"]


def installed_version() -> str | None:
    """probeplan's version from the metadata of the installed package; None where there is none,
    as in a source tree. Reading the metadata takes 10 to 20 ms."""
    from importlib.metadata import PackageNotFoundError, version  # see above

    try:
        return version("probeplan")
    except PackageNotFoundError:
        return None
