"""Take pictures of all scenes: `python -m tests.browser.screenshots FOLDER`.

The clocks of site and browser stand still, so that two runs on one machine give the same pictures.
Other words go to pytest: `-k locked`, `-n 2`.
"""

import argparse
import os
import sys
from pathlib import Path

import pytest

FOLDER = "PHONE_OTP_SCREENSHOTS"


def main() -> int:
    """Take them all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots")
    parser.add_argument("folder", type=Path)
    options, words = parser.parse_known_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ[FOLDER] = str(options.folder.resolve())
    pictures = Path(__file__).with_name("pictures.py")
    return pytest.main([str(pictures), "-q", "-p", "no:cacheprovider", *words])


if __name__ == "__main__":
    sys.exit(main())
