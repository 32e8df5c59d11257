"""How Sphinx makes the site of this folder: `make site`. The site loads nothing from anywhere but itself."""

project = "Treadle"
author = "The Treadle authors"
extensions = ["myst_parser"]
exclude_patterns = ["conf.py"]
nitpicky = True  # a reference that leads nowhere is a warning, and `make site` takes a warning for an error

# Headings three deep are places to link to, by the names that a repository's page gives them as well.
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Treadle"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
