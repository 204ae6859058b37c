"""What the shells complete that argparse knows nothing of: names of plans with their questions,
params of the plan on the line, words of `plans`, attach points, and ids of live runs.

Each is a function in the language of bash, zsh and fish. Texts of plans are quoted.
"""

import inspect
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from orchestrator.catalog.entry import CatalogEntry, CatalogParam
from orchestrator.catalog.index import index_plans
from orchestrator.cli import PROGRAM
from orchestrator.run.safety.journal import DIRECTORIES
from orchestrator.run.shipped import shipped_plans

__all__ = ["complete_params", "complete_plans", "complete_points", "complete_runs"]
__all__ += ["complete_words"]

Completion = dict[str, object]
_Described = Sequence[tuple[str, str]]


def complete_plans() -> Completion:
    """Names of shipped plans with their questions, and files: plans and bundles among them."""
    plans = [(entry.name, entry.question) for entry in _list_entries()]
    return _make_completion(
        f"_{PROGRAM}_plan_files",
        bash=f"""\
            compgen -W "{_join_names(plans)}" -- "$1"
            compgen -f -- "$1"
            """,
        zsh=f"""\
            local -a plans=({_zsh_items(plans)})
            _describe 'shipped plan' plans
            _files
            """,
        fish=f"""\
            {_fish_lines(plans)}
            __fish_complete_path (commandline -ct)
            """,
    )


def complete_words() -> Completion:
    """Names of plans, and tools that they are equivalents of, for `plans WORD`."""
    entries = _list_entries()
    words = {entry.name: entry.question for entry in entries}
    words |= {tool: f"as {entry.name}" for entry in entries for tool in entry.equivalents}
    described = sorted(words.items())
    return _make_completion(
        f"_{PROGRAM}_plan_words",
        bash=f'compgen -W "{_join_names(described)}" -- "$1"',
        zsh=f"""\
            local -a known=({_zsh_items(described)})
            _describe 'plan or tool' known
            """,
        fish=_fish_lines(described),
    )


def complete_params() -> Completion:
    """`NAME=DEFAULT` of the params of the shipped plan that is on the line, or each choice."""
    tables = {e.name: [item for p in e.params for item in _list_values(p)] for e in _list_entries()}
    known = {name: items for name, items in tables.items() if items}
    bash = _case_table(known, lambda items: f"printf '%s\\n' {_quote_all(n for n, _ in items)}")
    zsh = _case_table(known, lambda items: f"known+=({_zsh_items(items)})")
    fish = "\n".join(
        f"case {shlex.quote(name)}\n  {_fish_lines(items)}" for name, items in known.items()
    )
    return _make_completion(
        f"_{PROGRAM}_plan_params",
        bash=_indented(
            """\
            local word param
            for word in "${COMP_WORDS[@]}"; do
              case "$word" in
              @TABLE@
              esac
            done | while IFS= read -r param; do
              [[ "$param" == "$1"* ]] && printf '%q\\n' "$param"
            done
            """,
            bash,
        ),
        zsh=_indented(
            """\
            local word; local -a known
            for word in $words; do
              case "$word" in
              @TABLE@
              esac
            done
            _describe 'param' known
            """,
            zsh,
        ),
        fish=_indented(
            """\
            for word in (commandline -opc)
              switch $word
              @TABLE@
              end
            end
            """,
            fish,
        ),
    )


def complete_runs() -> Completion:
    """The ids of the runs whose journals this user can see."""
    folders = " ".join(map(str, DIRECTORIES))
    return _make_completion(
        f"_{PROGRAM}_runs",
        bash=f"""\
            local folder file
            for folder in {folders}; do
              for file in "$folder"/*.journal; do
                [[ -e "$file" ]] && file="${{file##*/}}" && compgen -W "${{file%.journal}}" -- "$1"
              done
            done
            """,
        zsh=f"""\
            local folder; local -a runs
            for folder in {folders}; do runs+=($folder/*.journal(N:t:r)); done
            _describe 'run' runs
            """,
        fish=f"""\
            for file in {" ".join(f"{folder}/*.journal" for folder in DIRECTORIES)}
              string replace -r '.*/(.*)\\.journal$' '$1' -- $file
            end
            """,
    )


def complete_points() -> Completion:
    """Attach points of this host, part by part, as the program lists them. bash splits words at
    colons, and replaces what is after the last one."""
    ask = f"{PROGRAM} list --complete"
    return _make_completion(
        f"_{PROGRAM}_points",
        bash=f"""\
            local word="$1" candidate
            if [[ -n "$COMP_LINE" ]]; then
              word="${{COMP_LINE:0:$COMP_POINT}}"; word="${{word##* }}"; word=${{word#[\\'\\"]}}
            fi
            {ask} "$word" 2>/dev/null | while IFS= read -r candidate; do
              [[ "$1" == "$word" ]] || candidate="${{candidate#"${{word%"${{word##*:}}"}}"}}"
              printf '%s\\n' "$candidate"
            done
            compgen -f -- "$1"
            """,
        zsh=f"""\
            local -a points=("${{(@f)$({ask} "$PREFIX" 2>/dev/null)}}")
            compadd -S '' -a points
            _files
            """,
        fish=f"""\
            {ask} (commandline -ct) 2>/dev/null
            __fish_complete_path (commandline -ct)
            """,
    )


@cache
def _list_entries() -> tuple[CatalogEntry, ...]:
    """Of the plans themselves: the index may be about to be written."""
    return index_plans(shipped_plans())


# ---------------------------------------------------------------- texts


def _make_completion(name: str, **bodies: str) -> Completion:
    """What shtab takes: the function's name, and its definition for each shell."""
    texts = {shell: inspect.cleandoc(body) for shell, body in bodies.items()}
    preamble = {
        shell: f"function {name}\n{_indent(text)}\nend"
        if shell == "fish"
        else f"{name}() {{\n{_indent(text)}\n}}"
        for shell, text in texts.items()
    }
    return {"bash": name, "zsh": name, "fish": f"({name})", "preamble": preamble}


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())


def _indented(template: str, table: str) -> str:
    """The template with the table in the place of its line `@TABLE@`, at the same margin."""
    text = inspect.cleandoc(template)
    margin = next(line for line in text.splitlines() if "@TABLE@" in line).partition("@")[0]
    return text.replace(f"{margin}@TABLE@", "\n".join(f"{margin}{t}" for t in table.splitlines()))


def _case_table(known: Mapping[str, _Described], body: Callable[[_Described], str]) -> str:
    return "\n".join(f"{shlex.quote(name)}) {body(items)} ;;" for name, items in known.items())


def _list_values(param: CatalogParam) -> list[tuple[str, str]]:
    values = ("true", "false") if param.type == "bool" else param.choices
    values = values or ("" if param.default is None else param.default,)
    return [(f"{param.name}={value}", param.summary) for value in values]


def _join_names(items: _Described) -> str:
    return " ".join(name for name, _ in items)


def _quote_all(texts: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, texts))


def _zsh_items(items: _Described) -> str:
    """For `_describe`: a colon separates the name from its description."""
    return _quote_all(f"{name.replace(':', chr(92) + ':')}:{text}" for name, text in items)


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _fish_lines(items: _Described) -> str:
    """A command that prints names, each with its description after a tab."""
    return f"printf '%s\\t%s\\n' {' '.join(_fish_quote(t) for item in items for t in item)}"
