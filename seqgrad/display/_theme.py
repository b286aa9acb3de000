"""The one home of colours: palette, light and dark theme, and the colours of what a log scale has no place for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

# Okabe and Ito's colours, for what is drawn once and shown on white and on black; the themes have their own.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
STYLES = ("-", "--", "-.", ":")
GREY = "#888888"  # what belongs to no curve: keys of markers, lines of reference
# On a map from viridis' violet to its yellow: exact zeros lie beyond the dark end, NaN and Inf outside of the scale.
ZERO, BAD = "#000000", "#D55E00"
VIRIDIS_FROM = 0.14  # its darkest violet is left out, so that black stays black
MARGIN = {"w_pad": 0.08, "h_pad": 0.06}  # inches around everything drawn
SIZE = (6.4, 4.2)  # inches; at 400 pixels its text is still 8 to 9 pixels high


@dataclass(frozen=True)
class Theme:
    """Background, text, the quieter tone of axes and grids, and the colours of curves.

    The colours have a contrast of at least 3 (light) and 4.5 (dark) to the paper. Any two of them are at least 20 apart
    in CIELAB for eyes of all kinds: with all cones, with protanopia, deuteranopia and tritanopia. Line styles change
    too, for print in grey.
    """

    paper: str
    ink: str
    soft: str
    colors: tuple[str, ...]


THEMES = {
    "light": Theme("#ffffff", "#1f2328", "#c9ccd1", ("#0047AB", "#AD9000", "#007A58", "#CC66B0", "#2494FC", "#A03A0A")),
    "dark": Theme("#15181d", "#e8e8e6", "#4a4f57", ("#6171FF", "#FFA400", "#17E083", "#FAC8DC", "#A9BBFF", "#D75C2B")),
}


def settings(name: str) -> dict[str, Any]:
    """The rcParams of a theme.

    Raises:
        ValueError: there is no such theme.
    """
    if name not in THEMES:
        raise ValueError(
            f"theme must be one of {', '.join(map(repr, THEMES))}, or None for your rcParams; got {name!r}"
        )
    look = THEMES[name]
    return {
        "figure.facecolor": look.paper, "axes.facecolor": look.paper, "savefig.facecolor": look.paper,
        "text.color": look.ink, "axes.labelcolor": look.ink, "axes.titlecolor": look.ink, "axes.edgecolor": look.soft,
        "xtick.color": look.ink, "ytick.color": look.ink, "grid.color": look.soft, "hatch.color": look.soft,
        "legend.facecolor": look.paper, "legend.edgecolor": look.soft, "legend.labelcolor": look.ink,
        "font.size": 11, "legend.fontsize": 9.5, "axes.spines.top": False, "axes.spines.right": False,
        "axes.axisbelow": True, "font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans",
    }  # fmt: skip


@contextmanager
def theme(name: str | None) -> Iterator[None]:
    """Figures made inside the block are ``"light"`` or ``"dark"``; None leaves rcParams as they are.

    A theme starts from matplotlib's own defaults, so that it looks the same everywhere. rcParams are as before when
    the block ends.

    Raises:
        ImportError: matplotlib is missing; ``pip install 'seqgrad[plot]'``.
        ValueError: there is no such theme.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> with theme("dark"):
        ...     figure, ax = plt.subplots()
        >>> figure.get_facecolor()[:3] == (1, 1, 1)
        False
        >>> plt.close(figure)
    """
    try:
        import matplotlib.style
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'seqgrad[plot]'") from error
    chosen: Any = {} if name is None else settings(name)
    with matplotlib.style.context(chosen, after_reset=name is not None):
        yield


@contextmanager
def canvas(ax: Axes | None, name: str | None, size: tuple[float, float] = SIZE) -> Iterator[Axes]:
    """The caller's axes, or those of a new pyplot figure in the theme, for the length of a drawing."""
    if ax is not None:
        if name is not None:
            raise ValueError(
                f"theme styles a new figure, but ax was given too; make ax inside "
                f"`with seqgrad.display.theme({name!r}):` or leave one of them out"
            )
        yield ax
        return
    with theme(name):
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("plots need matplotlib: pip install 'seqgrad[plot]'") from error
        sheet, ax = plt.subplots(figsize=size, layout="constrained")
        engine: Any = sheet.get_layout_engine()
        engine.set(**MARGIN)
        yield ax


def blank(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """A figure that pyplot does not know: nothing pops up and nothing stays behind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(**MARGIN)
    return figure, figure.add_subplot()


def shade(ax: Axes, color: str | float) -> Any:
    """A colour as it is, or viridis at a place 0..1, without the end that the paper of ``ax`` would swallow."""
    if isinstance(color, str):
        return color
    import matplotlib

    low, high = (0.3, 1.0) if _is_dark(ax) else (0.08, 0.86)
    return matplotlib.colormaps["viridis"](low + (high - low) * color)


def colors(ax: Axes) -> tuple[str, ...]:
    """The colours of curves for the paper of ``ax``, whichever theme or style it has."""
    return THEMES["dark" if _is_dark(ax) else "light"].colors


def _is_dark(ax: Axes) -> bool:
    from matplotlib.colors import to_rgba

    papers = (to_rgba(face) for face in (ax.get_facecolor(), ax.figure.get_facecolor()))
    red, green, blue, _ = next((paper for paper in papers if paper[3] > 0.5), (1.0, 1.0, 1.0, 1.0))
    return red + green + blue < 1.5


def sequence() -> ListedColormap:
    """Viridis without its darkest end: for norms on a log scale, readable for colour-blind readers."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    shades = matplotlib.colormaps["viridis"]
    return ListedColormap([shades(VIRIDIS_FROM + (1 - VIRIDIS_FROM) * i / 255) for i in range(256)])
