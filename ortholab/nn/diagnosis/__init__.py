"""What is wrong with a network, and which start would suit it: :func:`diagnose`."""

from ortholab.nn.diagnosis.end_to_end import EndToEnd
from ortholab.nn.diagnosis.examine import diagnose
from ortholab.nn.diagnosis.report import Report
from ortholab.nn.diagnosis.row import Row
from ortholab.nn.diagnosis.suggestion import Suggestion
from ortholab.nn.diagnosis.untouched import untouched
from ortholab.nn.diagnosis.verdict import Finding, Limits

__all__ = ["EndToEnd", "Finding", "Limits", "Report", "Row", "Suggestion", "diagnose", "untouched"]
