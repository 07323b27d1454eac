"""A mypy plugin: what a C type of Cython's pure-Python mode means as an annotation.

`cython.double` is float, `cython.double[::1]` a `View[float]`, `cython.pointer[cython.double]` a `Pointer[float]`.
Aliases in the stub could say the first, but nothing in a stub can say the second: mypy refuses a slice in a type.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.plugin import AnalyzeTypeContext, Plugin
from mypy.types import AnyType, NoneType, Type, TypeOfAny

INTS = ("char", "schar", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "longlong", "ulonglong")
SIZES = ("size_t", "ssize_t", "Py_ssize_t")
PYTHON = dict.fromkeys(INTS + SIZES, "builtins.int") | {
    "bint": "builtins.bool",
    "float": "builtins.float",
    "double": "builtins.float",
}


def meaning(name: str) -> Callable[[AnalyzeTypeContext], Type]:
    def analyze(ctx: AnalyzeTypeContext) -> Type:
        of = ctx.api.named_type(PYTHON[name], [])
        return ctx.api.named_type("cython.View", [of]) if ctx.type.args else of

    return analyze


def pointer(ctx: AnalyzeTypeContext) -> Type:
    to: list[Type] = [ctx.api.analyze_type(arg) for arg in ctx.type.args]
    if len(to) != 1:
        ctx.api.fail("write cython.pointer[ctype]", ctx.context)
        return AnyType(TypeOfAny.from_error)
    return ctx.api.named_type("cython.Pointer", to)


def named_pointer(name: str) -> Callable[[AnalyzeTypeContext], Type]:
    def analyze(ctx: AnalyzeTypeContext) -> Type:
        return ctx.api.named_type("cython.Pointer", [ctx.api.named_type(PYTHON[name], [])])

    return analyze


OTHERS: dict[str, Callable[[AnalyzeTypeContext], Type]] = {
    "pointer": pointer,
    "void": lambda _: NoneType(),
    "p_void": lambda _: AnyType(TypeOfAny.explicit),
}


class CythonTypes(Plugin):
    def get_type_analyze_hook(self, fullname: str) -> Callable[[AnalyzeTypeContext], Type] | None:
        module, _, name = fullname.rpartition(".")
        if module != "cython":
            return None
        if name in PYTHON:
            return meaning(name)
        if name in ("p_char", "p_uchar"):
            return lambda ctx: ctx.api.named_type("cython.Chars", [])
        if name.startswith("p_") and name[2:] in PYTHON:
            return named_pointer(name[2:])
        return OTHERS.get(name)


def plugin(_version: str) -> type[Plugin]:
    return CythonTypes
