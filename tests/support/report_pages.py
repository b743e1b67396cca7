"""Pages and scores for reports, and what stands in a finished file."""

import base64
import gzip
import json
import re
from pathlib import Path

from ocrtune.evaluation import score_page, summarize
from ocrtune.records import Prediction
from ocrtune.reports import Curve, CurvePoint, ReportPage
from ocrtune.reports.result_files import read_card
from ocrtune.text import Normalization

RULE = Normalization()


def page(image, reference, *texts, name=None):
    scores = [
        score_page(reference, Prediction(image=name or f"{reference}.png", text=text), RULE) for text in texts
    ]
    return ReportPage.of(image, *scores)


def cards_of(pages):
    """The cards of all sides, counted anew from texts."""
    for side in range(len(pages[0].readings)):
        scores = [
            score_page(page.reference, Prediction(image=page.name, text=page.readings[side].text), RULE)
            for page in pages
        ]
        yield read_card(summarize(scores, RULE).as_dict())


def curve(name, *values):
    return Curve(
        name=name,
        points=tuple(CurvePoint(step=10 * step, value=value) for step, value in enumerate(values, start=1)),
    )


def write_json(path: Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_rows(path: Path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def side_row(text, cer, edits, **more):
    return {"prediction": text, "cer": cer, "char_edits": edits, "runaway": False, "repeated": False, **more}


def rates(micro):
    return {"micro": micro, "macro": micro + 0.001, "median": micro + 0.002, "clipped": micro + 0.003}


def side_result(name, micro, **more):
    return {
        "name": name,
        "pages": 2,
        "cer": rates(micro),
        "wer": rates(micro * 2),
        "ned": rates(micro),
        "exact_rate": 0.5,
        "runaway_rate": 0.0,
        "structures": {"teds": {"mean": 0.875, "pages": 1}},
        "normalization": {"unicode": "NFC", "whitespace": "trim", "case": "keep"},
        "intervals": {"rates": {"cer": {"micro": {"low": micro - 0.0111, "high": micro + 0.0222}}}},
        "confusions": {"characters": [["e", "c", 7], ["", "i", 2]]},
        **more,
    }


def block_of(html, identifier):
    """What a `<script>` block of data holds, as a browser reads it."""
    found = re.search(
        rf'<script type="application/(json|gzip)" id="{identifier}">(.*?)</script>', html, re.DOTALL
    )
    kind, content = found.groups()
    return json.loads(gzip.decompress(base64.b64decode(content)) if kind == "gzip" else content)


def reading_of(columns, page, side=-1):
    """The text of a reading, made of its differences from the reference."""
    ops, reference = columns["reads"][side][page], columns["refs"][page]
    if isinstance(ops, str):
        return ops
    text, at = "", 0
    for kept, left_out, put_in in zip(ops[::3], ops[1::3], ops[2::3], strict=True):
        text += reference[at : at + kept] + put_in
        at += kept + left_out
    return text + reference[at:]
