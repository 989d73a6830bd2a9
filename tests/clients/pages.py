"""The files that a page of `docs/clients` shows, each named in its first line."""

import re
from pathlib import Path

SITE = "PHONE_OTP_CLIENTS_SITE"  # names the folder of `write_site` to the server
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "clients"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"^(?:#|//|<!--) ([\w-]+\.\w+)\b")


def read_page(language: str) -> str:
    return (FOLDER / f"{language}.md").read_text(encoding="utf-8")


def read_files(language: str) -> dict[str, str]:
    """Give the files of a page: name → text, as a reader copies them."""
    files = {}
    for _kind, text in _BLOCK.findall(read_page(language)):
        named = _NAME.match(text)
        if named:
            files[named[1]] = text
    return files


def write_files(language: str, folder: Path) -> Path:
    """Write the files of a page into a folder."""
    for name, text in read_files(language).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def write_site(folder: Path) -> None:
    """Write the login page as a site has it: a template, a static file, an address."""
    files = read_files("javascript")
    for path in (Path("templates/login.html"), Path("static/phone-login.js"), Path("urls.py")):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(files[path.name], encoding="utf-8")
