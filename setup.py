"""Which modules are compiled, and how. Everything else about the package is in pyproject.toml.

A module is compiled when a `# cython: ...` directive stands in its leading comments, so there is no list to keep.
A missing or failing C compiler is no error: the module then runs as the Python it is, only slower.
IMBALANCED_NO_EXTENSIONS=1 in the environment compiles nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
PACKAGE = ROOT / "imbalanced"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
}
# No contraction: with fused multiply-add (aarch64) compiled and plain Python differ in the last bit. Never -ffast-math.
UNIX_ARGS = ["-O3", "-ffp-contract=off"]
COMPILE_ARGS = {"unix": UNIX_ARGS, "mingw32": UNIX_ARGS, "msvc": ["/O2", "/fp:precise"]}
LIBRARIES = (".so", ".pyd")


def is_marked(source: Path) -> bool:
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# cython:"):
                return True
            if line.strip() and not line.startswith("#"):
                return False
    return False


def marked_modules() -> dict[str, Path]:
    marked = {path.relative_to(ROOT): path for path in sorted(PACKAGE.rglob("*.py")) if is_marked(path)}
    return {".".join(relative.with_suffix("").parts): relative for relative in marked}


class BuildExt(build_ext):
    """Runs Cython only when extensions are really built, and leaves no library that its source did not make."""

    def run(self) -> None:
        if self.inplace:
            forget_unmarked()
        super().run()

    def build_extensions(self) -> None:
        # build_ext has put its own marks on self.extensions by now, so only sources are taken from the translated ones.
        jobs = (os.cpu_count() or 1) if self.parallel is True else int(self.parallel or 0)
        plain = [Extension(ext.name, list(ext.sources)) for ext in self.extensions]
        translated = cythonize(plain, compiler_directives=DIRECTIVES, force=bool(self.force), nthreads=jobs)
        by_name = {ext.name: ext for ext in translated}
        for ext in self.extensions:
            ext.sources, ext.depends = by_name[ext.name].sources, by_name[ext.name].depends
            ext.extra_compile_args = COMPILE_ARGS.get(self.compiler.compiler_type, [])
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception:
            # `optional` lets the build go on; the library of an earlier build must not go on with it.
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
            module = ROOT.joinpath(*ext.name.split("."))
            for library in module.parent.glob(f"{module.name}.*"):
                if library.suffix in LIBRARIES:
                    library.unlink()
            raise


def forget_unmarked() -> None:
    """Remove libraries whose module is gone or no longer marked: Python would import them before the source."""
    marked = {(ROOT / source).with_suffix("") for source in marked_modules().values()}
    for library in [path for path in PACKAGE.rglob("*") if path.suffix in LIBRARIES]:
        if library.with_name(library.name.partition(".")[0]) not in marked:
            library.unlink()


compiled = {} if os.environ.get("IMBALANCED_NO_EXTENSIONS") else marked_modules()
setup(
    ext_modules=[Extension(name, [source.as_posix()], optional=True) for name, source in compiled.items()],
    cmdclass={"build_ext": BuildExt},
)
