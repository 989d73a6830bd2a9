"""Fill the database of a site: `python -m benchmarks.sign_in.fill CHALLENGES FOLDER`."""

import sys
from pathlib import Path

import django

from benchmarks.admin_at_scale import Lines, tell
from benchmarks.database import build, count_all_traffic
from benchmarks.rows import Size

if __name__ == "__main__":
    django.setup()
    count, folder = sys.argv[1:]
    count_all_traffic(build(Path(folder), Size(int(count)), tell, Lines), tell)
