"""A secret is a handle: it can be used, and cannot be shown, compared, copied or sent elsewhere."""

from __future__ import annotations

from typing import NoReturn, TypeVar

T = TypeVar("T")


def _hidden(self: object) -> str:
    return f"<{type(self).__name__}>"


def _refuse_pickle(self: object, *_: object) -> NoReturn:
    raise TypeError(
        f"a {type(self).__name__} does not leave this process: not picklable, no copies"
    )


def _refuse_equality(self: object, _: object) -> NoReturn:
    raise TypeError(f"secrets are not compared: compare the key_id of a {type(self).__name__}")


def handle(cls: type[T]) -> type[T]:
    """Make `cls` opaque: its repr is its name; pickling, copying, == and hashing raise TypeError.

    Comparing Python bytes is not constant in time and a cache keyed by a secret keeps it alive, hence
    neither `==` nor `hash`. Python cannot wipe memory: a handle limits where a secret goes, not how long
    its bytes stay in a freed page.
    """
    forbidden = {
        "__repr__": _hidden,
        "__reduce_ex__": _refuse_pickle,
        "__getstate__": _refuse_pickle,
        "__eq__": _refuse_equality,
        "__hash__": None,
    }
    for name, method in forbidden.items():
        setattr(cls, name, method)
    return cls
