"""The site builds without a warning, needs nothing from elsewhere, and its reference has every public name."""

import os
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import generated  # noqa: E402  The folder of the pages is no package.


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as the documented command builds it, but for the outputs of the notebooks."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-q", "-W", "--keep-going", "-D", "nb_execution_mode=off", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "agg"})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


class Resources(HTMLParser):
    """Addresses of what a browser loads to show a page: scripts, styles, pictures, frames."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.addresses.append(named.get("src"))
        elif tag == "link" and named.get("rel") not in ("canonical", "author", "search", "next", "prev"):
            self.addresses.append(named.get("href"))


def test_every_page_shows_without_a_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        parser = Resources()
        parser.feed(page.read_text())
        remote = [address for address in parser.addresses if address and address.startswith(("http:", "https:", "//"))]
        assert not remote, f"{page.name}: {remote}"


def test_every_public_name_is_in_the_reference(site):
    assert not generated.missing()
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    names = {line.split()[0] for line in inventory.splitlines()}
    for _, module, name in generated.entries():
        homes = {f"{module}.{name}", f"{generated.home(module, name)}.{name}"}
        assert homes & names, f"{module}.{name}"


def test_every_status_has_a_section(site):
    from vgrad_jax.diagnosis import STATUSES, TABLE

    text = (site / "statuses.html").read_text()
    for status in STATUSES:
        assert f'id="{status.replace("_", "-")}"' in text
        assert all(code in text for code in TABLE[status].advice)


def test_a_broken_link_is_an_error(tmp_path):
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser"]\n')
    (tmp_path / "index.md").write_text("# Page\n\n[nowhere](nowhere.md)\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(tmp_path), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
