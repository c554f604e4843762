"""How Sphinx builds the documentation: `make docs`."""

import os

# The same signatures and docstrings everywhere, whether extension modules are built or not.
os.environ["FASTSOCKS_IMPL"] = "python"

import fastsocks

project = "fastsocks"
author = "The fastsocks developers"
project_copyright = author
release = fastsocks.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

# As it is in docstrings.
default_role = "code"
# Flags have two dashes.
smartquotes = False

# Members by their own names in the contents of a page.
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"fastsocks {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
html_copy_source = False
