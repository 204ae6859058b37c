import json

from orchestrator.html_report.markup import clean_value, element, embed_json
from tests.support.report_runs import HOSTILE


def test_text_never_becomes_markup() -> None:
    shown = element("p", *HOSTILE, title=HOSTILE[4])
    assert shown.count("<") == 2
    assert shown.count('"') == 2


def test_characters_that_control_or_reorder_are_escapes() -> None:
    assert element("p", "\x1b[31m\u202e") == "<p>\\x1b[31m\\u202e</p>"


def test_elements_inside_others_stay_markup() -> None:
    assert element("p", element("b", "a<b"), None) == "<p><b>a&lt;b</b></p>"


def test_an_attribute_without_a_value() -> None:
    assert element("input", hidden=True, title=None, class_="x") == '<input hidden class="x">'


def test_json_in_a_script_has_nothing_that_ends_it() -> None:
    embedded = embed_json(list(HOSTILE))
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded) == list(HOSTILE)


def test_numbers_that_javascript_rounds_are_texts() -> None:
    assert clean_value([2**53, -(2**53), 2**53 - 1, True]) == [
        str(2**53),
        str(-(2**53)),
        2**53 - 1,
        True,
    ]
