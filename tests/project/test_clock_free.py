"""No test asserts how long something took: a slow machine is not a wrong one. Such figures are for benches.

Waits that give up are another thing: they take their limit from tests/patience.py and assert nothing about it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}
NOW = {
    "now",
    "utcnow",
    "utc_now",
}  # of a calendar: two of them may be compared, their difference may not
# What commands and benches tell of a duration: an upper bound on one of these is a bound on the machine.
MEASURED = {
    "seconds",
    "elapsed",
    "duration",
    "took",
    "wall_s",
    "stop_s",
    "p50_ms",
    "p95_ms",
    "p99_ms",
}
MEASURED |= {"backup_seconds", "restore_seconds", "seconds_to_stop", "crypto_seconds", "p95_ratio"}


def called(node: ast.AST) -> str:
    """Return the last name of what a call calls; of anything else nothing."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def reads(node: ast.AST, names: set[str], tainted: set[str]) -> bool:
    """Tell whether an expression reads a clock of `names`, or a variable that came from one."""
    return any(
        (
            called(each) in names
            and not (isinstance(each, ast.Call) and called(each) == "time" and each.args)
        )
        or (isinstance(each, ast.Name) and each.id in tainted)
        for each in ast.walk(node)
    )


def derived(body: ast.AST, names: set[str]) -> set[str]:
    """Return the variables of a function that were computed from a clock, at any remove."""
    found: set[str] = set()
    while True:
        more = {
            target.id
            for node in ast.walk(body)
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr)
            and node.value is not None
            and reads(node.value, names, found)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        if more <= found:
            return found
        found |= more


def key(node: ast.AST) -> str:
    """Return the field that `a["field"]` or `a.field` reads."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.attr if isinstance(node, ast.Attribute) else ""


def bounded(compare: ast.Compare) -> bool:
    """Tell whether a measured duration is held below a constant that is named or written out."""
    sides = [compare.left, *compare.comparators]
    for left, operator, right in zip(sides, compare.ops, sides[1:], strict=False):
        if isinstance(operator, ast.Lt | ast.LtE):
            low, high = left, right
        elif isinstance(operator, ast.Gt | ast.GtE):
            low, high = right, left
        else:
            continue
        if key(low) in MEASURED and isinstance(high, ast.Constant | ast.Name | ast.BinOp):
            return True
    return False


def asserted(tree: ast.AST) -> Iterator[int]:
    """Yield the line of each assertion about elapsed time."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        ticks, dates = derived(function, CLOCKS), derived(function, NOW)
        for node in ast.walk(function):
            if not isinstance(node, ast.Assert):
                continue
            for each in ast.walk(node.test):
                if isinstance(each, ast.Compare) and (
                    reads(each, CLOCKS, ticks)
                    or bounded(each)
                    or any(
                        isinstance(one, ast.BinOp)
                        and isinstance(one.op, ast.Sub)
                        and reads(one.left, NOW, dates) != reads(one.right, NOW, dates)
                        for side in (each.left, *each.comparators)
                        for one in ast.walk(side)
                    )
                ):
                    yield node.lineno


def test_no_test_asserts_how_long_something_took(root: Path) -> None:
    found = {
        f"{path.relative_to(root)}:{line}"
        for path in sorted((root / "tests").rglob("*.py"))
        for line in asserted(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert found == set()
