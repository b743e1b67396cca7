"""The whole way in a few minutes on two CPU cores: make a small model, fine-tune, score, export, report."""

from ocrtune.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
