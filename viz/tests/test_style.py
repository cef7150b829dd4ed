"""The palette: readable on both themes, in grey print, and for colour-blind readers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from viz import style

THEMES = pytest.mark.parametrize("theme", [style.LIGHT, style.DARK], ids=lambda t: t.name)
# Full dichromacy in linear RGB: Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009.
VISION = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(color: str, matrix) -> np.ndarray:
    """CIELAB of a colour as seen through a vision's matrix."""
    part = np.array([int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    ratio = TO_XYZ @ np.clip(np.array(matrix) @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@THEMES
def test_every_colour_stands_out_from_the_page(theme):
    assert all(style.contrast(color, theme.page) >= 3 for color in theme.vms)
    for name in ("ink", "muted", "good", "bad", "warn", "guest", "nested", "known"):
        assert style.contrast(getattr(theme, name), theme.panel) >= 4.5, name


@THEMES
def test_neighbours_differ_in_grey(theme):
    for one, two in zip(theme.vms, theme.vms[1:]):
        assert style.contrast(one, two) >= 1.6


@THEMES
@pytest.mark.parametrize("vision", VISION)
def test_any_two_vms_differ_for_everyone(theme, vision):
    for one, two in itertools.combinations(theme.vms, 2):
        assert np.linalg.norm(lab(one, VISION[vision]) - lab(two, VISION[vision])) > 9


def test_more_vms_than_colours_are_told_apart_by_a_hatch():
    looks = {(style.LIGHT.vm(n), style.vm_hatch(n)) for n in range(1, 33)}
    assert len(looks) == 32 and style.LIGHT.vm(0) == style.LIGHT.muted


def test_both_themes_define_the_same_names():
    names = [{word.split(":")[0] for word in style.css_variables(theme).split("; ")}
             for theme in (style.LIGHT, style.DARK)]
    assert names[0] == names[1] and "--vm8" in names[0] and "--ink" in names[0]
