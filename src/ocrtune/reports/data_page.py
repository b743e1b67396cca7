"""What `ocrtune check` found → one self-contained HTML file: findings, histograms, pictures of the worst pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ocrtune import __version__
from ocrtune.data import DatasetCheck
from ocrtune.data.statistics import Histogram, PageAt
from ocrtune.errors import OcrtuneError
from ocrtune.records import Finding, Page, Severity
from ocrtune.reports.bars import bar_chart
from ocrtune.reports.pictures import data_uri
from ocrtune.reports.wording import format_count, show_controls
from ocrtune.sources import write_text_atomically
from ocrtune.text import shorten

PICTURES_PER_CODE = 6
PICTURE_WIDTH_PX = 360
MOST_SHOWN_CHARS = 160

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class _Shown:
    name: str
    where: str
    text: str
    picture: str
    problem: str


@dataclass(frozen=True, slots=True)
class _Group:
    code: str
    severity: Severity
    message: str
    pages: list[_Shown]


@dataclass(frozen=True, slots=True)
class _Chart:
    title: str
    caption: str
    svg: Markup


def write_data_page(
    check: DatasetCheck, sources: Sequence[Sequence[Page]], path: Path, *, title: str
) -> None:
    """Write what a check found, with pictures, atomically.

    Args:
        check: As `check_uri` gave it.
        sources: The pages that were checked, and those that were held out.
        path: The HTML file; whatever it needs is in it.
        title: What was checked.
    """
    environment = Environment(
        loader=PackageLoader("ocrtune.reports", "."), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("data_page.html.j2").render(
        title=title,
        version=__version__,
        summary=str(check.summary),
        totals=[format_count(count, name.removesuffix("s")) for name, count in check.totals().items()],
        findings=[
            (severity, [found for found in check.findings if found.severity == severity])
            for severity in SEVERITIES
        ],
        charts=list(_charts(check)),
        suffixes=check.statistics.suffixes if check.statistics else {},
        scripts=check.statistics.vocabulary if check.statistics else (),
        documents=check.statistics.largest_documents if check.statistics else {},
        groups=list(_groups(check, sources)),
    )
    write_text_atomically(path, page)


def _charts(check: DatasetCheck) -> Iterator[_Chart]:
    if check.statistics is None:
        return
    told: list[tuple[str, str, Histogram]] = [
        ("Characters of a page", "characters", check.statistics.characters),
        ("Width by height", "", check.statistics.aspect_ratios),
        ("Megapixels of an image", "megapixels", check.statistics.megapixels),
        ("Pages of a document", "pages", check.statistics.pages_per_document),
        ("Image tokens of a page", "tokens", check.statistics.image_tokens),
        ("Text tokens of a page", "tokens", check.statistics.text_tokens),
        ("Tiles of a page", "tiles", check.statistics.tiles),
    ]
    for title, unit, histogram in told:
        # A single value needs no picture.
        if histogram.num_values and histogram.least < histogram.most:
            yield _Chart(
                title, _caption(histogram, unit), bar_chart(histogram.edges, histogram.counts, title)
            )


def _caption(histogram: Histogram, unit: str) -> str:
    numbers = f"{histogram.least:.4g} to {histogram.most:.4g}, median {histogram.median:.4g}"
    return f"{numbers} {unit}".rstrip()


def _groups(check: DatasetCheck, sources: Sequence[Sequence[Page]]) -> Iterator[_Group]:
    """Pages of each kind of finding, errors first."""
    worst = check.statistics.worst if check.statistics else {}
    told: set[str] = set()
    for finding in check.findings:
        places = worst.get(finding.code, ())
        if finding.code in told or not places:
            continue
        told.add(finding.code)
        yield _Group(
            code=finding.code,
            severity=finding.severity,
            message=shorten(finding.message, MOST_SHOWN_CHARS),
            pages=[_show(place, sources, finding) for place in places[:PICTURES_PER_CODE]],
        )


def _show(place: PageAt, sources: Sequence[Sequence[Page]], finding: Finding) -> _Shown:
    page = sources[place.source][place.page]
    picture, problem = "", "text alone"
    if page.images:
        try:
            picture, problem = data_uri(page.images[0], max_width_px=PICTURE_WIDTH_PX), ""
        except OcrtuneError as error:
            problem = error.message
    return _Shown(
        name=page.name,
        where=page.where or finding.where,
        text=shorten(show_controls(page.text or ""), MOST_SHOWN_CHARS),
        picture=picture,
        problem=problem,
    )
