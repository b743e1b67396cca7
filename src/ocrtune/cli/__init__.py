"""The `ocrtune` command: each subcommand parses, calls one API function and prints."""

from ocrtune.cli.app import main

__all__ = ["main"]
