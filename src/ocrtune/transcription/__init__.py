"""Texts with their places → PAGE XML, ALTO or hOCR, as archives keep them."""

from ocrtune.transcription.exporting import Exported, export_pages, write_transcriptions

__all__ = ["Exported", "export_pages", "write_transcriptions"]
