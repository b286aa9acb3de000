"""Sphinx configuration of both sites: English (``docs/en``) and, with ``-t es``, Spanish (``docs/es``).

``make docs`` builds them into ``build/docs``. The pages ask nothing of the network: the theme brings its fonts' names
only, formulas become MathML while the site is built, and experiments run here.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import seqgrad  # noqa: E402

spanish = tags.has("es")  # type: ignore[name-defined]  # noqa: F821 - Sphinx puts it there

project = "seqgrad"
author = "The seqgrad authors"
copyright = author
language = "es" if spanish else "en"
version = release = seqgrad.build_info().version
html_title = f"seqgrad {version}"

extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "mathml", "house_pages",
]  # fmt: skip
html_math_renderer = "mathml"
exclude_patterns = ["README.md"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "cache"  # notebooks are stored without outputs and run when the site is built
nb_execution_cache_path = str(HERE.parent / "build" / "docs" / "notebooks")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False

pygments_dark_style = "github-dark"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0059a8"},
    "dark_css_variables": {"color-brand-primary": "#7cc0ff", "color-brand-content": "#7cc0ff"},
    "navigation_with_keys": True,
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
