"""Many stacks, one recipe: each stack by itself, with a row in a report, and nothing lost when the program ends.

What is done with a stack is said by a `BatchItem` and a `BatchJob`, plain values that another process can be handed.
`segment_stack` does it and touches nothing that another stack needs; `run_batch` has it done for all stacks, one after
the other here, or by a `crew` of Dask's workers.
"""

from napari_scutoid.batch.command import as_computed, batch_command
from napari_scutoid.batch.job import BatchJob, with_even_passes
from napari_scutoid.batch.plan import BatchItem, find_stacks, plan
from napari_scutoid.batch.report import REPORT_CSV, REPORT_JSON, BatchReport, Row, read_report
from napari_scutoid.batch.run import BatchProgress, run_batch
from napari_scutoid.batch.stack import read_result, segment_stack

__all__ = [
    "REPORT_CSV",
    "REPORT_JSON",
    "BatchItem",
    "BatchJob",
    "BatchProgress",
    "BatchReport",
    "Row",
    "as_computed",
    "batch_command",
    "find_stacks",
    "plan",
    "read_report",
    "read_result",
    "run_batch",
    "segment_stack",
    "with_even_passes",
]
