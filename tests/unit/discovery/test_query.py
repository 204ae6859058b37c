"""What is asked for: kinds, globs, files."""

import pytest

from orchestrator.discovery.query import ANYWHERE, IN_FILES, parse_query
from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS
from orchestrator.plan.findings import PlanError


@pytest.mark.parametrize(
    ("text", "kinds", "file", "pattern"),
    [
        ("tracepoint:tcp:*", ("tracepoint",), "", "tcp:*"),
        ("tracepoint", ("tracepoint",), "", "*"),
        ("function:vfs_*", ("function",), "", "vfs_*"),
        ("tcp_connect", ANYWHERE, "", "tcp_connect"),
        ("*reset*", ANYWHERE, "", "*reset*"),
        ("tcp:*", ("tracepoint",), "", "tcp:*"),
        ("/bin/sh", IN_FILES, "/bin/sh", "*"),
        ("libc.so.6:mall*", IN_FILES, "libc.so.6", "mall*"),
        ("usdt:/bin/sh:a:b", ("usdt",), "/bin/sh", "a:b"),
        ("uprobe:bash", ("uprobe",), "bash", "*"),
        ("profile", ("profile",), "", "*"),
    ],
)
def test_a_text_names_kinds_a_file_and_a_pattern(
    text: str, kinds: tuple[str, ...], file: str, pattern: str
) -> None:
    query = parse_query(text)
    assert (query.kinds, query.file, query.pattern) == (kinds, file, pattern)


@pytest.mark.parametrize("kind", ATTACH_KINDS)
def test_the_example_of_each_kind_is_a_query_of_that_kind(kind: str) -> None:
    assert parse_query(f"{kind}:{KINDS[kind].example}").kinds == (kind,)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no attach point"),
        ("a b", "no attach point"),
        ("\x1b[2J", "no attach point"),
        ("usdt", "needs a file"),
        ("uprobe:*:x", "no path"),
    ],
)
def test_other_texts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        parse_query(text)
