"""Colours, fonts and words that all figures share.

The palette is for at most eight VMs at once and follows two rules: neighbours
differ in lightness as well as in hue, so that a grey print and colour-blind
readers tell them apart; and each colour keeps a contrast of 3:1 or more on
white paper and on the dark page.  VMs past the eighth repeat it with a hatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

# Eight hues, dark and bright in turn (viz/tests/test_style.py holds them to the rules).
VM_LIGHT: Tuple[str, ...] = ("#00568f", "#d9650b", "#00614a", "#a878cc",
                             "#5c4a00", "#d8569b", "#404850", "#2a93b0")
VM_DARK: Tuple[str, ...] = ("#4a9be0", "#ffc08a", "#1fa37d", "#dcb8f5",
                            "#a89a1c", "#ffb0d0", "#8a939c", "#a5e6f2")
HATCHES: Tuple[str, ...] = ("", "///", "...", "xxx")

FONT = "DejaVu Sans"
FONT_CSS = "system-ui, 'DejaVu Sans', 'Liberation Sans', sans-serif"
MONO = "DejaVu Sans Mono"
MONO_CSS = "ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
FONT_POINTS = 9.0

# Where the facts of a figure come from (every figure says one or more).
PROVENANCE: Dict[str, str] = {
    "observed": "reported by the emulated processor and recorded when it happened",
    "computed": "read from the machine's own tables by a walker",
    "modelled": "the result of a model, not of the machine",
}


@dataclass(frozen=True)
class Theme:
    """The colours of one theme, as CSS hex strings."""

    name: str
    page: str
    ink: str
    muted: str
    line: str
    panel: str
    good: str
    bad: str
    warn: str
    guest: str  # the guest's dimension of a walk
    nested: str  # the nested dimension
    known: str  # "gPA known", "hPA known"
    vms: Tuple[str, ...]

    def vm(self, number: int) -> str:
        """The colour of VM `number` (from 1); 0 is the host, idle."""
        return self.muted if number < 1 else self.vms[(number - 1) % len(self.vms)]


LIGHT = Theme("light", page="#ffffff", ink="#1b1f24", muted="#6a737d", line="#d0d7de",
              panel="#f6f8fa", good="#1a7f37", bad="#b3261e", warn="#8a5a00", guest="#0072b2",
              nested="#b84c00", known="#00805e", vms=VM_LIGHT)
DARK = Theme("dark", page="#14171b", ink="#e6e9ed", muted="#9aa4af", line="#3a424c",
             panel="#1d2228", good="#4cc26b", bad="#ff7b72", warn="#e0a84a", guest="#56b4e9",
             nested="#f28e4b", known="#2fc79a", vms=VM_DARK)


def vm_hatch(number: int) -> str:
    """matplotlib's hatch that tells VM 9 from VM 1, and so on; '' for the first eight."""
    return HATCHES[max(0, number - 1) // len(VM_LIGHT) % len(HATCHES)]


def css_variables(theme: Theme) -> str:
    """The theme as CSS custom properties: --ink, --vm1 and so on."""
    names = ("page", "ink", "muted", "line", "panel", "good", "bad", "warn", "guest", "nested",
             "known")
    words = [f"--{name}: {getattr(theme, name)};" for name in names]
    words += [f"--vm{i}: {color};" for i, color in enumerate(theme.vms, start=1)]
    return " ".join(words)


def css() -> str:
    """Both themes: light by default and in print, dark where the reader asks for it."""
    return (f":root {{ color-scheme: light dark; {css_variables(LIGHT)} }}\n"
            "@media screen and (prefers-color-scheme: dark) "
            f"{{ :root {{ {css_variables(DARK)} }} }}\n")


def matplotlib_settings(theme: Theme = LIGHT) -> Dict[str, Any]:
    """rcParams for static figures; the SVG's ids do not change from run to run."""
    return {
        "font.family": FONT, "font.size": FONT_POINTS, "svg.fonttype": "none",
        "svg.hashsalt": "nestling", "pdf.fonttype": 42, "figure.facecolor": theme.page,
        "axes.facecolor": theme.page, "axes.edgecolor": theme.line, "text.color": theme.ink,
        "axes.labelcolor": theme.ink, "xtick.color": theme.muted, "ytick.color": theme.muted,
        "axes.linewidth": 0.6, "savefig.facecolor": theme.page, "hatch.linewidth": 0.5,
    }


def luminance(color: str) -> float:
    """Relative luminance of '#rrggbb' (WCAG 2.1)."""
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """Contrast of two colours, 1 to 21 (WCAG 2.1)."""
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)
