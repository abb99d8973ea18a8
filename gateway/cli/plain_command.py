"""Commands that no operation declares: their help, their examples, --json, and the options that several of them share.

A parameter that is annotated with a dataclass stands for a group of options: each of its fields is an option or an argument
of the command, and the function gets them together, as one value. Arguments of a group come before the command's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo

from gateway.cli.output import In, Json, example

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_Body = Callable[..., None]


def plain_command(
    app: typer.Typer, *examples: str, name: str | None = None, translated: bool = False
) -> Callable[[_Body], _Body]:
    """Return the decorator that makes a function a command of `app`.

    examples    command lines that its help ends with
    name        where it is not the function's
    translated  whether it takes --language
    """

    def make(body: _Body) -> _Body:
        own = list(inspect.signature(body, eval_str=True).parameters.values())
        kinds: dict[str, Any] = {
            each.name: each.annotation for each in own if is_dataclass(each.annotation)
        }
        groups = {name: list(_options(kind)) for name, kind in kinds.items()}
        context, *rest = (option for each in own for option in groups.get(each.name, [each]))
        arguments = [
            option for options in groups.values() for option in options if _is_argument(option)
        ]
        parameters = [context, *arguments, *(each for each in rest if each not in arguments)]
        if translated:
            parameters.append(_parameter("language", In, ""))
        parameters.append(_parameter("as_json", Json, False))

        def run(**given: Any) -> None:  # noqa: ANN401 - as typer hands them over
            del given["as_json"]  # heard where it was read: gateway.cli.output
            if translated:
                del given["language"]  # likewise
            for group, options in groups.items():
                given[group] = kinds[group](**{each.name: given.pop(each.name) for each in options})
            body(**given)

        parameters = [each.replace(kind=_KEYWORD) for each in parameters]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        app.command(name=name, epilog=example(*examples))(run)
        return body

    return make


def _options(group: Any) -> Iterator[inspect.Parameter]:  # noqa: ANN401 - a dataclass
    """Yield what a group stands for."""
    hints = get_type_hints(group, include_extras=True)
    for each in fields(group):
        default = inspect.Parameter.empty if each.default is MISSING else each.default
        yield _parameter(each.name, hints[each.name], default)


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, _KEYWORD, annotation=annotation, default=default)


def _is_argument(option: inspect.Parameter) -> bool:
    return any(isinstance(each, ArgumentInfo) for each in get_args(option.annotation)[1:])
