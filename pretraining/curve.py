"""The curve of a run of `base.yaml` → `curve.json` beside this file, and a picture of it in `docs/`.

Run it with `python pretraining/curve.py runs/base`.
"""

import json
import sys
from pathlib import Path

from ocrtune.reports.charts import line_chart
from ocrtune.reports.records import Curve, CurvePoint
from ocrtune.reports.wording import format_percent_tick
from ocrtune.sources import write_text_atomically

CURVE = Path(__file__).with_suffix(".json")
PICTURE = Path(__file__).parents[1] / "docs" / "small-model-curve.svg"
EVERY_STEPS = 100

KEYS = ("token_loss", "vision_accuracy", "decoder_accuracy", "attention_accuracy", "learning_rate", "cer")

STYLE = """
svg { background: #fff; font-family: sans-serif; }
text { fill: #57606a; font-size: 12.5px; }
.grid { stroke: #d8dee4; } .axis { stroke: #57606a; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.curve-1 polyline { stroke: #0b57d0; } .curve-2 polyline { stroke: #b3590a; stroke-dasharray: 6 4; }
.curve-1 .dot { fill: #0b57d0; } .curve-2 .dot { fill: #b3590a; }
"""


def main() -> None:
    rows = points_of(Path(sys.argv[1]))
    lines = ",\n".join(f" {json.dumps(row)}" for row in rows)
    write_text_atomically(CURVE, f"[\n{lines}\n]\n")
    write_text_atomically(PICTURE, picture(rows))


def points_of(run: Path) -> list[dict[str, float]]:
    """A row of `KEYS` for every `EVERY_STEPS` steps, and for every step at which held-out lines were read."""
    logged: dict[int, dict[str, float]] = {}
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["step"] % EVERY_STEPS == 0 or "cer" in row:
            known = {key: round(row[key], 5) for key in KEYS if key in row}
            logged.setdefault(row["step"], {"step": row["step"]}).update(known)
    return [logged[step] for step in sorted(logged)]


def picture(rows: list[dict[str, float]]) -> str:
    """Held-out CER, and the share of letters that the vision features do not tell, over steps."""
    unseen = [(row["step"], 1 - row["vision_accuracy"]) for row in rows if "vision_accuracy" in row]
    read = [(row["step"], row["cer"]) for row in rows if "cer" in row]
    curves = [
        Curve(name=name, points=tuple(CurvePoint(step=int(step), value=value) for step, value in points))
        for name, points in (("CER on held-out lines", read), ("letters not seen", unseen))
        if points
    ]
    chart = line_chart(
        curves,
        title="How the small model learned",
        unit="solid: CER on held-out lines; dashed: letters that the vision features do not tell",
        format_value=format_percent_tick,
    )
    head, body = chart.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{body}\n'


if __name__ == "__main__":
    main()
