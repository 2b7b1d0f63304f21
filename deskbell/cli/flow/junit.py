"""The results as JUnit's XML, which CI systems read."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

from deskbell.flow.results import CaseResult

_NOT_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")


def write_junit(path: Path, results: Sequence[CaseResult]) -> None:
    """Write a file: a suite for each flow file, a test case for each case."""
    root = Element("testsuites", _numbers(results))
    suites: dict[Path, list[CaseResult]] = defaultdict(list)
    for result in results:
        suites[result.path].append(result)
    for file, cases in suites.items():
        suite = SubElement(root, "testsuite", {"name": _text(str(file)), **_numbers(cases)})
        for case in cases:
            own = {"classname": _text(file.stem), "name": _text(case.case), "time": f"{case.seconds:.3f}"}
            element = SubElement(suite, "testcase", own | {"file": _text(str(file)), "line": str(case.line)})
            if not case.has_passed:
                kind = "error" if case.error else "failure"
                found = SubElement(element, kind, {"message": _text(case.reasons[0])})
                found.text = _text("\n".join(case.reasons))
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _numbers(cases: Sequence[CaseResult]) -> dict[str, str]:
    errors = sum(bool(case.error) for case in cases)
    return {
        "tests": str(len(cases)),
        "failures": str(sum(not case.has_passed for case in cases) - errors),
        "errors": str(errors),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _text(text: str) -> str:
    """A text without what XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
