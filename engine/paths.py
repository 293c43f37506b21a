"""Where a user's own files live: the only import of platformdirs.

`XDG_DATA_HOME`, `XDG_CONFIG_HOME` and `XDG_CACHE_HOME` move them (or their counterparts on other systems).
Nothing is created by asking.
"""

from __future__ import annotations

from pathlib import Path

import platformdirs

APP = "alignsweep"


def data_home() -> Path:
    """Imported benchmarks and rubrics."""
    return Path(platformdirs.user_data_dir(APP, appauthor=False))


def config_home() -> Path:
    """Their own providers (`providers.toml`)."""
    return Path(platformdirs.user_config_dir(APP, appauthor=False))


def cache_home() -> Path:
    """The response cache."""
    return Path(platformdirs.user_cache_dir(APP, appauthor=False))
