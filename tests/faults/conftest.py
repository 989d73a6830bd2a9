"""The logins past faults say nothing about the database: they are walked through on SQLite."""

import os

collect_ignore = ["test_logins.py"] if os.environ.get("DATABASE", "sqlite") != "sqlite" else []
