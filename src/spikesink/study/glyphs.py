"""Which letters figures can show: those of DejaVu Sans, which matplotlib brings, and of other fonts where installed."""

from functools import cache

FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP"),
    *("Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Unifont"),
    *("Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Arial Unicode MS"),
    *("Noto Sans", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Noto Sans Symbols", "FreeSans"),
)
"""Fonts with letters that DejaVu Sans lacks, tried in this order."""


def missing_glyphs(text: str) -> str:
    """The letters of a text that no font for figures has."""
    if text.isascii():
        return ""
    return "".join(letter for letter in dict.fromkeys(text) if not letter.isspace() and not has_glyph(ord(letter)))


def has_glyph(code: int) -> bool:
    return any(code in letters_of(path) for path in fonts().values())


@cache
def fonts() -> dict[str, str]:
    """Name and file of the fonts for figures, DejaVu Sans first."""
    from matplotlib import font_manager  # takes a while, and labels are rarely more than ASCII

    installed = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    dejavu = font_manager.findfont("DejaVu Sans", fallback_to_default=True)
    return {"DejaVu Sans": dejavu} | {name: installed[name] for name in FALLBACKS if name in installed}


@cache
def letters_of(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())
