"""One table says what the other packages know about the backends."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends import BACKENDS
from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS, descriptor_of
from orchestrator.output.result import ResultDirectory
from tests.support.paths import ROOT

SCHEMAS = ROOT / "schema"


def test_every_descriptor_leads_to_the_backend_of_that_name() -> None:
    assert {name: backend.NAME for name, backend in BACKENDS.items()} == {
        name: name for name in BACKEND_DESCRIPTORS
    }


def test_an_unknown_backend_has_no_descriptor() -> None:
    with pytest.raises(KeyError):
        descriptor_of("perf")


def test_every_program_file_is_one_that_a_result_directory_takes(tmp_path: Path) -> None:
    results = ResultDirectory(tmp_path / "results")
    for descriptor in BACKEND_DESCRIPTORS.values():
        results.write_program(descriptor.program_file, "text")
        assert (tmp_path / "results" / descriptor.program_file).read_text() == "text"


def test_the_log_names_exactly_the_backends_that_there_are() -> None:
    schema = json.loads((SCHEMAS / "log-v1.schema.json").read_text())
    enums = list(_backend_enums(schema))
    assert enums
    assert all(enum == list(BACKEND_DESCRIPTORS) for enum in enums)


def _backend_enums(schema: Any) -> Iterator[list[str]]:
    """The enum of every field `backend`, at any depth."""
    parts = schema.values() if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and isinstance(schema.get("backend"), dict):
        yield schema["backend"]["enum"]
    for part in parts if isinstance(schema, dict | list) else ():
        yield from _backend_enums(part)


def test_policies_may_name_exactly_the_backends_that_there_are() -> None:
    schema = json.loads((SCHEMAS / "policy-v1.schema.json").read_text())
    assert schema["properties"]["allow_backends"]["items"]["enum"] == list(BACKEND_DESCRIPTORS)


def test_descriptors_import_no_backend() -> None:
    """Every command reads them at start-up."""
    code = (
        "import sys, orchestrator.backends.descriptors; "
        "print([m for m in sys.modules if m.split('.')[0] in ('bcc', 'numpy', 'ctypes') "
        "or m.startswith(('orchestrator.backends.bcc', 'orchestrator.backends.tracefs'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
