"""Keep the repository's address in the notebooks, the README and the package's metadata in step with `_config.yml`.

`python tools/address.py` rewrites every copy of the address. With `--check` it only lists the files that differ, and
fails if there are any. `--set URL` first writes a new address into `_config.yml`.

While the address is the placeholder, no notebook has a link to Colab, and its first code cell, which installs the
package in Colab, says how to get it there.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "_config.yml"
FILES = ("README.md", "pyproject.toml", "CITATION.cff")  # and all notebooks
CONFIG_LINE = re.compile(r"(?<=^  url: )https://github\.com/\S+$", re.MULTILINE)
PLACEHOLDER = "your--account/"  # no account can have this name
COLAB_LINK = re.compile(r"\n\n\[Open this (?:chapter|page) in Colab\]\(\S+\)\Z")
INSTALL = """\
import sys

if "google.colab" in sys.modules:  # elsewhere the package is installed already
    %pip install --quiet git+https://github.com/{slug}"""
INSTALL_WITHOUT_ADDRESS = """\
import sys
from glob import glob

SOURCE = "siamese_triplet-*.whl"  # a wheel that you upload, or git+https://github.com/…
if "google.colab" in sys.modules:  # elsewhere the package is installed already
    found = [SOURCE] if "://" in SOURCE else glob(SOURCE)
    assert found, (
        "This book has no public address yet: upload a wheel of its package, made by "
        "`pip wheel --no-deps .`, or set SOURCE to git+ and your own fork's address."
    )
    %pip install --quiet {found[0]}"""
REPOSITORY = r"[\w.-]+/[\w.-]+?"
COPIES = {
    r"https://colab\.research\.google\.com/github/" + REPOSITORY + r"/blob/\w+/book/":
        "https://colab.research.google.com/github/{slug}/blob/{branch}/book/",
    r"git\+https://github\.com/" + REPOSITORY + r"(?=[\"'\s\\)])": "git+https://github.com/{slug}",
    r'(?m)^((?:Repository|Issues) = "|repository-code: )https://github\.com/' + REPOSITORY + r'(?=["/\s])':
        r"\g<1>https://github.com/{slug}",
    r'(?m)^(Changelog = ")https://github\.com/' + REPOSITORY + r"/blob/\w+/": r"\g<1>https://github.com/{slug}/blob/{branch}/",
    r'(?m)^(Documentation = "|url: )https://[\w-]+\.github\.io/[\w.-]+/': r"\g<1>https://{owner}.github.io/{name}/",
}  # fmt: skip


def read_address(root: Path = ROOT) -> dict[str, str]:
    """Read the repository's `slug`, owner/name, and its `branch` from `_config.yml`."""
    config = (root / CONFIG.name).read_text()
    url = CONFIG_LINE.search(config)
    branch = re.search(r"^  branch: (\S+)$", config, re.MULTILINE)
    if url is None or branch is None:
        sys.exit("_config.yml must name the repository: url: https://github.com/owner/name, and branch:")
    return {
        "slug": url.group().removeprefix("https://github.com/").rstrip("/"),
        "branch": branch.group(1),
    }


def synchronise(text: str, repository: dict[str, str]) -> str:
    """Replace every copy of the repository's address in `text` by the address of `repository`."""
    owner, name = repository["slug"].split("/")
    for pattern, replacement in COPIES.items():
        text = re.sub(pattern, replacement.format(owner=owner, name=name, **repository), text)
    return text


def is_placeholder(repository: dict[str, str]) -> bool:
    """Whether the repository has no public address yet."""
    return repository["slug"].startswith(PLACEHOLDER)


def synchronise_notebook(text: str, name: str, repository: dict[str, str]) -> str:
    """Synchronise a notebook: its copies of the address, the link to Colab that ends its first cell, and its first code
    cell. For the placeholder it has no link."""
    notebook = json.loads(synchronise(text, repository))
    opening = COLAB_LINK.sub("", "".join(notebook["cells"][0]["source"]))
    install = INSTALL_WITHOUT_ADDRESS
    if not is_placeholder(repository):
        install = INSTALL.format(**repository)
        kind = "page" if name == "solutions" else "chapter"
        address = "https://colab.research.google.com/github/{slug}/blob/{branch}/book/".format(**repository)
        opening += f"\n\n[Open this {kind} in Colab]({address}{name}.ipynb)"
    notebook["cells"][0]["source"] = opening.splitlines(keepends=True)
    code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    code["source"] = install.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing, and fail if a file is out of step",
    )
    parser.add_argument(
        "--set",
        metavar="URL",
        help="the new address, https://github.com/owner/name",
    )
    arguments = parser.parse_args()
    if arguments.set:
        CONFIG.write_text(CONFIG_LINE.sub(arguments.set, CONFIG.read_text()))
    repository = read_address()
    changed = []
    for path in [*(ROOT / name for name in FILES), *sorted((ROOT / "book").glob("*.ipynb"))]:
        text = path.read_text()
        is_notebook = path.suffix == ".ipynb"
        new = synchronise_notebook(text, path.stem, repository) if is_notebook else synchronise(text, repository)
        if new != text:
            changed.append(path.name)
            if not arguments.check:
                path.write_text(new)
    print(f"{repository['slug']}: {'out of step: ' + ', '.join(changed) if changed else 'all files in step'}")
    if changed and arguments.check:
        sys.exit("run python tools/address.py")


if __name__ == "__main__":
    main()
