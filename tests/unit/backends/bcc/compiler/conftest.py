"""A cache that is not this host's."""

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled programs are shared by these tests, and not with the host."""
    base = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setattr(
        "orchestrator.backends.cache_directory.SYSTEM_DIRECTORY", base / "probeplan"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(base))
