"""The texts under the fields of the settings, from their source."""

import ast
import inspect
from dataclasses import fields
from textwrap import dedent


def field_texts(kind: type) -> dict[str, str]:
    """Name and text of every field of a settings class, those that it inherits included, in their order."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__[:-1]):
        (body,) = ast.parse(dedent(inspect.getsource(owner))).body
        for statement, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(text, ast.Expr):
                found[statement.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return {field.name: found[field.name] for field in fields(kind)}
