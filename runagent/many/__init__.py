"""Many inputs: one pace for all, a journal, and an answer or an error for each row."""

from runagent.many.asynchronous import AsyncBatch
from runagent.many.batch import Plan, Remote, Source
from runagent.many.blocking import Batch
from runagent.many.executors import check_credentials, check_executor
from runagent.many.failures import not_inputs
from runagent.many.frames import Frame, Inputs, Outputs, Table, is_missing
from runagent.many.journal_file import journal_path
from runagent.many.listed import Listed
from runagent.many.options import Asking, Keeping, Sending
from runagent.many.rates import check_rate
from runagent.many.rows import Row
from runagent.many.watching import display_for

__all__ = [
    "Asking",
    "AsyncBatch",
    "Batch",
    "Frame",
    "Inputs",
    "Keeping",
    "Listed",
    "Outputs",
    "Plan",
    "Remote",
    "Row",
    "Sending",
    "Source",
    "Table",
    "check_credentials",
    "check_executor",
    "check_rate",
    "display_for",
    "is_missing",
    "journal_path",
    "not_inputs",
]
