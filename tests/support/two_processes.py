"""ocrtune in two processes, as torchrun starts them."""

import os
import subprocess
import sys

from ocrtune.config import write_config

START = "from ocrtune.cli import main; main()"


def run_in_two_processes(command, config, path, *more):
    """`ocrtune COMMAND` on a recipe that is written to `path`; what it wrote to stdout and stderr, and its status."""
    write_config(config, path)
    script = path.with_suffix(".py")
    script.write_text(START)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, str(script), command, str(path), *more],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
