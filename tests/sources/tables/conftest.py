import json

import pytest


@pytest.fixture
def save(tmp_path):
    """Save a text, bytes, or rows as a JSON list or lines."""

    def write(content, name="lines.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            written = [json.dumps(row, ensure_ascii=False) for row in content]
            content = "\n".join(written) if name.endswith(".jsonl") else f"[{', '.join(written)}]"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
