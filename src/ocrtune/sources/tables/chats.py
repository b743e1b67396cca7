"""Chats as other trainers are given them → pages: the first question is the prompt, its answer the text."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ocrtune.families import FAMILIES
from ocrtune.records import Finding, ImageSource, Page
from ocrtune.sources.jsonl import BrokenLine, encodable, kind_of, take_label, take_path, take_text
from ocrtune.sources.manifest import own_document
from ocrtune.sources.tables.json_rows import first_object
from ocrtune.sources.tables.rows import Row
from ocrtune.text import shorten

IMAGE_MARK = "<image>"

Speaker = Literal["system", "user", "assistant"]

_SPEAKERS: Mapping[str, Speaker] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "<|user|>": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "<|assistant|>": "assistant",
}
TURN_KEYS = ("messages", "conversations")
"""Under one of these the turns of a chat stand."""

_IMAGE_TYPES = frozenset({"image", "image_url", "input_image"})
_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})
_PLACE_KEYS = ("image", "image_url", "url", "path")
_MOST_OBJECTS = 2
"""Objects around the path of an image: `{"type": "image_url", "image_url": {"url": "…"}}`."""

_OTHER_MEDIA = ("videos", "audios")
_AROUND_MARK = re.compile(rf"\s*{IMAGE_MARK}\s*")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that stands between texts.

    Attributes:
        place: Its path as written, or None where it is the next one of the row's list.
    """

    place: str | None


Part = str | Picture


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says.

    Attributes:
        speaker: Who.
        parts: Texts and images in their order.
    """

    speaker: Speaker
    parts: tuple[Part, ...]


def is_chat(path: Path) -> bool:
    """Whether a JSON or JSONL file begins with a row that has turns, and no text of its own as manifests have."""
    row = first_object(path)
    return "text" not in row and any(isinstance(row.get(key), list) for key in TURN_KEYS)


class ChatPages:
    """Makes pages of chats, and counts those whose system text went into the prompt.

    Args:
        find: Gives the image that a chat calls so; raises BrokenLine.
    """

    def __init__(self, find: Callable[[str], ImageSource]) -> None:
        self._find = find
        self._names: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._with_system: list[str] = []

    def make(self, row: Row) -> Page:
        """The page of a chat, named by its first image; a second chat about it gets `~2` at its name.

        Raises:
            BrokenLine: The row is no chat of one question, its images and its marks do not fit together, or an image
                is not found.
        """
        turns = list(_turns(row.cells))
        asked, answer = _question_and_answer(turns)
        system = [turn for turn in turns if turn.speaker == "system" and any(turn.parts)]
        parts: list[Part] = [part for turn in system for part in (*turn.parts, "\n")] + list(asked.parts)
        prompt, written = _fit_marks(parts, list(_listed(row.cells)))
        images = tuple(map(self._find, written))
        name = written[0] if written else row.name
        page = Page(
            name=self._unique(name),
            images=images,
            text=None if answer is None else _only_text(answer),
            prompt=prompt,
            document=take_label(row.cells, "document") or own_document(written, name),
            where=row.where,
        )
        self._with_system += [row.where] if system else []
        return page

    def findings(self) -> list[Finding]:
        """What is to be said about all chats together."""
        if not self._with_system:
            return []
        return [
            Finding(
                code="system-joined",
                severity="note",
                message="the system's text stands before the question in the prompt, with a line break between",
                where=self._with_system[0],
                count=len(self._with_system),
            )
        ]

    def _unique(self, name: str) -> str:
        while True:
            self._names[name] += 1
            unique = name if self._names[name] == 1 else f"{name}~{self._names[name]}"
            if unique not in self._taken:
                self._taken.add(unique)
                return unique


def _turns(row: Mapping[str, Any]) -> Iterator[Turn]:
    """The turns of a row, whichever of the formats it has."""
    for media in _OTHER_MEDIA:
        if row.get(media):
            raise BrokenLine(f"`{media}` are no pages")
    instruction = take_text(row, "system")
    if instruction:
        yield Turn("system", (instruction,))
    key = _turn_key(row)
    if key is None:
        yield from _turns_of_instruction(row)
        return
    if not isinstance(row[key], list):
        raise BrokenLine(f"`{key}` is {kind_of(row[key])}, not a list of turns")
    for turn in row[key]:
        yield _turn(turn)


def _turn_key(row: Mapping[str, Any]) -> str | None:
    """The key that holds the turns; where rows of several formats were put together, the others are null."""
    return next((key for key in TURN_KEYS if row.get(key) is not None), None)


def _turns_of_instruction(row: Mapping[str, Any]) -> Iterator[Turn]:
    if "instruction" not in row:
        keys = shorten(", ".join(map(repr, row)) or "none")
        raise BrokenLine(
            f"no `messages`, `conversations` or `instruction`; its keys: {keys}",
            hint="jsonl:PATH?image=KEY&text=KEY reads rows that are no chats",
        )
    if row.get("history"):
        raise _more_turns("more turns in `history`")
    asked = [take_text(row, "instruction"), take_text(row, "input")]
    yield Turn("user", ("\n".join(filter(None, asked)),))
    answer = take_text(row, "output")
    if answer is not None:
        yield Turn("assistant", (answer,))


def _turn(turn: object) -> Turn:
    if not isinstance(turn, dict):
        raise BrokenLine(f"a turn is {kind_of(turn)}, not an object")
    named = turn.get("role", turn.get("from"))
    speaker = _SPEAKERS.get(named.casefold()) if isinstance(named, str) else None
    if speaker is None:
        raise BrokenLine(
            f"nobody is called {shorten(repr(named))} in a chat; known: {', '.join(_SPEAKERS)}",
            code="turn-unknown",
        )
    content = turn["content"] if "content" in turn else turn.get("value")
    return Turn(speaker, tuple(_parts(content)))


def _parts(content: object) -> Iterator[Part]:
    if isinstance(content, str):
        yield encodable(content, "content")
        return
    if not isinstance(content, list):
        raise BrokenLine(f"`content` is {kind_of(content)}, not a string or a list")
    for item in content:
        yield _part(item)


def _part(item: object) -> Part:
    if isinstance(item, str):
        return encodable(item, "content")
    if not isinstance(item, dict):
        raise BrokenLine(f"`content` holds {kind_of(item)}")
    if item.get("type") in _TEXT_TYPES and isinstance(item.get("text"), str):
        return encodable(item["text"], "text")
    if item.get("type") in _IMAGE_TYPES:
        return Picture(_place(item))
    kind = shorten(repr(item.get("type")))
    raise BrokenLine(f"`content` holds an item of type {kind} that is neither text nor image")


def _place(value: object) -> str | None:
    """The path of an image, which some put into an object or two; None where the object names none."""
    for _ in range(_MOST_OBJECTS):
        if not isinstance(value, dict):
            break
        found = value
        value = next((found[key] for key in _PLACE_KEYS if found.get(key) is not None), None)
        if value is None:
            return None
    return take_path(value, "image")


def _listed(row: Mapping[str, Any]) -> Iterator[str]:
    """The images that stand beside the turns, of the row and of its turns."""
    key = _turn_key(row)
    turns: list[Any] = [] if key is None else row[key]
    for holder in (row, *turns):
        for key in ("image", "images"):
            value = holder.get(key)
            for item in value if isinstance(value, list) else [] if value is None else [value]:
                place = _place(item)
                if place is None:
                    raise BrokenLine(f"`{key}` holds an object without a path", code="image-data")
                yield place


def _question_and_answer(turns: Sequence[Turn]) -> tuple[Turn, Turn | None]:
    said = [turn for turn in turns if turn.speaker != "system"]
    speakers = [turn.speaker for turn in said]
    if speakers[:2] == ["user", "assistant"] and len(said) > len(("user", "assistant")):
        raise _more_turns(f"{len(said)} turns")
    if speakers not in (["user"], ["user", "assistant"]):
        told = ", ".join(speakers) or "nobody"
        raise BrokenLine(f"a user should ask and an assistant answer, here speak: {told}", code="turns-order")
    return said[0], said[1] if len(said) > 1 else None


def _more_turns(found: str) -> BrokenLine:
    return BrokenLine(
        f"the chat has {found}, and a page is one question and one answer",
        code="turns-more",
        hint="make a row of each question with its answer",
    )


def _fit_marks(parts: Sequence[Part], listed: list[str]) -> tuple[str, list[str]]:
    """The prompt, and the images in the order of its marks.

    A mark in a text is the next image of the list; an image between texts gets a mark where it stands, unless the texts
    have a mark for each such image already.
    """
    pictures = [part for part in parts if isinstance(part, Picture)]
    num_marks = sum(part.count(IMAGE_MARK) for part in parts if isinstance(part, str))
    are_marked = bool(pictures) and num_marks == len(pictures)
    places: list[str | None] = []
    for part in parts:
        if isinstance(part, Picture):
            places.append(part.place)
        elif not are_marked:
            places += [None] * part.count(IMAGE_MARK)
    if places.count(None) != len(listed):
        raise _other_marks(num_marks, len(pictures), len(listed))
    mark = "" if are_marked else IMAGE_MARK
    prompt = "".join(part if isinstance(part, str) else mark for part in parts)
    rest = iter(listed)
    written = [next(rest) if place is None else place for place in places]
    return (_as_a_family_writes(prompt) if pictures else prompt), written


def _other_marks(num_marks: int, num_pictures: int, num_listed: int) -> BrokenLine:
    return BrokenLine(
        f"{num_marks} {IMAGE_MARK} in the question and {num_pictures} images between its texts do not fit "
        f"{num_listed} images beside it",
        code="image-marks",
        hint=f"write {IMAGE_MARK} once for each image in the list",
    )


def _as_a_family_writes(prompt: str) -> str:
    """The prompt of a family that differs in space around the marks only, which a list of parts does not tell."""
    squeezed = _AROUND_MARK.sub(IMAGE_MARK, prompt)
    known = (text for family in FAMILIES.values() for text in family.prompts.values())
    return next((text for text in known if _AROUND_MARK.sub(IMAGE_MARK, text) == squeezed), prompt)


def _only_text(turn: Turn) -> str:
    texts = [part for part in turn.parts if isinstance(part, str)]
    if len(texts) < len(turn.parts):
        raise BrokenLine("the answer holds an image")
    return "".join(texts)
