"""A checkpoint → what others load, compared with the checkpoint before it gets its name."""

from ocrtune.export.exporting import ExportResult, export
from ocrtune.export.serving import serving_findings

__all__ = ["ExportResult", "export", "serving_findings"]
