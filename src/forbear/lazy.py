"""Commands that are imported when they are asked for: what a command doesn't use, it doesn't wait for."""

import ast
import importlib
import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any

import typer

#: Everything after the command's name is the command's own to read, its --help too.
_AS_TYPED = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
#: An amount below nothing, which would be read as an option.
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?")


def add_later(app: typer.Typer, name: str, place: str) -> None:
    """Put a command, or a Typer with commands of its own, that lies at "module:attribute" under an application."""

    @app.command(name, help=_help(place), add_help_option=False, context_settings=_AS_TYPED)
    def run(ctx: typer.Context) -> None:
        for before, word in itertools.pairwise(["", *ctx.args]):
            if _NEGATIVE.fullmatch(word) and not before.startswith("-"):
                raise typer.BadParameter(f"{word} is less than nothing. What was paid by mistake is reversed.")
        module, _, attribute = place.partition(":")
        found: Any = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command()(found)
            found = alone
        typer.main.get_command(found)(args=ctx.args, prog_name=ctx.command_path)


def _help(place: str) -> str:
    """What a command says of itself, read in its module's source: a function's docstring, or a Typer's `help`."""
    module, _, attribute = place.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, place
    for node in ast.parse(Path(spec.origin).read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) if name == attribute:
                return ast.get_docstring(node) or ""
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(keywords=given)) if name == attribute:
                return next(str(ast.literal_eval(each.value)) for each in given if each.arg == "help")
    raise AssertionError(f"there is no {place}")
