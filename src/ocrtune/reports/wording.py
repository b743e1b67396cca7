"""Numbers and texts as people read them."""

SPACE = "\N{NO-BREAK SPACE}"

_CONTROL_PICTURES = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}


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


def format_learning_rate(rate: float) -> str:
    """A learning rate to two digits, short enough for an axis: `2.5e-4`."""
    mantissa, _, exponent = f"{rate:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if rate else "0"


def format_seconds(seconds: float) -> str:
    """A time as people read it: `48 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def show_controls(text: str) -> str:
    """The text with what neither HTML nor UTF-8 may hold, each character as one: `␀` for a control, � for half a pair."""
    return text.translate(_CONTROL_PICTURES)


def format_points(difference: float, *, signed: bool = False) -> str:
    """A difference of rates in percentage points: `3.1`, or `+3.1`."""
    return f"{difference * 100:+.1f}".replace("-", "\N{MINUS SIGN}") if signed else f"{difference * 100:.1f}"


def format_interval(low: float, high: float) -> str:
    """The ends of an interval of rates: `4.1–5.4 %`."""
    return f"{low * 100:.1f}–{high * 100:.1f}{SPACE}%"


def show_glyph(text: str) -> str:
    """A character so that it can be seen: a space as `␣`, a break as `⏎`, nothing as `∅`."""
    if not text:
        return "∅"
    return (
        show_controls(text)
        .replace(" ", "␣")
        .replace("\n", "⏎")
        .replace("\N{NO-BREAK SPACE}", "⍽")
        .replace("\t", "⇥")
    )
