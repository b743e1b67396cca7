"""A run on several sources: pages with images, pages with other prompts, and rows of text alone."""

import json
from collections import Counter
from importlib import import_module

import pytest

from ocrtune.training import train


@pytest.fixture(scope="module")
def text_rows(tmp_path_factory):
    """Rows of text alone, which keep what the model knows beside reading."""
    path = tmp_path_factory.mktemp("texts") / "general.jsonl"
    rows = [{"images": [], "prompt": f"Say word {n}.", "text": f"word {n}"} for n in range(5)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def mixed(recipe, text_rows, tmp_path):
    def config(name: str, *overrides: str, **of_pages: object):
        sources = [
            {
                "uri": str(recipe.data),
                "name": "pages",
                "weight": 3,
                "prompts": {"free": 1, "<image>\nRead.": 1},
                **of_pages,
            },
            {"uri": str(text_rows), "weight": 1},
        ]
        return recipe.config(
            tmp_path / name,
            "data.uri=null",
            f"data.sources={json.dumps(sources)}",
            'data.validation_documents=["pages/d2"]',
            *overrides,
        )

    return config


def mixture_of(result) -> dict[str, dict[str, int]]:
    rows = json.loads((result.run / "mixture.json").read_text())
    return {row["name"]: row for row in rows}


def losses(result) -> list[float]:
    lines = (result.run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)]


@pytest.fixture
def learned_from(monkeypatch):
    """Names of the pages that batches are made of, in order."""
    names = []
    run = import_module("ocrtune.training.train")
    collate = run.collate

    def listen(inputs, *args, **keys):
        names.extend(row.name for row in inputs)
        return collate(inputs, *args, **keys)

    monkeypatch.setattr(run, "collate", listen)
    return names


def test_images_and_text_alone_are_learned_in_one_run_and_counted(mixed, learned_from):
    result = train(mixed("run", "training.max_steps=40", "evaluation.every_steps=40"))
    rows = mixture_of(result)
    assert [rows["pages"][key] for key in ("pages", "examples_per_epoch")] == [8, 10]
    assert [rows["general"][key] for key in ("pages", "examples_per_epoch")] == [5, 3]
    # The loader is a batch ahead of the steps.
    seen = Counter(name.partition("/")[0] for name in learned_from[: 5 * 13 + 5 * 2])
    assert {name: row["examples_seen"] for name, row in rows.items()} == seen
    assert result.num_validation_pages == 2
    assert sum(losses(result)[-3:]) < 0.8 * sum(losses(result)[:3])


def test_a_resumed_run_takes_the_mixture_up_where_it_left_it(mixed, tensors_of):
    keys = ("optimizer.schedule=constant", "training.save_every_steps=2")
    whole = train(mixed("whole", "training.max_steps=9", *keys))
    train(mixed("parts", "training.max_steps=4", *keys))
    resumed = train(mixed("parts", "training.max_steps=9", "run.resume=true", *keys))
    assert losses(resumed) == losses(whole)
    assert mixture_of(resumed) == mixture_of(whole)
    first, second = tensors_of(whole.last), tensors_of(resumed.last)
    assert all((first[name] == second[name]).all() for name in first)


def test_a_run_that_goes_on_with_other_pages_is_told(mixed, recipe, capsys):
    keys = ("data.validation_documents=[]", "data.validation_fraction=0")
    train(mixed("run", "training.max_steps=2", *keys))
    train(mixed("run", "training.max_steps=3", "run.resume=true", *keys, max_pages=6))
    assert "other pages than it began with" in capsys.readouterr().err
