import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import ImageFont

# The files of a hub are never asked for, and a second thread only waits for the first on a busy machine.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# What one session of tests has computed must not hide what another one computes otherwise.
os.environ["OCRTUNE_FEATURES"] = tempfile.mkdtemp(prefix="ocrtune-features-")
atexit.register(shutil.rmtree, os.environ["OCRTUNE_FEATURES"], ignore_errors=True)

try:
    import torch
except ImportError:  # the torch-free tests run without it
    pass
else:
    torch.set_num_threads(1)

# No test asserts wall time: a busy machine is no mistake.
# The same examples each time: a test that fails for one user fails for all. `--hypothesis-profile search` draws others.
settings.register_profile("search", deadline=None)
settings.register_profile("ocrtune", deadline=None, derandomize=True)
settings.load_profile("ocrtune")


@pytest.fixture(scope="session")
def synth_font(tmp_path_factory) -> Path:
    """The Latin font that Pillow carries, as a file, so that a machine without fonts will do."""
    path = tmp_path_factory.mktemp("font") / "Aileron.ttf"
    path.write_bytes(ImageFont.load_default(size=20).font_bytes)
    return path


@pytest.fixture(scope="session")
def golden() -> Path:
    """Data recorded from the published code."""
    return Path(__file__).parents[1] / "golden"
