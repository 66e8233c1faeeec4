"""How Sphinx builds the website of the course; `make site` calls it on what tools/build_site.py has gathered."""

import sys
from pathlib import Path

import headlab

sys.path.insert(0, str(Path(__file__).parent))

project = "headlab"
author = "the headlab authors"
version = release = headlab.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "extension"]
exclude_patterns = ["download"]
nitpicky = True

# The notebooks' outputs are shown as they were saved.
nb_execution_mode = "off"
nb_remove_code_source = False
nb_merge_streams = True
nb_render_markdown_format = "gfm"
nb_mime_priority_overrides = [("html", "text/html", 0), ("html", "image/png", 1)]
nb_code_prompt_show = "Show what was measured"
nb_code_prompt_hide = "Hide what was measured"
myst_enable_extensions = ["dollarmath", "attrs_block"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = "headlab"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_js_files = [("site.js", {"type": "module"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_math_renderer = "mathml"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {"top_of_page_buttons": []}
