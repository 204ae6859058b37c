"""What a compiled program's name depends on, and what not."""

from pathlib import Path

import pytest

from orchestrator.backends.bcc.compiler import cache, clang, key
from orchestrator.backends.bcc.compiler.places import OpenProgram

TEXT = "int f(unsigned long long *ctx) { return 1; }\n"
PROGRAM = OpenProgram(code={"f": bytes(16)})


def name_of(
    text: str = TEXT, functions: tuple[str, ...] = ("f",), arch: str = "x86_64",
    compiler: str | None = "0.26.0",
) -> str:  # fmt: skip
    return key.make_key(text, functions, arch=arch, compiler=compiler)


@pytest.mark.parametrize(
    "other",
    [
        name_of(TEXT.replace("1", "2")),
        name_of(f"{TEXT}\n"),
        name_of(functions=("f", "g")),
        name_of(arch="aarch64"),
        name_of(compiler="0.27.0"),
    ],
    ids=["number", "line", "functions", "architecture", "compiler"],
)
def test_what_the_instructions_depend_on_changes_the_key(other: str) -> None:
    assert other != name_of()
    assert len(other) == 64


@pytest.mark.parametrize("part", ["CFLAGS", "HEADERS"])
def test_flags_and_headers_change_the_key(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = name_of()
    (tmp_path / "other.h").write_text("#define OTHER 1\n")
    monkeypatch.setattr(key, part, {"CFLAGS": ("-g",), "HEADERS": tmp_path}[part])
    assert name_of() != before


def test_comments_do_not_change_the_key() -> None:
    """Also those of several lines, and with stars in them."""
    first, second = (TEXT.replace("return", f"/* {text} */ return") for text in ("*7**", "8\n9"))
    assert name_of(first) == name_of(second)


def test_without_a_version_it_is_that_of_the_installed_compiler() -> None:
    version = key.read_compiler_version()
    assert version[0].isdigit()
    assert name_of(compiler=None) == name_of(compiler=version)


def test_a_given_version_is_looked_for_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host without a compiler."""

    def search(_name: str) -> None:
        raise AssertionError("bcc was looked for")

    monkeypatch.setattr(key, "find_spec", search)
    key.read_compiler_version.cache_clear()
    name_of(compiler="0.26.0")


@pytest.mark.parametrize(
    ("spec", "version"), [(None, "absent"), ("/nowhere/bcc/__init__.py", "unknown")]
)
def test_a_missing_compiler_has_a_version_too(
    spec: str | None, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spec:
        origin = spec

    monkeypatch.setattr(key, "find_spec", lambda _name: None if spec is None else Spec())
    key.read_compiler_version.cache_clear()
    assert key.read_compiler_version() == version
    key.read_compiler_version.cache_clear()


def test_the_cache_uses_the_key_of_the_programs_architecture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever machine compiles it."""
    kept = OpenProgram(code={"f": b"kept for" * 2})
    cache.write_compiled(key.make_key(TEXT, ["f"], arch="aarch64"), kept)
    assert clang.compile_kept(TEXT, ["f"], "aarch64") == kept
    monkeypatch.setattr(clang, "compile_open", lambda *_: PROGRAM)
    assert clang.compile_kept(TEXT, ["f"], "x86_64") == PROGRAM


def test_only_a_first_compilation_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds; later ones read what was kept."""
    events: list[str] = []

    def compile_open(*_: object) -> OpenProgram:
        events.append("compiled")
        return PROGRAM

    monkeypatch.setattr(clang, "compile_open", compile_open)
    for _ in range(2):
        clang.compile_kept(f"{TEXT} ", ["f"], "x86_64", lambda: events.append("announced"))
    assert events == ["announced", "compiled"]


def test_what_was_compiled_last_is_not_compiled_again_where_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A canary and its run attach the same program. Another text in between is the last then."""
    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    compiled: list[str] = []

    def compile_open(text: str, _functions: object) -> OpenProgram:
        compiled.append(text)
        return OpenProgram(code={"f": text.encode().ljust(16)})

    monkeypatch.setattr(clang, "compile_open", compile_open)
    texts = ["unkept 1", "unkept 1", "unkept 2", "unkept 1"]
    made = [clang.compile_kept(text, ["f"], "x86_64") for text in texts]
    assert compiled == ["unkept 1", "unkept 2", "unkept 1"]
    assert [program.code["f"].decode().strip() for program in made] == texts
