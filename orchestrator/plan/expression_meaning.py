"""One expression in its scope: are its names, members and calls part of the language?"""

from collections.abc import Mapping, Sequence

from orchestrator.plan.attach_kinds import PAIRED_KINDS, RETURNING_KINDS
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression import names
from orchestrator.plan.expression.syntax import (
    BinaryOperation,
    Call,
    Compare,
    Contains,
    Expr,
    MemberOf,
    Name,
    SyntaxNode,
    TextLiteral,
    children,
    walk,
)
from orchestrator.plan.model import LabelTable, Note, Param
from orchestrator.plan.nearest import find_nearest, suggest_name
from orchestrator.plan.scopes import MAX_LEVELS, Scope, is_too_deep, names_used_by


def report_too_deep(expr: Expr, collector: FindingCollector) -> None:
    """The finding about an expression that nests too deep with its definitions in place."""
    message = f"the expression nests deeper than {MAX_LEVELS} levels with its definitions in place"
    hint = "use fewer definitions that build on each other"
    collector.add("PP020", message, expr.position, hint)


class ExpressionChecker:
    """Checks expressions of one plan against the language's tables."""

    def __init__(
        self,
        params: Mapping[str, Param],
        collector: FindingCollector,
        labels: Mapping[str, LabelTable],
        notes: Sequence[Note] = (),
    ) -> None:
        self.params, self.collector, self.labels = params, collector, labels
        self.notes = {note.name: note for note in notes}

    def check(self, expr: Expr | None, scope: Scope) -> None:
        """Report everything in `expr` that can have no meaning on any kernel."""
        if expr is None:
            return
        if is_too_deep(expr, scope.definitions):
            report_too_deep(expr, self.collector)
        else:
            self._check_node(expr.root, expr, scope)

    def _report(
        self, code: str, message: str, node: SyntaxNode, expr: Expr, hint: str = ""
    ) -> None:
        self.collector.add(code, message, expr.place(node), hint)

    def _check_node(self, node: SyntaxNode, expr: Expr, scope: Scope) -> None:
        match node:
            case Name():
                self._check_name(node, expr, scope)
                return
            case MemberOf(base=Name(id="params"), name=name):
                self._check_param(name, node, expr)
                return
            case MemberOf(base=Name(id=role), name=name) if scope.span is not None and (
                role in names.SPAN_PROBES
            ):
                self._check_probe_member(role, name, node, expr, scope)
                return
            case MemberOf(base=Name(id=names.SPAN_SUMS), name=name) if scope.span is not None:
                self._check_sum(name, node, expr, scope.span[names.SPAN_SUMS])
                return
            case MemberOf(base=Name(id="args")) if (
                "args" not in scope.definitions and scope.span is None
            ):
                return
            case MemberOf(base=MemberOf(base=Name(id="note"), name=note), name=name) if (
                "note" not in scope.definitions
            ):
                self._check_noted_value(note, name, node, expr, scope)
                return
            case BinaryOperation(op="/"):
                hint = "write `//` for whole numbers, or compute the ratio under `derive`"
                self._report("PP026", "`/` divides only under `derive`", node, expr, hint)
            case Compare() | Contains():
                self._check_comm(node, expr)
            case Call():
                self._check_call(node, expr, scope)
                return
            case _:
                pass
        for child in children(node):
            self._check_node(child, expr, scope)

    # -- names

    def _check_name(self, node: Name, expr: Expr, scope: Scope) -> None:
        name = node.id
        if name in scope.definitions:
            needs = names_used_by(name, scope.definitions)
            self._check_situation(
                needs - scope.definitions.keys(), f"through {name!r}, ", node, expr, scope
            )
        elif name in names.SPAN_PROBES:
            what = f"{name}.comm" if scope.span is not None else "it refers to the probes of a span"
            self._report("PP022", f"`{name}` needs a member, in a span", node, expr, what)
        elif scope.span is not None and name == names.SPAN_SUMS:
            hint = f"name the sum: `sum.{min(scope.span[name], default='NAME')}`"
            self._report("PP022", "`sum` needs a member", node, expr, hint)
        elif scope.span is not None and name in names.BUILTINS and name not in _IN_SPANS:
            hint = f"name the probe: `start.{name}` or `end.{name}`"
            self._report("PP022", f"{name!r} has no meaning by itself in a span", node, expr, hint)
        elif name in ("args", "params", "note"):
            known = {"params": self.params, "note": self.notes}.get(name, ())
            example = next(iter(known), "NAME") + (".VALUE" if name == "note" else "")
            self._report("PP022", f"`{name}` needs a member", node, expr, f"{name}.{example}")
        elif _is_known(name):
            self._check_situation(frozenset({name}), "", node, expr, scope)
        else:
            self._report_unknown(name, node, expr, scope)

    def _check_probe_member(
        self, role: str, name: str, node: SyntaxNode, expr: Expr, scope: Scope
    ) -> None:
        """`start.x`: a definition of all the probes that start the span, or a builtin."""
        assert scope.span is not None
        if role not in scope.span:
            hint = f"name the probe: `{role}: PROBE`"
            self._report("PP022", f"this span has no `{role}`", node, expr, hint)
        elif not (name in scope.span[role] or name in names.BUILTINS):
            known = [*sorted(scope.span[role]), *names.BUILTINS]
            hint = suggest_name(name, known, f"define it under `let` of the {role}'s probes")
            self._report("PP022", f"unknown name {name!r} at `{role}`", node, expr, hint)

    def _check_sum(self, name: str, node: SyntaxNode, expr: Expr, sums: frozenset[str]) -> None:
        if name not in sums:
            hint = suggest_name(name, sorted(sums), f"`add: {{{name}: {{from: PROBE, sum: …}}}}`")
            self._report("PP022", f"this span has no sum {name!r}", node, expr, hint)

    def _check_seen(self, node: Call, expr: Expr, scope: Scope) -> None:
        if scope.span is None or node.args[:1] != (Name("via", node.args[0].at),):
            hint = "in a span with a `via`: seen(via)"
            self._report("PP024", "seen() asks whether `via` was seen", node, expr, hint)
        elif "via" not in scope.span:
            self._report("PP022", "this span has no `via`", node, expr, "name one: `via: PROBE`")

    def _check_noted(self, node: Call, expr: Expr, scope: Scope) -> None:
        if not isinstance(node.args[0], Name):
            hint = f"noted({next(iter(self.notes), 'NAME')})"
            self._report("PP024", "noted() takes the name of a note", node, expr, hint)
        else:
            self._find_note(node.args[0].id, node, expr, scope)

    def _check_noted_value(
        self, note: str, name: str, node: SyntaxNode, expr: Expr, scope: Scope
    ) -> None:
        """`note.N.x`: a value that the note N keeps."""
        found = self._find_note(note, node, expr, scope)
        if found is None or name in found.keep or self.collector.has_refused(("notes", note)):
            return
        otherwise = f"it keeps: {', '.join(found.keep)}" if found.keep else f"use noted({note})"
        hint = suggest_name(name, found.keep, otherwise)
        self._report("PP022", f"the note {note!r} keeps no {name!r}", node, expr, hint)

    def _find_note(self, name: str, node: SyntaxNode, expr: Expr, scope: Scope) -> Note | None:
        """The note `name`; None, and reported, where there is none or it cannot be read here."""
        if scope.span is not None:
            hint = "define it under `let` of the span's probes: `end.NAME`"
            self._report("PP022", "a note is read in probes, not in a span", node, expr, hint)
            return None
        if name not in self.notes and not self.collector.has_refused(("notes", name)):
            hint = suggest_name(name, self.notes, "define it under `notes`")
            self._report("PP022", f"there is no note {name!r}", node, expr, hint)
        return self.notes.get(name)

    def _report_unknown(self, name: str, node: SyntaxNode, expr: Expr, scope: Scope) -> None:
        if name in scope.partial:
            hint = f"give each of them a `let` of {name}"
            self._report("PP022", f"not all attach points define {name!r}", node, expr, hint)
            return
        if name == "depth" and scope.span is not None:
            hint = "only spans with `again: nest` have a depth"
            self._report("PP022", "unknown name 'depth'", node, expr, hint)
            return
        known = [*scope.definitions, *names.BUILTINS, *names.UNITS]
        quoted = _suggest_quotes(node, expr, scope)
        hint = suggest_name(name, known, quoted or _suggest_other_place(name, self.params))
        if quoted and hint != quoted:
            hint = f"{hint} {quoted}"
        self._report("PP022", f"unknown name {name!r}", node, expr, hint)

    def _check_situation(
        self, used: frozenset[str], through: str, node: SyntaxNode, expr: Expr, scope: Scope
    ) -> None:
        """Report names that need a return, or a task, where the probe has none."""
        kinds = ", ".join(sorted(scope.kinds))
        for name, having in (("retval", RETURNING_KINDS), ("elapsed", PAIRED_KINDS)):
            if name in used and not scope.is_offered(having):
                hint = f"it goes with {', '.join(sorted(having))}"
                message = f"{through}`{name}` has no meaning at {kinds}"
                self._report("PP027", message, node, expr, hint)
        for name in sorted(used & names.OF_TASK if not scope.task else ()):
            hint = "leave it out, or name the task: `task: EXPR`"
            self._report("PP028", f"{through}`{name}` under `task: none`", node, expr, hint)

    def _check_param(self, name: str, node: SyntaxNode, expr: Expr) -> None:
        param = self.params.get(name)
        if param is None:
            if not self.collector.has_refused(("params", name)):
                hint = suggest_name(name, self.params, "define it under `params`")
                self._report("PP065", f"there is no param {name!r}", node, expr, hint)
        elif param.type in ("ratio", "attach"):
            place = "`sample`" if param.type == "ratio" else "`attach`, as $(params.NAME),"
            message = f"the param {name!r} of type {param.type} is allowed in {place} only"
            self._report("PP065", message, node, expr)

    # -- calls

    def _check_call(self, node: Call, expr: Expr, scope: Scope) -> None:
        arity = names.FUNCTIONS.get(node.function)
        if arity is None:
            self._no_function(node, expr)
        elif not arity[0] <= len(node.args) <= (arity[1] or len(node.args)):
            message = f"{node.function}() takes {_show_arity(arity)}, not {len(node.args)}"
            self._report("PP024", message, node, expr)
        if node.function == "seen" and node.args:
            self._check_seen(node, expr, scope)
            return
        if node.function in names.STACKS:
            self._check_stack(node, expr, scope)
        if node.function == "noted" and node.args:
            self._check_noted(node, expr, scope)
            return
        for index, arg in enumerate(node.args):
            if isinstance(arg, Name) and index == 1 and node.function in names.NAMING:
                self._check_labels(arg, expr)
            elif isinstance(arg, Name) and names.TYPE_ARGUMENTS.get(node.function) == index:
                self._check_type_name(arg, expr)
            else:
                self._check_node(arg, expr, scope)
        if node.function == "entry":
            self._check_entry(node, expr)
        if node.function in ("glob", "startswith", "endswith"):
            self._check_comm(node, expr)

    def _check_stack(self, node: Call, expr: Expr, scope: Scope) -> None:
        name = node.function
        if scope.span is not None:
            hint = f"give a probe of the span `let: {{stack: {name}(5)}}`, and name `start.stack`"
            self._report("PP022", f"{name}() has no meaning by itself in a span", node, expr, hint)
        else:
            self._check_situation(frozenset({name}), "", node, expr, scope)

    def _no_function(self, node: Call, expr: Expr) -> None:
        name = node.function
        hint = suggest_name(name, names.FUNCTIONS, f"functions: {', '.join(names.FUNCTIONS)}")
        self._report("PP023", f"unknown function {name!r}", node, expr, hint)

    def _check_type_name(self, node: Name, expr: Expr) -> None:
        if node.id not in names.BARE_TYPES:
            hint = suggest_name(node.id, names.BARE_TYPES, f"types: {', '.join(names.BARE_TYPES)}")
            self._report("PP022", f"unknown type {node.id!r}", node, expr, hint)

    def _check_labels(self, node: Name, expr: Expr) -> None:
        if node.id not in self.labels and not self.collector.has_refused(("labels", node.id)):
            otherwise = f"define them, `labels: {{{node.id}: {{0: read, 1: write}}}}`, or name a "
            otherwise += 'group of constants in quotes: "AF_"'
            hint = suggest_name(node.id, self.labels, otherwise)
            self._report("PP022", f"there are no labels {node.id!r}", node, expr, hint)

    def _check_entry(self, node: Call, expr: Expr) -> None:
        for inner in (child for arg in node.args for child in walk(arg)):
            if isinstance(inner, Name) and inner.id in ("retval", "elapsed"):
                message = f"`{inner.id}` is not known yet at entry"
                self._report("PP027", message, inner, expr, "take it out of entry( )")

    # -- comm

    def _check_comm(self, node: Compare | Contains | Call, expr: Expr) -> None:
        operands = children(node)
        if not any(isinstance(operand, Name) and operand.id == "comm" for operand in operands):
            return
        for text in operands:
            if (
                isinstance(text, TextLiteral)
                and len(text.value.encode(errors="replace")) > names.COMM_BYTES
            ):
                message = f"no task is called {text.value[:40]!r}"
                hint = f"the kernel keeps {names.COMM_BYTES} bytes of a name"
                self._report("PP029", message, text, expr, hint)


#: Builtins that are known in a span without a probe's name.
_IN_SPANS = frozenset({"elapsed", "params"})


def _is_known(name: str) -> bool:
    return (
        name in names.BUILTINS
        or name in names.UNITS
        or names.ARGUMENT.fullmatch(name) is not None
        or names.CONSTANT.fullmatch(name) is not None
    )


#: Builtins that are text.
_TEXTS = frozenset({"comm", "probe", "func"})


def _suggest_quotes(node: SyntaxNode, expr: Expr, scope: Scope) -> str:
    """How to write a bare word that is compared with what may be text; "" for another name."""
    assert isinstance(node, Name)
    for parent in walk(expr.root):
        if not (
            isinstance(parent, Compare | Contains)
            or (isinstance(parent, Call) and parent.function in ("glob", "startswith", "endswith"))
        ):
            continue
        operands = children(parent)
        if not any(operand is node for operand in operands):
            continue
        others = [operand for operand in operands if operand is not node]
        texts = [shown for one in others if (shown := _show_text_operand(one, scope))]
        if texts:
            return _show_quoted(parent, texts[0], node.id)
    return ""


def _show_text_operand(node: SyntaxNode, scope: Scope) -> str:
    """An operand that may be text, as written; "" for one that cannot be."""
    match node:
        case Name(id=name) if name in _TEXTS or name in scope.definitions:
            return name
        case MemberOf(base=Name(id="params")):
            return ""
        case MemberOf(base=Name(id=base), name=name):
            return f"{base}.{name}"
        case MemberOf() | Call(function="str" | "path" | "either" | "entry"):
            return "…"
        case _:
            return ""


def _show_quoted(parent: SyntaxNode, text: str, word: str) -> str:
    match parent:
        case Compare(op=op):
            return f'write text in quotes: {text} {op} "{word}"'
        case Call(function=function):
            return f'write text in quotes: {function}({text}, "{word}")'
        case _:
            return f'write text in quotes: {text} in ("{word}", …)'


def _suggest_other_place(name: str, params: Mapping[str, Param]) -> str:
    if near := find_nearest(name, params):
        return f"a param is written `params.{near[0]}`"
    if name in names.FUNCTIONS:
        return f"a function is called: {name}(…)"
    return f"an argument is written `args.{name}`; other names are defined under `let`"


def _show_arity(arity: tuple[int, int | None]) -> str:
    fewest, most = arity
    if most is None:
        return f"at least {fewest} arguments"
    amount = str(fewest) if fewest == most else f"{fewest} or {most}"
    return f"{amount} argument{'s' if amount != '1' else ''}"
