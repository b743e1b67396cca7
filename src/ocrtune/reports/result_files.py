"""What `ocrtune evaluate` and `ocrtune compare` write → the numbers of a report.

Everything that is known of the form of those files stands here. Unknown keys are left alone, and what an older file
does not have is not shown.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ocrtune.records import Finding
from ocrtune.reports.records import Box, Reading
from ocrtune.reports.scores import Card, Confusion, Interval, RateLine, Slice, Value, Verdict
from ocrtune.reports.wording import format_count
from ocrtune.text import Normalization

Row = Mapping[str, Any]

RATES = {"cer": "CER", "grapheme_cer": "grapheme CER", "wer": "WER", "ned": "NED"}
"""Key → name, in the order they are shown."""

SHARES = {
    "exact_rate": "read exactly",
    "runaway_rate": "runaway",
    "empty_rate": "empty",
    "repetition_rate": "repeating",
    "bag_of_words_f1": "bag-of-words F1",
}

STRUCTURES = {
    "teds": "TEDS",
    "teds_structure": "TEDS, structure alone",
    "formula_ned": "formula NED, 0 is best",
    "box_iou": "box IoU",
    "box_f1": "box F1",
    "box_label_f1": "box F1 with labels",
    "order_ned": "reading order NED, 0 is best",
    "json_accuracy": "JSON fields read right",
}
"""Names of measures of structure; one that is not here is called by its key."""

WAYS = ("micro", "macro", "median", "clipped")

MOST_CONFUSIONS = 40


def read_card(result: Row) -> Card:
    """The scores of one side.

    Raises:
        KeyError: The CER or the number of pages is not there.
    """
    intervals = (result.get("intervals") or {}).get("rates", {})
    structures = {
        STRUCTURES.get(key, key.replace("_", " ")): (measure["mean"], measure["pages"])
        for key, measure in (result.get("structures") or {}).items()
    }
    return Card(
        pages=result["pages"],
        rates={
            RATES[key]: _rate_line(result[key], intervals.get(key, {}))
            for key in RATES
            if key in result or key == "cer"
        },
        shares={name: result[key] for key, name in SHARES.items() if key in result},
        structures=structures,
        unit=(result.get("intervals") or {}).get("unit", ""),
        num_units=(result.get("intervals") or {}).get("num_units", 0),
    )


def read_verdict(differences: Row) -> Verdict:
    """How the sides differ in micro CER.

    Raises:
        KeyError: It is not told.
    """
    found = differences["rates"]["cer"]["micro"]
    return Verdict(
        measure="micro CER",
        difference=Value(value=found["value"], interval=_interval(found.get("interval"))),
        probability=found.get("b_is_better"),
        unit=differences.get("unit", ""),
        num_units=differences.get("num_units", 0),
    )


def read_slices(result: Row) -> tuple[Slice, ...]:
    """The parts of the pages, of one side or of two."""
    return tuple(
        Slice(
            column=row["column"],
            value=row["value"],
            pages=row["pages"],
            cers=tuple(_slice_rates(row)),
            verdict=read_verdict(row["differences"]) if "differences" in row else None,
        )
        for row in result.get("slices") or ()
    )


def read_confusions(*results: Row) -> tuple[Confusion, ...]:
    """The most frequent confusions, by the last side; one that it does not have by the sides before it."""
    counts = [
        {(row[0], row[1]): row[2] for row in (result.get("confusions") or {}).get("characters", ())}
        for result in results
    ]
    pairs = {pair for found in counts for pair in found}
    told = [
        Confusion(reference=a, prediction=b, counts=tuple(found.get((a, b), 0) for found in counts))
        for a, b in pairs
    ]
    told.sort(key=lambda row: (-max(row.counts), -row.counts[-1], row.reference, row.prediction))
    return tuple(told[:MOST_CONFUSIONS])


def read_normalization(result: Row) -> str:
    """What was made equal, in words."""
    found = dict(result.get("normalization") or {})
    plain = {key: found[key] for key in Normalization.model_fields if key in found}
    words = str(Normalization.model_validate(plain))
    more = [
        format_count(len(found[key]), key.removesuffix("s"))
        for key in ("pairs", "patterns")
        if found.get(key)
    ]
    name = found.get("name")
    return f"{name} ({', '.join([words, *more])})" if name else words


def read_findings(result: Row) -> tuple[Finding, ...]:
    """What is odd about the set."""
    return tuple(Finding(**row) for row in result.get("findings") or ())


def read_reading(row: Row, prediction: Row) -> Reading:
    """What one side read on a page.

    Args:
        row: Counts and rates of that side, as `pages.jsonl` has them.
        prediction: The row of the file of predictions; empty where it is not there.
    """
    return Reading(
        text=row["prediction"],
        cer=row["cer"],
        edits=row["char_edits"],
        runaway=row["runaway"],
        repeated=row.get("repeated", False),
        boxes=tuple(_boxes(prediction)),
        facts=tuple(_facts({**row, **prediction})),
    )


def _boxes(prediction: Row) -> Iterator[Box]:
    for found in prediction.get("boxes") or ():
        corners = found.get("box") if isinstance(found, dict) else None
        if isinstance(corners, list) and len(corners) == 4:  # noqa: PLR2004  # left, top, right, bottom
            left, top, right, bottom = map(float, corners)
            if not all(map(math.isfinite, (left, top, right, bottom))):
                raise ValueError(f"the box {corners} has no place")
            yield Box(corners=(left, top, right, bottom), label=str(found.get("label", "")))


def _facts(row: Row) -> Iterator[str]:
    """What decoding told of an answer."""
    if row.get("truncated"):
        yield f"never ended; {format_count(row.get('num_tokens', 0), 'token')}"
    if row.get("stop") == "repetition":
        yield "stopped in a loop"
    if isinstance(row.get("mean_logprob"), int | float):
        yield f"mean log-probability of a token {row['mean_logprob']:.2f}"
    span = row.get("lowest_span")
    if isinstance(span, dict) and span.get("text"):
        yield f"least sure of “{span['text']}” ({span.get('logprob', 0.0):.2f})"
    if len(row.get("attempts") or ()) > 1:
        yield f"read {len(row['attempts'])} times"


def _rate_line(rates: Row, intervals: Row) -> RateLine:
    return RateLine(**{way: Value(value=rates[way], interval=_interval(intervals.get(way))) for way in WAYS})


def _slice_rates(row: Row) -> Iterator[Value]:
    if "cer" in row:
        interval = ((row.get("intervals") or {}).get("rates") or {}).get("cer", {}).get("micro")
        yield Value(value=row["cer"]["micro"], interval=_interval(interval))
    else:
        yield from (Value(value=row[side]["micro"]) for side in ("a", "b"))


def _interval(found: Row | Sequence[float] | None) -> Interval | None:
    if not found:
        return None
    low, high = (found["low"], found["high"]) if isinstance(found, Mapping) else found
    return Interval(low=low, high=high)
