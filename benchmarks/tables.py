"""The tables of README.md, of the model card and of the docs, made from the JSON files beside this module.

Run it with `python benchmarks/tables.py`; it rewrites the region between `<!-- numbers: … -->` and
`<!-- /numbers -->` of each page, and the pictures of `docs/speed.md`. A test finds numbers that stand there and not in the JSON.
"""

import json
import re
from pathlib import Path
from typing import Any

import data_tables
import reading_tables
import speed_page
import training_tables
from ocrtune.errors import OcrtuneError
from ocrtune.sources import write_text_atomically

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
MODEL_CARD = HERE.parent / "pretraining" / "README.md"
SPEED_PAGE = HERE.parent / "docs" / "speed.md"
PARTS_PAGE = HERE.parent / "docs" / "benchmarks.md"


def main() -> None:
    for page, region in ((README, numbers()), (PARTS_PAGE, parts_numbers()), (MODEL_CARD, card_numbers())):
        write_text_atomically(page, with_numbers(page.read_text(encoding="utf-8"), region))
    write_text_atomically(SPEED_PAGE, with_speed(SPEED_PAGE.read_text(encoding="utf-8")))
    for name, picture in speed_pictures().items():
        write_text_atomically(SPEED_PAGE.with_name(name), picture)


def with_numbers(page: str, region: str, name: str = "") -> str:
    """`page` with `region` between the two marks, of several regions those that begin with the name.

    Raises:
        OcrtuneError: The marks are not there, or more than once.
    """
    marks = re.compile(rf"(<!-- numbers: ?{re.escape(name)}[^\n]*-->\n).*?(<!-- /numbers -->)", re.DOTALL)
    found = marks.findall(page)
    if len(found) != 1:
        raise OcrtuneError(
            f"{len(found)} regions for numbers",
            hint="put `<!-- numbers: … -->` and `<!-- /numbers -->` around the place, once",
        )
    return marks.sub(lambda match: f"{match[1]}{region}{match[2]}", page)


def numbers() -> str:
    """What stands between the marks of the README, from the files as they are."""
    return joined(reading_tables.demo_part(read("demo")), speed_page.readme_part(read("speed")))


def parts_numbers() -> str:
    """The same of the page about all parts."""
    return joined(
        reading_tables.tuning_part(read("tuning_methods")),
        training_tables.packing_part(read("packing")),
        training_tables.decoder_part(read("decoder")),
        training_tables.vision_part(read("vision")),
        training_tables.planner_part(read("planner")),
        data_tables.encoding_part(read("encode")),
        data_tables.pipeline_part(read("input_pipeline")),
        data_tables.synth_part(read("synth")),
        data_tables.streaming_part(read("streaming")),
        reading_tables.predicting_part(read("predict")),
        data_tables.million_part(read("million_rows")),
        reading_tables.evaluation_part(read("evaluate")),
        reading_tables.report_part(read("report")),
        training_tables.full_size_part(read("full_size")),
    )


def joined(*parts: str) -> str:
    """A region: parts with a line between them."""
    return "\n" + "\n".join(parts) + "\n"


def card_numbers() -> str:
    """The same of the model card."""
    return joined(reading_tables.base_part(read("base_model")))


def with_speed(page: str) -> str:
    """`docs/speed.md` with its tables."""
    result = read("speed")
    parts = {
        "facts": speed_page.facts_part,
        "goals": speed_page.goals_part,
        "ways": speed_page.ways_part,
        "bounds": speed_page.bounds_part,
    }
    for name, part in parts.items():
        page = with_numbers(page, f"\n{part(result)}\n", name)
    return page


def speed_pictures() -> dict[str, str]:
    """The pictures of `docs/speed.md`, by name of the file."""
    result = read("speed")
    return {
        "speed-ablation.svg": speed_page.ablation_picture(result),
        "speed-growth.svg": speed_page.growth_picture(result),
    }


def read(name: str) -> dict[str, Any]:
    """What the benchmark called `name` wrote."""
    result: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    main()
