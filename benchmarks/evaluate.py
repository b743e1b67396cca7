"""How long it takes to score 100,000 pages of 1,000 to 2,000 characters with some 5 % errors, on one core.

Run it with `python benchmarks/evaluate.py [PAGES]`; it prints one JSON object and, for 100,000 pages, writes it to
`evaluate.json` beside it. Texts are words of the sample book; of them `DISTINCT` pages are made and scored over and over, as nothing is
remembered from page to page. Tables, formulas, boxes and blocks are looked for on each, as `ocrtune evaluate` does, and there are none. The named baseline is jiwer's CER and WER, page by page.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer

from machine import describe_machine
from ocrtune.evaluation import count_confusions, measure_intervals, score_pages, summarize
from ocrtune.records import PageScore, Prediction
from ocrtune.sources import read_pages
from ocrtune.text import Normalization
from peak_memory import peak_mib

PAGES = 100_000
DISTINCT = 2_000
PAGES_OF_A_DOCUMENT = 20
ERROR_RATE = 0.05
BASELINE_PAGES = 2_000
WORDS_OF_A_LINE = 9


def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else PAGES
    distinct = make_pairs(random.Random(0), min(DISTINCT, pages))
    pairs = [distinct[number % len(distinct)] for number in range(pages)]
    documents = [str(number // PAGES_OF_A_DOCUMENT) for number in range(pages)]
    normalization = Normalization()
    scores, scoring_s = timed(lambda: score_pages(pairs, normalization, total=pages))
    card, summary_s = timed(lambda: summarize(scores, normalization))
    _, intervals_s = timed(lambda: measure_intervals(scores, documents))
    _, confusions_s = timed(lambda: count_confusions(scores))
    _, baseline_s = timed(lambda: score_by_jiwer(scores[:BASELINE_PAGES]))
    result = {
        "pages": pages,
        "mean_chars": round(sum(score.num_reference_chars for score in scores) / pages),
        "cer": round(card.cer.micro, 4),
        "scoring_s": round(scoring_s + summary_s, 1),
        "pages_per_s": round(pages / (scoring_s + summary_s)),
        "intervals_s": round(intervals_s, 1),
        "confusions_s": round(confusions_s, 1),
        "jiwer_pages_per_s": round(min(BASELINE_PAGES, pages) / baseline_s),
        "peak_mb": round(peak_mib()),
        "machine": describe_machine("rapidfuzz", "numpy"),
    }
    text = json.dumps(result, indent=2) + "\n"
    if pages == PAGES:
        Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def make_pairs(chance: random.Random, count: int) -> list[tuple[str, Prediction]]:
    words = " ".join(page.text or "" for page in read_pages("builtin")).split()
    pairs = []
    for number in range(count):
        text = make_text(chance, words)
        pairs.append((text, Prediction(image=str(number), text=misread(chance, text))))
    return pairs


def make_text(chance: random.Random, words: list[str]) -> str:
    length, lines = chance.randint(1000, 2000), [""]
    while sum(map(len, lines)) < length:
        lines.append(" ".join(chance.choices(words, k=WORDS_OF_A_LINE)))
    return "\n".join(lines[1:])


def misread(chance: random.Random, text: str) -> str:
    """Letters lost, doubled and taken for others."""
    letters = [
        chance.choice(("", letter * 2, "e", "c")) if chance.random() < ERROR_RATE else letter
        for letter in text
    ]
    return "".join(letters)


def score_by_jiwer(scores: list[PageScore]) -> None:
    for score in scores:
        jiwer.cer(score.reference, score.prediction)
        jiwer.wer(score.reference, score.prediction)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What work gives, and the processor time it took."""
    start = time.process_time()
    return work(), time.process_time() - start


if __name__ == "__main__":
    main()
