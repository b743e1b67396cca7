"""The review as a web application; what it answers is for its own page only."""

import re
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from ocrtune.errors import OcrtuneError, ReviewError, ReviewItemMissing
from ocrtune.records import TextBox
from ocrtune.reports.wording import show_controls
from ocrtune.review.differences import differences
from ocrtune.review.exporting import Rows, export_review
from ocrtune.review.guard import Guard
from ocrtune.review.items import Change, Outcome, State
from ocrtune.review.opening import Review
from ocrtune.review.pictures import Detail, Pictures
from ocrtune.review.store import Order

PAGE = Path(__file__).parent / "page"
"""The front end: files that are sent as they are."""

MOST_LETTERS = 1_000_000
MOST_LISTED = 500

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILE_NAME = re.compile(r"\w[\w. -]{0,100}\.jsonl")
_FOREVER = "private, max-age=86400, immutable"


Text = Annotated[str, Field(max_length=MOST_LETTERS)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
Name = Annotated[str, Field(max_length=80)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaveBody(_Body):
    """A text and a state for an item, and the version of it that was changed."""

    key: Key
    version: Annotated[int, Field(ge=0)]
    reviewer: Name = ""
    text: Text
    state: State


class UndoBody(_Body):
    """Take back the last edit of an item, which was seen in this version."""

    key: Key
    version: Annotated[int, Field(ge=0)]
    reviewer: Name = ""


class TextBody(_Body):
    """A text to compare, and readings besides those of the item."""

    text: Text
    readings: dict[str, Text] = {}


class ExportBody(_Body):
    """The file to write in the review's folder."""

    name: str = ""
    rows: Rows = "usable"


def create_app(review: Review, token: str) -> FastAPI:
    """The application; every request to it goes through the guard.

    Args:
        review: What is served.
        token: What a browser must show.
    """
    # No pages of its own: they would load scripts from elsewhere.
    app = FastAPI(title="ocrtune review", docs_url=None, redoc_url=None, openapi_url=None)
    routes = _Routes(review)
    for method, path, route in routes.table():
        app.add_api_route(path, route, methods=[method], response_model=None)
    for kind, status in ((ReviewItemMissing, 404), (ReviewError, 409), (OcrtuneError, 422)):
        app.add_exception_handler(kind, partial(_tell, status))
    app.add_exception_handler(RequestValidationError, _tell_problems)
    app.add_middleware(Guard, token=token)
    return app


class _Routes:
    """What the page asks for. Nothing of it takes a path: items and images have numbers, files of the page have names."""

    def __init__(self, review: Review) -> None:
        self._review = review
        self._store = review.store
        self._pictures = Pictures(review.pages)
        self._exporting = Lock()  # two at once would find the same name free
        # Another start may have other images under the same numbers: a browser must not show its old ones.
        self._start = secrets.token_hex(8)
        self._files = {file.name: file for file in PAGE.iterdir() if file.suffix in _KINDS}

    def table(self) -> tuple[tuple[str, str, Callable[..., Any]], ...]:
        """Method, path and what answers."""
        return (
            ("GET", "/", self.page),
            ("GET", "/page/{name}", self.file),
            ("GET", "/api/review", self.review),
            ("GET", "/api/items", self.items),
            ("GET", "/api/entries", self.entries),
            ("GET", "/api/items/{number}", self.item),
            ("GET", "/api/items/{number}/images/{place}", self.image),
            ("GET", "/api/items/{number}/history", self.history),
            ("POST", "/api/items/{number}/differences", self.differences),
            ("POST", "/api/items/{number}/save", self.save),
            ("POST", "/api/items/{number}/undo", self.undo),
            ("GET", "/api/changes", self.changes),
            ("POST", "/api/export", self.export),
        )

    def page(self) -> Response:
        return self.file("index.html")

    def file(self, name: str) -> Response:
        file = self._files.get(name)
        if file is None:
            return JSONResponse({"error": {"message": "there is no such file"}}, 404)
        return FileResponse(file, media_type=_KINDS[file.suffix])

    def review(self) -> dict[str, Any]:
        last, _ = self._store.changes_since(0)
        return {
            "title": show_controls(self._review.title),
            "folder": show_controls(str(self._review.folder)),
            "start": self._start,
            "last_edit": last,
            "counts": self._store.count_states(),
        }

    def items(
        self,
        state: Annotated[str, Query(max_length=20)] = "",
        search: Annotated[str, Query(max_length=200)] = "",
        order: Order = "worst",
    ) -> dict[str, Any]:
        # All numbers at once: a list that is asked for in parts would lose items that change in between.
        return {"numbers": self._store.find_items(state=state, search=search, order=order)}

    def entries(self, number: Annotated[list[int], Query(max_length=MOST_LISTED)]) -> dict[str, Any]:
        return {"items": self._store.list_items(number)}

    def item(self, number: int) -> dict[str, Any]:
        item = self._store.read_item(number)
        return {
            **item.as_dict(),
            "where": show_controls(self._review.page_of(item.name).where),
            "images": self._pictures.sizes(item.name),
            "boxes": [_box(box) for box in self._review.boxes.get(item.name, ())],
        }

    def image(self, number: int, place: int, detail: Detail = "view") -> Response:
        name = self._review.page_of(self._store.read_item(number).name).name
        picture = self._pictures.draw(name, place, detail)
        return Response(picture.content, media_type=picture.media_type, headers={"cache-control": _FOREVER})

    def history(self, number: int) -> list[dict[str, Any]]:
        return [edit.as_dict() for edit in self._store.read_history(number)]

    def differences(self, number: int, body: TextBody) -> dict[str, Any]:
        item = self._store.read_item(number)
        readings = {"reference": item.reference, "prediction": item.prediction, **body.readings}
        return {
            name: differences(body.text, reading) for name, reading in readings.items() if reading is not None
        }

    def save(self, number: int, body: SaveBody) -> Response:
        return self._answer(
            self._store.save(
                Change(
                    number=number,
                    version=body.version,
                    key=body.key,
                    reviewer=body.reviewer.strip(),
                    text=body.text,
                    state=body.state,
                )
            )
        )

    def undo(self, number: int, body: UndoBody) -> Response:
        change = Change(number=number, version=body.version, key=body.key, reviewer=body.reviewer.strip())
        return self._answer(self._store.undo(change))

    def changes(self, since: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
        last, items = self._store.changes_since(since)
        return {"last_edit": last, "items": items, "counts": self._store.count_states()}

    def export(self, body: ExportBody) -> dict[str, Any]:
        with self._exporting:
            return self._export(body.name.strip() or _free_name(self._review.folder), body.rows)

    def _export(self, name: str, rows: Rows) -> dict[str, Any]:
        if not _FILE_NAME.fullmatch(name):
            raise ReviewError(
                f"{name!r} is no name for a manifest",
                hint="a name such as corrected-1.jsonl, without folders",
            )
        exported = export_review(self._review, self._review.folder / name, rows=rows)
        files = {"manifest": exported.manifest, "changes": exported.changes}
        shown = {name: show_controls(str(path)) for name, path in files.items()}
        return {**exported.as_dict(), **shown, "told": exported.told}

    def _answer(self, outcome: Outcome) -> Response:
        """200 for what was done; 409, with what the item is now, where somebody else was faster."""
        content = {
            "accepted": outcome.accepted,
            "version": outcome.version,
            "item": outcome.item.as_dict(),
            "counts": self._store.count_states(),
        }
        return JSONResponse(content, 200 if outcome.accepted else 409)


def _box(box: TextBox) -> dict[str, Any]:
    return {"box": box.box, "label": ": ".join(filter(None, (box.label, box.text)))}


def _free_name(folder: Path) -> str:
    number = 1
    while any((folder / f"corrected-{number}{suffix}").exists() for suffix in (".jsonl", ".changes.jsonl")):
        number += 1
    return f"corrected-{number}.jsonl"


def _tell(status: int, _request: Request, error: Exception) -> Response:
    assert isinstance(error, OcrtuneError)
    words = {"message": error.message, "where": error.where, "hint": error.hint}
    told = {"code": error.code, **{name: show_controls(word) for name, word in words.items()}}
    return JSONResponse({"error": told}, status)


def _tell_problems(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not told back: it may hold what no answer can.
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return JSONResponse({"error": {"code": "request", "message": "; ".join(problems)}}, 422)
