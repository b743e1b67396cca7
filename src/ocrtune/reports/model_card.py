"""A Report → a model card for the Hub: YAML front matter with the numbers, and how to load the model."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from ocrtune import __version__
from ocrtune.reports.markdown import made_part, plain, score_parts
from ocrtune.reports.records import Report
from ocrtune.reports.scores import RateLine
from ocrtune.reports.wording import format_count, show_controls

CHOOSE = "CHOOSE"
"""What only the user knows; the Hub refuses a licence of this name, so it cannot be forgotten."""

LOCAL = frozenset({"reference", "predictions"})
"""Facts that are paths."""

METRICS = {"CER": "cer", "WER": "wer"}
"""Names of the report's rates → metrics that the Hub knows."""


def model_card(report: Report) -> str:
    """The card of what the report is about, its last side.

    Licence, and what the report does not know, are left to the user as `CHOOSE`.
    """
    front = yaml.safe_dump(front_matter(report), allow_unicode=True, sort_keys=False, width=100)
    front = front.replace(
        f"license: {CHOOSE}\n",
        f"license: {CHOOSE}  # yours to choose: see what the base model and your pages allow\n",
    )
    parts = [
        f"---\n{front}---",
        f"# {plain(report.title)}",
        plain(report.summary),
        *_about(report),
        *_loading(report),
        *_made(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter(report: Report) -> dict[str, Any]:
    """What the Hub reads of a card; `model-index` holds micro, median and clipped rates of the last side."""
    base = report.base_model if "/" in report.base_model else CHOOSE
    front: dict[str, Any] = {
        "license": CHOOSE,
        "base_model": base,
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["ocr", "document-understanding", "ocrtune"],
    }
    if report.cards:
        front["metrics"] = [METRICS[name] for name in METRICS if name in report.cards[-1].rates]
        front["model-index"] = [{"name": show_controls(report.title), "results": [_result(report)]}]
    return front


def _result(report: Report) -> dict[str, Any]:
    card = report.cards[-1]
    metrics = [
        metric
        for name, kind in METRICS.items()
        if name in card.rates
        for metric in _metrics(name, kind, card.rates[name], report)
    ]
    return {
        "task": {"type": "image-text-to-text", "name": "optical character recognition"},
        "dataset": {"name": show_controls(report.dataset) or CHOOSE, "type": "private"},
        "metrics": metrics,
    }


def _metrics(name: str, kind: str, line: RateLine, report: Report) -> Iterator[Mapping[str, Any]]:
    for way, value in (("micro", line.micro), ("median", line.median), ("clipped", line.clipped)):
        within = (
            ""
            if value.interval is None
            else f", 95 % interval {value.interval.low:.4f} to {value.interval.high:.4f}"
        )
        pages = format_count(report.cards[-1].pages, "page")
        yield {
            "type": kind,
            "name": f"{name}, {way} ({pages}; {show_controls(report.normalization)}{within})",
            "value": round(value.value, 6),
            "verified": False,
        }


def _about(report: Report) -> Iterator[str]:
    yield (
        f"Fine-tuned with ocrtune from `{_code(report.base_model)}`."
        if report.base_model
        else f"Fine-tuned with ocrtune from {CHOOSE}: name the base model here and in `base_model` above."
    )
    if report.cards:
        yield "## Scores"
        yield from score_parts(report)
        yield (
            "Micro weighs pages by length, and one page that runs away can rule it; median and clipped (no page above 100 %) "
            "do not move by it. Scores hold for pages like these, after the normalisation above."
        )


def _loading(report: Report) -> Iterator[str]:
    """As docs/guides/export-and-serve.md says."""
    prompt = next(
        (fact.value.replace("⏎", "\n") for fact in report.facts if fact.name == "prompt"),
        "<image>\nFree OCR.",
    )
    yield "## Use"
    yield "With ocrtune, which keeps mode, prompt and decoding as they were learned (`ocrtune.json` in this folder):"
    yield "```sh\nocrtune predict THIS_FOLDER scans/ -o predictions.jsonl\n```"
    yield "With transformers, by the published code that lies beside the weights:"
    yield (
        "```python\nfrom transformers import AutoModel, AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER", trust_remote_code=True)\n'
        'model = AutoModel.from_pretrained("THIS_FOLDER", trust_remote_code=True, use_safetensors=True).eval()\n'
        f'print(model.infer(tokenizer, prompt={_python(prompt)}, image_file="page.png", output_path="out", eval_mode=True))\n```'
    )
    yield "With vLLM; it cuts at most 6 tiles, and its guard against repetition has to be asked for:"
    yield _vllm(prompt)
    yield "`skip_special_tokens=False` matters: tables and boxes are made of special tokens."


def _vllm(prompt: str) -> str:
    return (
        "```python\nfrom PIL import Image\nfrom vllm import LLM, SamplingParams\n"
        "from vllm.model_executor.models.deepseek_ocr import NGramPerReqLogitsProcessor\n\n"
        'llm = LLM(model="THIS_FOLDER", enable_prefix_caching=False, mm_processor_cache_gb=0,\n'
        "          logits_processors=[NGramPerReqLogitsProcessor])\n"
        "settings = SamplingParams(\n    temperature=0.0, max_tokens=8192, skip_special_tokens=False,\n"
        '    extra_args={"ngram_size": 30, "window_size": 90, "whitelist_token_ids": {128821, 128822}},\n)\n'
        f'page = {{"prompt": {_python(prompt)}, "multi_modal_data": {{"image": Image.open("page.png").convert("RGB")}}}}\n'
        "print(llm.generate([page], settings)[0].outputs[0].text)\n```"
    )


def _made(report: Report) -> Iterator[str]:
    yield "## Training" if report.mixture or report.facts or report.versions else ""
    for row in report.mixture:
        seen = "" if row.seen is None else f", {row.seen:,} examples learned from"
        pages = "pages without end" if row.pages is None else format_count(row.pages, "page")
        yield f"* {plain(row.name)}: {pages}{seen}"
    # Paths of somebody's machine are nobody else's business.
    yield from made_part(
        replace(report, command="", facts=tuple(fact for fact in report.facts if fact.name not in LOCAL))
    )
    yield f"<sub>Card by ocrtune {__version__}.</sub>"


def _python(text: str) -> str:
    """A text as Python writes it in double quotes; a fence cannot end in it."""
    return json.dumps(text).replace("`", "\\u0060")


def _code(text: str) -> str:
    return show_controls(text).replace("`", "'")
