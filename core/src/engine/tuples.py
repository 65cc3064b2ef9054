"""`NamedTuple`: typing's, made at a tenth of the cost.

The engine's values are named tuples, and a short command makes a hundred such classes. typing's compiles each field's
annotation, looks at it and forgets it, and then compiles a constructor: 0.1 ms a class, a quarter of all that
``engine run`` would do, and the shim would keep what that needs. Here a class body's own annotations are its fields,
and all classes share one constructor. To type checkers it is typing's, and tests compare the two.

With `TYPE_CHECKING` and `Protocol` it is all that lean modules need of typing while they run.

The lowest of all layers; lean: it imports nothing but what the interpreter has loaded.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414  # they are what others import from here
    from typing import Protocol as Protocol  # noqa: PLC0414
else:
    Protocol = object

    from _collections import _tuplegetter

    class _Making(type):
        """Makes a class of each class body that has `NamedTuple` as its base; what is derived from that is as usual."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
            body.setdefault("__slots__", ())
            if bases != (tuple,) and not hasattr(bases[0], "_fields"):
                _give_fields(body, tuple(body.get("__annotations__", ())))
            return type.__new__(cls, name, bases, body)

    def _give_fields(body: dict[str, Any], fields: tuple[str, ...]) -> None:
        body["_fields"] = body["__match_args__"] = fields
        body["_field_defaults"] = {field: body[field] for field in fields if field in body}
        for position, field in enumerate(fields):
            body[field] = _tuplegetter(position, None)

    class NamedTuple(tuple, metaclass=_Making):
        """The base of a class whose annotated names are its fields, in order, with their defaults."""

        def __new__(cls, *values: Any, **named: Any) -> Any:
            """Make one: fields by position, then by name, then their defaults."""
            if named or len(values) != len(cls._fields):
                values = _complete(cls, values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _make(cls, values: Iterable[Any]) -> Any:
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {cls._fields}, and was given {len(made)} values")
            return made

        def _replace(self, **named: Any) -> Any:
            changed = tuple.__new__(type(self), map(named.pop, self._fields, self))
            if named:
                raise TypeError(f"{type(self).__name__} has no {', '.join(named)}")
            return changed

        __replace__ = _replace

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self) -> str:
            values = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({values})"

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

    def _complete(made: Any, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """Return the value of every field. Raises `TypeError` for one too few and for one too many."""
        defaults = made._field_defaults
        try:
            rest = [named.pop(name) if name in named else defaults[name] for name in made._fields[len(values) :]]
        except KeyError as error:
            raise TypeError(f"{made.__name__} wants {error.args[0]}") from None
        if named or len(values) > len(made._fields):
            raise TypeError(f"{made.__name__} has {made._fields}, and was given {len(values)} values and {list(named)}")
        return (*values, *rest)
