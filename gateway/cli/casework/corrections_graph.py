"""The graph of a mistake, three ways: a tree for the terminal, Graphviz' language, a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

ROW = 34  # pixels from one node to the next
STEP = 250  # pixels from one generation to the next
WIDTH, HEIGHT = 230, 26  # pixels of a node
_COLOURS = {"good": "#d8f0d8", "late": "#f8d0d0", "open": "#fdf0c8", "plain": "#eef1f5"}


@dataclass(frozen=True, slots=True)
class Node:
    """One thing, what stands below it, and how it is: good, late, open or plain."""

    text: str
    mood: str = "plain"
    below: tuple[Node, ...] = field(default=())


def of_trace(trace: Mapping[str, Any]) -> Node:
    """Return the graph of what `corrections.trace` answered."""
    root = f"person {trace['subject']}" if trace["subject"] else f"query {trace['number']}"
    disclosed = tuple(
        Node(
            f"{each['partner']} {each['number']}",
            below=(
                Node("match"),
                *(Node(f"{one['field']} v{one['record_version']}") for one in each["fields"]),
                *(_correction(one) for one in each["corrections"]),
            ),
        )
        for each in trace["disclosed"]
    )
    received = tuple(
        Node(
            f"from {each['partner']} in {each['case']}: {each['state']}",
            below=tuple(_correction(one) for one in each["corrections"]),
        )
        for each in trace["received"]
    )
    return Node(root, below=(*disclosed, *received))


def _correction(correction: Mapping[str, Any]) -> Node:
    mood = "good" if correction["acknowledged"] else "late" if correction["late"] else "open"
    standing = correction["outcome"] if correction["acknowledged"] else correction["state"]
    late = " (late)" if mood == "late" else ""
    return Node(f"{correction['kind']}: {standing}{late}", mood)


def tree(node: Node) -> list[str]:
    """Return the lines of a tree."""
    return [node.text, *_branches(node, "")]


def _branches(node: Node, lead: str) -> Iterator[str]:
    for each in node.below:
        last = each is node.below[-1]
        yield f"{lead}{'└── ' if last else '├── '}{each.text}"
        yield from _branches(each, lead + ("    " if last else "│   "))


def dot(node: Node) -> str:
    """Return the graph in Graphviz' language."""
    lines = ["digraph correction {", "  rankdir=LR; node [shape=box, style=filled];"]
    for name, each, parent in _walk(node):
        text = each.text.replace('"', "'")
        lines.append(f'  {name} [label="{text}", fillcolor="{_COLOURS[each.mood]}"];')
        if parent:
            lines.append(f"  {parent} -> {name};")
    return "\n".join((*lines, "}", ""))


def svg(node: Node) -> str:
    """Return the graph as a picture: generations from left to right, one row for each leaf."""
    placed = list(_placed(node, 0, [0]))
    width = (max(depth for _, depth, _, _ in placed) + 1) * STEP
    height = (max(row for *_, row, _ in placed) + 1) * ROW + ROW
    size = f'width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="12">'
    ]
    for each, depth, row, parent in placed:
        x, y = depth * STEP + 10, row * ROW + 10
        if parent is not None:
            start = f"{(depth - 1) * STEP + 10 + WIDTH},{parent * ROW + 10 + HEIGHT // 2}"
            parts.append(
                f'<polyline points="{start} {x},{y + HEIGHT // 2}" fill="none" stroke="#666"/>'
            )
        parts.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4" stroke="#666"'
            f' fill="{_COLOURS[each.mood]}"/><text x="{x + 6}" y="{y + 17}">{escape(each.text[:32])}</text>'
        )
    return "\n".join((*parts, "</svg>", ""))


def _walk(node: Node, name: str = "n", parent: str = "") -> Iterator[tuple[str, Node, str]]:
    yield name, node, parent
    for index, each in enumerate(node.below):
        yield from _walk(each, f"{name}_{index}", name)


def _placed(
    node: Node, depth: int, rows: list[int], parent: int | None = None
) -> Iterator[tuple[Node, int, int, int | None]]:
    row = rows[0]
    yield node, depth, row, parent
    for each in node.below:
        yield from _placed(each, depth + 1, rows, row)
    if not node.below:
        rows[0] += 1
