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
from orchestrator.run.shipped import SITE_PLANS, shipped_plans

__all__ = ["complete_params", "complete_plans", "complete_points", "complete_runs"]
__all__ += ["complete_words", "join_words_in_bash"]

Completion = dict[str, object]
_Described = Sequence[tuple[str, str]]


def complete_plans() -> Completion:
    """Names of shipped plans with their questions, names of the site's, which are looked up when
    they are asked for, and files: plans and bundles among them."""
    plans = [(entry.name, entry.question) for entry in _list_entries()]
    return _make_completion(
        f"_{PROGRAM}_plan_files",
        bash=_indented(
            f"""\
            local file name
            compgen -W "
              @TABLE@
            " -- "$1"
            for file in {SITE_PLANS}/*.yaml {SITE_PLANS}/*.ppb; do
              name="${{file##*/}}"; name="${{name%.*}}"
              [[ -e "$file" && "$name" == "$1"* ]] && printf '%s\\n' "$name"
            done
            compgen -f -- "$1"
            """,
            _name_lines(plans),
        ),
        zsh=_indented(
            f"""\
            local -aU site=({SITE_PLANS}/*.(yaml|ppb)(N:t:r))
            local -a plans=(
              @TABLE@
            )
            site=("${{site[@]//:/\\\\:}}")
            _describe "site's plan" site
            _describe 'shipped plan' plans
            _files
            """,
            _zsh_lines(plans),
        ),
        fish=_indented(
            f"""\
            printf '%s\\t%s\\n' \\
              @TABLE@
            for file in {SITE_PLANS}/*.yaml {SITE_PLANS}/*.ppb
              string replace -r '.*/(.*)\\.(yaml|ppb)$' '$1\\tof this site' -- $file
            end
            __fish_complete_path (commandline -ct)
            """,
            _fish_table(plans),
        ),
    )


def complete_words() -> Completion:
    """Names of plans, and tools that they are equivalents of, for `plans WORD`."""
    entries = _list_entries()
    words = {entry.name: entry.question for entry in entries}
    words |= {tool: f"as {entry.name}" for entry in entries for tool in entry.equivalents}
    described = sorted(words.items())
    return _make_completion(
        f"_{PROGRAM}_plan_words",
        bash=_indented(
            """\
            compgen -W "
              @TABLE@
            " -- "$1"
            """,
            _name_lines(described),
        ),
        zsh=_indented(
            """\
            local -a known=(
              @TABLE@
            )
            _describe 'plan or tool' known
            """,
            _zsh_lines(described),
        ),
        fish=_indented(
            """\
            printf '%s\\t%s\\n' \\
              @TABLE@
            """,
            _fish_table(described),
        ),
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
    """Attach points of this host, part by part, as the program lists them."""
    ask = f"{PROGRAM} list --complete"
    return _make_completion(
        f"_{PROGRAM}_points",
        bash=f"""\
            {ask} "${{1#[\\'\\"]}}" 2>/dev/null
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


def join_words_in_bash(text: str) -> str:
    """The completion for bash, whose words end at `:` and `=`. What was one word is one again for
    the function that shtab wrote, and of its answers the part is cut off that bash does not
    replace."""
    ours = inspect.cleandoc(
        f"""\
        _{PROGRAM}() {{
          local index word current="${{COMP_WORDS[COMP_CWORD]}}" last=-1
          local -a words=()
          for ((index = 0; index <= COMP_CWORD; index++)); do
            word="${{COMP_WORDS[index]}}"
            if ((last > 0)) && [[ "$word" == [:=]* || "${{words[last]}}" == *[:=] ]]; then
              words[last]+="$word"
            else
              words+=("$word")
              last=$((last + 1))
            fi
          done
          local -a COMP_WORDS=("${{words[@]}}")
          local COMP_CWORD=$last
          _shtab_{PROGRAM}
          [[ "$current" == [:=]* ]] && current=""
          local kept="${{words[last]%"$current"}}"
          COMPREPLY=("${{COMPREPLY[@]#"$kept"}}")
          [[ "${{COMPREPLY[*]}}" == *: ]] && compopt -o nospace 2>/dev/null
          return 0
        }}
        """
    )
    registration = f"-F _shtab_{PROGRAM} {PROGRAM}"
    if text.count(registration) != 1:
        raise ValueError("shtab registers its function for bash in another way")
    at = text.rindex("\n", 0, text.index(registration)) + 1
    return f"{text[:at]}{ours}\n\n{text[at:].replace(registration, f'-F _{PROGRAM} {PROGRAM}')}"


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


def _name_lines(items: _Described) -> str:
    return "\n".join(name for name, _ in items)


def _quote_all(texts: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, texts))


def _zsh_items(items: _Described) -> str:
    """For `_describe`: a colon separates the name from its description."""
    return _quote_all(f"{name.replace(':', chr(92) + ':')}:{text}" for name, text in items)


def _zsh_lines(items: _Described) -> str:
    return "\n".join(_zsh_items([item]) for item in items)


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _fish_lines(items: _Described) -> str:
    """A command that prints names, each with its description after a tab."""
    return f"printf '%s\\t%s\\n' {' '.join(_fish_quote(t) for item in items for t in item)}"


def _fish_table(items: _Described) -> str:
    """The arguments of a command that prints names with descriptions, a line for each."""
    return " \\\n".join(" ".join(_fish_quote(text) for text in item) for item in items)
