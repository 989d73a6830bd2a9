"""The servers' settings: those of the parallel tests, and a log of everything that is said."""

from tests.parallel.settings import *  # noqa: F403 (all of them, but for what follows)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler", "level": "DEBUG"}},
    "root": {"handlers": ["stderr"], "level": "DEBUG"},
}
