"""Preflight: findings about the machine, and about one batch of somebody's own pipeline.

`machine` needs no torch; `device` and `batches` do.
"""

from ocrtune.doctor.machine import MachineFacts, check_machine, inspect_machine

__all__ = ["MachineFacts", "check_machine", "inspect_machine"]
