"""One table says what the other packages know about the backends."""

import json
import subprocess
import sys

import pytest

from orchestrator.backends import BACKENDS
from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS, descriptor_of
from tests.support.paths import ROOT

SCHEMAS = ROOT / "schema"


def test_every_descriptor_leads_to_the_backend_of_that_name() -> None:
    assert {name: backend.NAME for name, backend in BACKENDS.items()} == {
        name: name for name in BACKEND_DESCRIPTORS
    }


def test_an_unknown_backend_has_no_descriptor() -> None:
    with pytest.raises(KeyError):
        descriptor_of("perf")


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
