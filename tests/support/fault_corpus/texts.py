"""Texts that are missing, wrongly decoded, or hold what a target must not; and prompts."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from fault_corpus.case import (
    BAD_TEXT,
    Case,
    bad,
    bad_bytes,
    encoded,
    good,
    noise,
    with_files,
    with_image,
    with_json_files,
    with_rows,
)

_TEXTS, _PROMPTS = "texts", "prompts"
_LIMIT = "ocrtune.sources.side_texts.MOST_TEXT_CHARS"


def cases() -> list[Case]:
    """All of texts and prompts."""
    return [*_empty(), *_letters(), *_tokens(), *_boxes(), *_long(), *_files(), *_prompts()]


def _saying(text: str | None, **more: object) -> Callable[[Path], str]:
    return with_rows({"image": "bad.png", "text": text, **more})


def _empty() -> list[Case]:
    blank = encoded(Image.new("RGB", (240, 64), "white"))
    return [
        bad(_TEXTS, "null", _saying(None), "text-missing"),
        bad(_TEXTS, "no-file-beside", with_files(bad__png=bad_bytes()), "text-missing"),
        good(_TEXTS, "empty", with_image(blank, text=""), "text-empty"),
        good(_TEXTS, "whitespace", with_image(blank, text=" \n\t "), "text-empty"),
        good(_TEXTS, "empty-file", with_files(bad__png=blank, bad__txt=""), "text-empty"),
    ]


def _letters() -> list[Case]:
    word = "Größe und Maß, café"
    cyrillic = "съешь ещё булок"
    return [
        good(_TEXTS, "utf8-as-cp1252", _saying(word.encode().decode("cp1252")), "mojibake"),
        good(_TEXTS, "utf8-as-mac-roman", _saying(word.encode().decode("mac_roman")), "mojibake"),
        good(
            _TEXTS,
            "utf8-twice-encoded",
            _saying(word.encode().decode("latin-1").encode().decode("latin-1")),
            "control-character",
            "mojibake",
        ),
        good(_TEXTS, "utf8-as-cp1251", _saying(cyrillic.encode().decode("cp1251", "replace")), "mojibake"),
        good(_TEXTS, "nfc-and-nfd", _saying("café cafe\u0301"), "unicode-form-mixed"),
        good(_TEXTS, "nfd", _saying("cafe\u0301"), "unicode-form-decomposed"),
        good(
            _TEXTS, "look-alike-letters", _saying("M\u043e\u0441\u043a\u0432\u0430 и Тула"), "scripts-mixed"
        ),
        good(_TEXTS, "control-characters", _saying("black\x07 ink\x1b here"), "control-character"),
        good(_TEXTS, "private-use", _saying("black \ue001 ink"), "private-use-character"),
        good(_TEXTS, "u-fffd", _saying("black \ufffd ink"), "replacement-character"),
        good(_TEXTS, "invisible", _saying("black\u200b ink\u00ad here"), "invisible-character"),
        good(_TEXTS, "zero", _saying("black\0ink"), "control-character"),
    ]


def _tokens() -> list[Case]:
    return [
        bad(_TEXTS, "token-bos", _saying("<｜begin▁of▁sentence｜>black"), "control-token"),
        bad(_TEXTS, "token-eos", _saying("black<｜end▁of▁sentence｜>"), "control-token"),
        bad(_TEXTS, "token-image", _saying("black <image> ink"), "control-token"),
        good(_TEXTS, "role-marker", _saying("<|User|> black ink"), "role-marker"),
        good(_TEXTS, "grounding-token", _saying("<|grounding|>black ink"), "prompt-token"),
    ]


def _boxes() -> list[Case]:
    def box(numbers: str) -> Callable[[Path], str]:
        return _saying(f"<|ref|>ink<|/ref|><|det|>{numbers}<|/det|>")

    return [
        good(_TEXTS, "box-right", box("[[10, 20, 300, 400]]")),
        good(
            _TEXTS,
            "ref-never-closed",
            _saying("<|ref|>ink <|det|>[[1, 2, 3, 4]]<|/det|>"),
            "markup-unbalanced",
        ),
        good(_TEXTS, "det-never-opened", _saying("black ink [[1, 2, 3, 4]]<|/det|>"), "markup-in-text"),
        good(
            _TEXTS,
            "table-never-closed",
            _saying("<table><tr><td>black</td><td>ink</td></tr>"),
            "markup-unbalanced",
        ),
        bad(_TEXTS, "box-outside", box("[[10, 20, 1300, 400]]"), "box-outside"),
        bad(_TEXTS, "box-inverted", box("[[300, 20, 10, 400]]"), "box-inverted"),
        bad(_TEXTS, "box-malformed", box("[[10, 20, 300]]"), "box-unreadable"),
        good(_TEXTS, "box-empty", box("[[10, 20, 10, 400]]"), "box-empty"),
    ]


def _long() -> list[Case]:
    large = [("noise.png", encoded(noise(3, (600, 600))))]
    same = [{"image": f"copy{number}.png", "text": "blank form"} for number in range(5)]
    copies = [(f"copy{number}.png", encoded(noise(10 + number))) for number in range(5)]
    return [
        bad(
            _TEXTS,
            "longer-than-the-context",
            with_rows({"image": "noise.png", "text": "ink " * 3000}, images=large),
            code="sequence-too-long",
        ),
        bad(
            _TEXTS,
            "far-too-long",
            with_rows({"image": "noise.png", "text": "ink " * 20_000}, images=large),
            "text-very-long",
            code="sequence-too-long",
        ),
        good(_TEXTS, "repeated", with_rows(*same, images=copies), "text-repeated", pages=11),
    ]


def _files() -> list[Case]:
    page = bad_bytes()
    return [
        bad(_TEXTS, "not-json", with_json_files('{"sum": 1,}'), "target-not-json"),
        bad(_TEXTS, "json-key-twice", with_json_files('{"a": 1, "a": 2}'), "target-not-json"),
        bad(_TEXTS, "json-nan", with_json_files('{"a": NaN}'), "target-not-json"),
        bad(_TEXTS, "json-too-deep", with_json_files("[" * 200_000), "target-not-json"),
        good(_TEXTS, "json-right", with_json_files('{"total": 3, "lines": ["black ink", "here"]}')),
        bad(_TEXTS, "not-utf8", with_files(bad__png=page, bad__txt="café".encode("latin-1")), "text-broken"),
        bad(_TEXTS, "utf-16", with_files(bad__png=page, bad__txt="café".encode("utf-16")), "text-broken"),
        bad(
            _TEXTS,
            "file-too-large",
            with_files(bad__png=page, bad__txt="ink " * 100),
            "text-broken",
            limits={_LIMIT: 100},
        ),
        bad(
            _TEXTS,
            "two-beside-one-image",
            with_files(bad__png=page, bad__txt=BAD_TEXT, bad__md="# Black ink"),
            "texts-several",
        ),
        good(_TEXTS, "stray", with_files(bad__txt=BAD_TEXT), "text-without-image", pages=6),
    ]


def _prompts() -> list[Case]:
    def asked(prompt: object) -> Callable[[Path], str]:
        return _saying(BAD_TEXT, prompt=prompt)

    return [
        bad(_PROMPTS, "no-image-mark", asked("Read this page."), "prompt"),
        bad(_PROMPTS, "two-image-marks", asked("<image>\n<image>\nFree OCR. "), "prompt"),
        good(_PROMPTS, "unknown-text", asked("<image>\nSing what you see."), "prompt-unknown"),
        bad(_PROMPTS, "unknown-short-name", asked("markdwon"), "prompt"),
        bad(_PROMPTS, "empty", asked(""), "prompt"),
        bad(_PROMPTS, "no-string", asked(7), "row-broken"),
        good(_PROMPTS, "short-name", asked("markdown")),
        bad(
            _PROMPTS,
            "two-images-of-a-page",
            with_rows({"images": ["bad.png", "page1.png"], "text": BAD_TEXT}),
            "several-images",
        ),
    ]
