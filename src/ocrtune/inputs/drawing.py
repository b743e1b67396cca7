"""A picture of what the model sees: the global view and, beside it, the tiles in their grid."""

from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ocrtune.records import ImageViews

_PANEL_PX = 720
_MARGIN_PX = 32
_TITLE_PX = 56
_CAPTION_PX = 36
_BADGE_PX = 22
_PAPER = (255, 255, 255)
_INK = (32, 33, 36)
_SOFT_INK = (95, 99, 104)
_FRAME = (189, 193, 198)
_LINE = (26, 115, 232)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """The words of the picture, in ASCII.

    Attributes:
        title: Above everything.
        global_view: Below the global view.
        tiles: Below the tiles; not drawn where there are none.
    """

    title: str
    global_view: str
    tiles: str


def draw_views(views: ImageViews, captions: Captions) -> Image.Image:
    """An RGB picture: views scaled to equal height, thin lines around them, numbers in the tiles' order."""
    panels = [(_global_panel(views), captions.global_view)]
    if len(views.tiles):
        panels.append((_tiles_panel(views), captions.tiles))
    widths = [max(panel.width, round(_font(17).getlength(caption))) for panel, caption in panels]
    width = max(sum(widths) + _MARGIN_PX * (len(panels) - 1), round(_font(22).getlength(captions.title)))
    picture = Image.new(
        "RGB", (width + 2 * _MARGIN_PX, 2 * _MARGIN_PX + _TITLE_PX + _PANEL_PX + _CAPTION_PX), _PAPER
    )
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN_PX, _MARGIN_PX), captions.title, fill=_INK, font=_font(22))
    left, top = _MARGIN_PX, _MARGIN_PX + _TITLE_PX
    for (panel, caption), panel_width in zip(panels, widths, strict=True):
        picture.paste(panel, (left, top))
        draw.rectangle((left - 1, top - 1, left + panel.width, top + panel.height), outline=_FRAME)
        draw.text((left, top + panel.height + 12), caption, fill=_SOFT_INK, font=_font(17))
        left += panel_width + _MARGIN_PX
    return picture


def _global_panel(views: ImageViews) -> Image.Image:
    return Image.fromarray(views.global_view).resize((_PANEL_PX, _PANEL_PX), Image.Resampling.LANCZOS)


def _tiles_panel(views: ImageViews) -> Image.Image:
    columns, rows = views.grid
    side = max(1, min(_PANEL_PX // rows, 2 * _PANEL_PX // columns))
    panel = Image.new("RGB", (columns * side, rows * side), _PAPER)
    for number, tile in enumerate(views.tiles):
        corner = (number % columns * side, number // columns * side)
        panel.paste(Image.fromarray(tile).resize((side, side), Image.Resampling.LANCZOS), corner)
    _draw_grid(panel, views.grid, side)
    return panel


def _draw_grid(panel: Image.Image, grid: tuple[int, int], side: int) -> None:
    columns, rows = grid
    draw = ImageDraw.Draw(panel)
    for column in range(1, columns):
        draw.line((column * side, 0, column * side, panel.height), fill=_LINE)
    for row in range(1, rows):
        draw.line((0, row * side, panel.width, row * side), fill=_LINE)
    if side < 2 * _BADGE_PX:
        return
    for number in range(columns * rows):
        _draw_badge(draw, (number % columns * side, number // columns * side), str(number + 1))


def _draw_badge(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str) -> None:
    left, top = corner
    draw.rectangle((left, top, left + _BADGE_PX, top + _BADGE_PX), fill=_LINE)
    middle = (left + _BADGE_PX / 2, top + _BADGE_PX / 2)
    draw.text(middle, text, fill=_PAPER, font=_font(13), anchor="mm")


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size_px)
