"""Numbers and texts as people read them."""

SPACE = "\N{NO-BREAK SPACE}"

_CONTROL_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}


def format_percent(rate: float) -> str:
    """A rate as people read it: `4.7 %`."""
    return f"{rate * 100:.1f}{SPACE}%"


def format_count(number: int, noun: str) -> str:
    """A number with its noun: `1 page`, `39 pages`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_percent_tick(rate: float) -> str:
    """A rate short enough for an axis: `20 %`, but `2.5 %`."""
    percent = rate * 100
    return f"{percent:.0f}{SPACE}%" if percent >= 100 else f"{percent:.3g}{SPACE}%"  # noqa: PLR2004  # 3 digits either way


def format_loss(loss: float) -> str:
    """A loss to three digits: `0.433`."""
    return f"{loss:.3g}"


def format_seconds(seconds: float) -> str:
    """A time as people read it: `48 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def show_controls(text: str) -> str:
    """The text with control characters, which HTML may not hold, as their pictures: `␀`."""
    return text.translate(_CONTROL_PICTURES)
