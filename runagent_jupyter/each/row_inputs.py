"""Makes the input for an agent of each row: the body is filled in from the row's fields."""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from itertools import islice
from typing import Any

from runagent import ValidationError
from runagent.many import Table, is_missing
from runagent_jupyter.magic_line.options import AskOptions
from runagent_jupyter.magic_line.question import input_of
from runagent_jupyter.templates.template import MISSING, fill_assignment

CHECKED = 10_000
"""Rows whose inputs are made before the first one is sent, at most."""

PATIENCE = 2.0
"""Seconds that this may take."""


class RowInputs:
    """Makes the inputs of a table's rows.

    Args:
        options: The options of the magic, in which `--set` is not filled in yet.
        body: The cell's body.
        variables: The variables of the notebook, for names that no column has.
    """

    def __init__(self, options: AskOptions, body: str, variables: MutableMapping[str, Any]) -> None:
        self._options = options
        self._body = body
        self._variables = variables
        self._fills_set = not options.no_template and any("{{" in text for text in options.set)

    def input_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Make the input of a row.

        Args:
            row: The row; expressions name its fields, and it is `row` itself.

        Raises:
            ValidationError: An expression fails, or its value is missing in this row.
        """
        fields = {name: None if is_missing(value) else value for name, value in row.items()}
        variables: ChainMap[str, Any] = ChainMap(fields, {"row": fields}, self._variables)
        options = self._options
        if self._fills_set:
            filled = tuple(fill_assignment(text, variables) for text in options.set)
            options = replace(options, set=filled)
        return input_of(options, self._body, variables, None, needs_values=True)

    def check(self, table: Table) -> None:
        """Make the inputs of the first rows, so that nothing is paid before a slip is known.

        Raises:
            ValidationError: A question in which nothing of the row is, or a template that fails in
                a row. A value that is missing is no slip: it fails its row alone.
        """
        options = self._options
        fills_body = not options.no_template and "{{" in self._body
        if not (options.input or self._fills_set or fills_body):
            column = next((name for name in table.columns if name.isidentifier()), "text")
            raise ValidationError(
                "Every row would ask the same: nothing of the row is in the question.",
                code="USAGE",
                hint=f"Write the name of a column in braces, such as {{{{{column}}}}}.",
            )
        until = time.monotonic() + PATIENCE
        count = 1 if table.total is None else CHECKED  # a generator is not read ahead
        for position, row in enumerate(islice(table.rows(), count)):
            try:
                self.input_of(row)
            except ValidationError as exc:
                if exc.code == MISSING:
                    continue
                exc.message = f"Row {position}: {exc.message}"
                exc.args = (exc.message,)
                names = ", ".join(table.columns[:20])
                exc.hint = f"The columns are {names}. {exc.hint or ''}".strip()
                raise
            if time.monotonic() > until:
                return
