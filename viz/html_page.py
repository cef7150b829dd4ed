"""Pages from templates/: one self-contained file each, for a browser without a network.

Every page may run its own scripts and no others: a content security policy names them by
their hash (a timeline's, which may stand in a frame of another page, allows those that
stand in it).  What stands on a page is the caller's.
"""
from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Dict, Sequence

import jinja2

from viz import style
from viz.stats import format_ns, show, show_ns, show_share

TEMPLATES = Path(__file__).parent / "templates"
WALK_SCRIPT = "walk_steps.js"


def render(template: str, values: Dict[str, Any], scripts: Sequence[str] = (WALK_SCRIPT,)) -> str:
    """The page as text that can be written as UTF-8, whatever a guest made of its words."""
    script = "".join((TEMPLATES / name).read_text("utf-8") for name in scripts)
    text = _environment(script).get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode("utf-8")


def _environment(script: str) -> jinja2.Environment:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    environment.filters.update(time=format_ns, ns=show_ns, percent=show_share, show=show)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    environment.globals.update(theme_css=style.css(), font=style.FONT_CSS, mono=style.MONO_CSS,
                               provenance=style.PROVENANCE, script=script,
                               script_hash=f"sha256-{digest}")
    return environment
