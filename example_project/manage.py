"""Django's commands for the example site.

Works as `python -m example_project.manage …` and as `python example_project/manage.py …`.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command that the arguments name."""
    if not __package__:
        # Run as a script, Python puts this folder on the path, and not the one that it lies in.
        sys.path[0] = str(Path(__file__).resolve().parent.parent)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
