"""The page about one run."""

from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
from orchestrator.html_report.markup import Html
from orchestrator.html_report.metric_sections import (
    PageData,
    figure_section,
    metric_sections,
    outstanding_section,
)
from orchestrator.html_report.model import RunSource
from orchestrator.html_report.page import make_page
from orchestrator.html_report.run_sections import (
    ledger_section,
    plan_section,
    records_section,
    summary_section,
    warning_section,
)

__all__ = ["make_run_page"]


def make_run_page(source: RunSource) -> str:
    """The page. The result has to be a whole one."""
    data = PageData()
    made = source.run["outcome"] not in UNMADE_OUTCOMES
    sections: list[tuple[str, str, Html | None]] = [
        ("summary", "Summary", summary_section(source)),
        ("warnings", "Warnings and limits", warning_section(source) if made else None),
        ("figures", "Figures", figure_section(source, data) if made else None),
        ("metrics", "Metrics", metric_sections(source, data) if made else None),
        ("outstanding", "Outstanding", outstanding_section(source, data) if made else None),
        ("ledger", "Events", ledger_section(source, data.flows) if made else None),
        ("records", "Records", records_section(source, data.records) if made else None),
        ("plan", "Plan", plan_section(source)),
    ]
    shown = [(name, title, content) for name, title, content in sections if content is not None]
    heading = f"{source.run['plan']} on {source.run['host']}"
    return make_page(f"{heading} - probeplan", heading, shown, data.as_json())
