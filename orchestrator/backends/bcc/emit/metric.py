"""How a hook feeds its metrics."""

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.hook_nodes import may_be_null
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.backends.bcc.emit.key import store_key_part
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import Convert, Node
from orchestrator.compile.expressions.types import Bool, Int
from orchestrator.compile.program import MetricSpec, MetricUse


class MetricBlock:
    """The block of C in which one hook feeds one metric, number `number` in the ledger's element.
    `every`: every accepted event counts in it (design/implied_counts.py)."""

    def __init__(  # the metric, and how it is fed here
        self,
        expressions: Expressions,
        spec: MetricSpec,
        use: MetricUse,
        number: int,
        every: bool,
    ) -> None:
        self.e, self.spec, self.use, self.every = expressions, spec, use, every
        self.number = number
        self.line = expressions.writer.line

    def write_block(self) -> None:
        """The whole block."""
        writer = self.e.writer
        writer.comment(f"metric {self.spec.name}: {self.describe_metric()}")
        if self.every and self.spec.kind == "count":
            self._add_surplus(f"ledger->metric[{self.number}]")
            return  # `accepted` counts its events
        with writer.block("do", "while (0);"):
            self.line(f"struct metric_counts *metric = &ledger->metric[{self.number}];")
            self._filter_event()
            self._declare_value()
            if self.spec.key:
                self._count_keyed()
            else:
                self._count_unkeyed()

    def describe_metric(self) -> str:
        """The metric as the plan defines it."""
        spec, use = self.spec, self.use
        value = describe_node(use.value, self.e.site.body) if use.value is not None else "1"
        by = f" by {', '.join(part.name for part in spec.key)}" if spec.key else ""
        where = (
            f" where {describe_node(use.where, self.e.site.body)}" if use.where is not None else ""
        )
        return f"{spec.kind} of {value}{by}{where}"

    def _may_be_null(self, *nodes: Node) -> bool:
        return any(may_be_null(node, self.e.site.body) for node in nodes)

    def _filter_event(self) -> None:
        where = self.use.where
        if where is not None:
            text, nullable = self.e.number(where), self._may_be_null(where)
            self._reset_fault(nullable)
            self.line(f"u32 holds = {text};")
            self._leave_if("!holds", nullable, where)

    def _reset_fault(self, nullable: bool) -> None:
        if nullable:
            self.line("fault = 0;")

    def _leave_if(self, condition: str, nullable: bool, *nodes: Node) -> None:
        """Leave without counting when the condition holds or a read of the nodes failed."""
        if nullable:
            self._write_lines(f"if ({self.e.notes.test_fault(*nodes)})", "\tCOUNT(faulted);")
        tests = [test for test in ("fault" if nullable else "", condition) if test]
        if tests:
            self.line(f"if ({' || '.join(tests)}) {{")
            self._write_lines("\tPP_ADD(&metric->filtered, 1);", "\tbreak;", "}")

    def _declare_value(self) -> None:
        """Declare `value` (64 bits), and for a histogram its bucket."""
        spec, value = self.spec, self.use.value
        if spec.kind == "count" and value is None:
            return
        kind = "s64" if spec.signed else "u64"
        text = self.e.number(value) if value is not None else "1"
        nullable = value is not None and self._may_be_null(value)
        self._reset_fault(nullable)
        self.line(f"{kind} value = ({kind})({text});")
        read = () if value is None else (value,)
        self._leave_if("!value" if spec.kind == "count" else "", nullable, *read)
        if spec.kind == "histogram":
            self.line(f"u32 bucket = {self._find_bucket()};")

    def _find_bucket(self) -> str:
        count, buckets = layout.bucket_count(self.spec), self.spec.buckets
        if buckets.kind == "log":
            inside = "pp_log_bucket((u64)value)"
            return f"value < 0 ? {count} : {inside}" if self.spec.signed else inside
        # Compared as signed numbers, since low may be negative; unsigned ones beyond s64 are above.
        value = "(s64)value"
        below = f"{value} < {buckets.low}LL"
        above = f"{value} >= {buckets.high}LL"
        if not self.spec.signed:
            above = f"value > 0x7fffffffffffffffULL || {above}"
            below = f"value <= 0x7fffffffffffffffULL && {below}"
        index = f"(u32)(((u64){value} - (u64){buckets.low}LL) / {buckets.step}ULL)"
        return f"({below}) ? {count} : ({above}) ? {count + 1} : {index}"

    # -- cells ---------------------------------------------------------------------------------

    def _count_unkeyed(self) -> None:
        if self.spec.kind == "histogram":
            self._add_dense()
        else:
            self._add_surplus("(*metric)")
        self._add_value("metric")
        if not self.every:
            self.line("PP_ADD(&metric->counted, 1);")

    def _add_surplus(self, metric: str) -> None:
        """The extra weight of an event, by sampling; without sampling nothing is written."""
        self._write_lines("if (weight != 1)", f"\tPP_ADD(&{metric}.count, weight - 1);")

    def _add_dense(self) -> None:
        with self.e.writer.block():
            placeholder = layout.dense_map(self.spec)
            self.line(f"u64 *cell = pp_map_lookup(PP_MAP({placeholder}), &bucket);")
            self.line("if (cell)")
            self.line("\tPP_ADD(cell, weight);")

    def _add_value(self, cell: str) -> None:
        kind = "s64" if self.spec.signed else "u64"
        match self.spec.kind:
            case "sum" | "avg":
                self.line(f"PP_ADD(&{cell}->value, (u64)value * weight);")
                if not self._is_below_2_to_32():
                    self.line("if (value >> 32)")
                    self.line(f"\tPP_ADD(&{cell}->high, (u64)(value >> 32) * weight);")
            case "min" | "max":
                better = "<" if self.spec.kind == "min" else ">"
                self.line(f"PP_SETTLE(({kind} *)&{cell}->value, value, {better});")

    def _is_below_2_to_32(self) -> bool:
        """Whether the type of the value says that it has no upper half."""
        source = self.use.value.value.type if isinstance(self.use.value, Convert) else None
        unsigned = isinstance(source, Int) and source.bits < 64 and not source.signed
        return unsigned or isinstance(source, Bool)

    def _count_keyed(self) -> None:
        size = layout.hash_key_bytes(self.spec)
        self.line(f"char key[{size}] __attribute__((aligned(8))) = {{}};")
        nullable = self._may_be_null(*self.use.key)
        self._reset_fault(nullable)
        for part, node in zip(self.spec.key, self.use.key, strict=True):
            store_key_part(self.e, part, node)
        self._leave_if("", nullable, *self.use.key)
        if self.spec.kind == "histogram":
            self.line(f"*(u64 *)(key + {self.spec.key_size}) = bucket;")
        self._find_cell()
        self.line("PP_ADD(&cell->count, weight);")
        self._add_value("cell")

    def _find_cell(self) -> None:
        """Declare `cell`: the cell of the key, created if needed, or `other` when the map is
        full."""
        placeholder = f"PP_MAP({layout.keyed_map(self.spec)})"
        kind = "sum_cell" if self.spec.kind in layout.SUMS else "cell"
        initial = f"{{0, {layout.initial_extreme(self.spec):#x}ULL}}"
        self._write_lines(
            "u32 full = 0;",
            f"struct {kind} *cell = pp_map_lookup({placeholder}, key);",
            "if (!cell) {",
            f"\tstruct {kind} fresh = {initial};",
            f"\ts64 error = pp_map_update({placeholder}, key, &fresh, PP_NOEXIST);",
            "\tif (error == 0 || error == PP_EEXIST)",
            f"\t\tcell = pp_map_lookup({placeholder}, key);",
            "\tfull = error == PP_E2BIG;",
            "}",
        )
        with self.e.writer.block("if (full)"):
            self._count_other()
        self._write_lines(
            "if (!cell) {",
            "\tPP_ADD(&metric->map_busy, 1);",
            "\tbreak;",
            "}",
            "PP_ADD(&metric->counted, 1);",
        )

    def _count_other(self) -> None:
        """Count in the cell `other` and leave; its parts are per CPU."""
        if self.spec.kind == "histogram":
            dense = f"PP_MAP({layout.dense_map(self.spec)})"
            self._write_lines(
                f"u64 *other = pp_map_lookup({dense}, &bucket);",
                "if (other)",
                "\tPP_ADD(other, weight);",
            )
        self._write_lines("PP_ADD(&metric->map_full, 1);", "PP_ADD(&metric->count, weight);")
        self._add_value("metric")
        self.line("break;")

    def _write_lines(self, *lines: str) -> None:
        for text in lines:
            self.line(text)
