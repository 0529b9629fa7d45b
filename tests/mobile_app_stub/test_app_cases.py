import json

from tests.mobile_app_stub import app_cases


def test_the_cases_are_what_the_reference_makes_today():
    assert app_cases.CASES.read_text(encoding="utf-8") == app_cases.text(), (
        "run `python -m tests.mobile_app_stub.app_cases`"
    )


def test_a_changed_pixel_would_show():
    changed = json.loads(app_cases.text())
    pixels = changed["inputs"][0]["pixels"]
    changed["inputs"][0]["pixels"] = ("B" if pixels[0] != "B" else "C") + pixels[1:]
    assert changed != app_cases.make()


def test_the_cases_hold_what_must_fail():
    cases = app_cases.make()
    assert [case["passed"] for case in cases["golden"]] == [True, True, False, False, False]
    assert sum(case["problem"] is not None for case in cases["contracts"]) == 25
    assert [case["unsure"] for case in cases["ranking"]] == [False, True, False, False, True, False]
    assert [case["rejected"] for case in cases["rejection"]] == [False] * 2 + [True] * 5
