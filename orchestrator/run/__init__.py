"""Running a program: the loop, its accounts, and leaving no trace."""


def version() -> str:
    """probeplan's version, from the installed package; "0" where it is not installed."""
    from importlib.metadata import PackageNotFoundError  # 10 ms, after attaching
    from importlib.metadata import version as installed

    try:
        return installed("probeplan")
    except PackageNotFoundError:
        return "0"
