"""Cross-references of docstrings, as Sphinx writes them, become code: loaded by mkdocstrings through griffe."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([^`]+)`")


class Roles(Extension):
    """Rewrite ``:func:`run_study``` as ```run_study``` wherever a docstring has it."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite one docstring."""
        del kwargs
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value.replace("``", "`"))
