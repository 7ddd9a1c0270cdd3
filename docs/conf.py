"""Configuration of the site: `sphinx-build -W --keep-going docs site` builds it, and reads nothing from elsewhere."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import generated  # noqa: E402

project = "vgrad_jax"
author = "The vgrad_jax maintainers"
release = version = installed_version("vgrad_jax")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "matplotlib.sphinxext.plot_directive",
]
exclude_patterns = ["generated/*"]
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"  # A notebook is executed once, and again when it has changed.
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_render_markdown_format = "myst"
nb_merge_streams = True

default_role = "code"  # A single backtick in a docstring is code.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_use_rtype = False
napoleon_numpy_docstring = False

plot_formats = [("png", 130)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False

html_theme = "sphinx_book_theme"
html_title = "vgrad_jax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # The sidebar has the search.
    "use_download_button": False,
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-light",
    "pygments_dark_style": "a11y-dark",
}


def without_field_numbers(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Drop the docstring that Python gives to a field that has none of its own."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def with_readable_defaults(
    app: Any, what: str, name: str, item: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write "..." where a dataclass makes a default value: Sphinx cannot read "<factory>"."""
    return (signature.replace("<factory>", "...") if signature else signature), returned


def with_links_of_the_site(app: Any, page: str, source: list[str]) -> None:
    """Change links to files outside of this folder into links to their pages."""
    if not page.startswith("repository/"):
        for path, target in generated.REPOSITORY.items():
            source[0] = source[0].replace(f"](../{path})", f"](repository/{target})")
        source[0] = source[0].replace("](../notebooks/", "](repository/notebooks/")


def setup(app: Any) -> None:
    """Write the generated pages before any page is read, and look at the links of each."""
    generated.write(HERE / "generated")
    generated.copy_pages(HERE / "repository")
    app.connect("autodoc-process-signature", with_readable_defaults)
    app.connect("source-read", with_links_of_the_site)
    app.connect("autodoc-process-docstring", without_field_numbers)
