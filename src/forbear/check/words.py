"""The words of a check in each language, filled in."""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "words.toml"


@functools.cache
def table() -> Mapping[str, Any]:
    """All words: by key (and key below key), then by language tag."""
    return tomllib.loads(_FILE.read_text("utf-8"))


def say(language: str, key: str, **values: object) -> str:
    """The text of a key; "a.b" is the key b below a."""
    entry: Any = table()
    for name in key.split("."):
        entry = entry[name]
    text: str = entry[language]
    return text.format(**values)
