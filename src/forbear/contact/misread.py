"""A field of a request that can't be read: pydantic's fault of it as Misasked, in our words; never the value."""

import re
from collections.abc import Mapping
from typing import Any

from forbear.contact.errors import Misasked
from forbear.locale import N_

#: What is wrong with a field and what to do, by the kind of the fault: pydantic's own name of it, or its first word;
#: where the field matters, with the field.
_MISREAD: Mapping[str, tuple[str, str]] = {
    "missing": (N_("is missing"), N_("Give it")),
    "extra": (N_("is no field of this request"), N_("Leave it out")),
    "json": (N_("is no JSON"), N_("Send a JSON object: docs/gate.md")),
    "model": (N_("is no JSON object"), N_("Send a JSON object: docs/gate.md")),
    "dict": (N_("is no JSON object"), N_("Send a JSON object: docs/gate.md")),
    "uuid": (N_("is no UUID"), N_("Give 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12")),
    "int": (N_("is no whole number"), N_("Give a number from 1 up")),
    "greater": (N_("is out of bounds"), N_("Give a number from 1 up")),
    "less": (N_("is out of bounds"), N_("Give a smaller number")),
    "literal": (N_("is no word of the vocabulary"), N_("Give one of %(known)s")),
    "string_type": (N_("is no text"), N_("Give it as text, in quotes")),
    "string_too": (N_("is empty or too long"), N_("Give it in at least 1 and at most %(most)s characters")),
    "string_pattern_mismatch_of_text_sha256": (
        N_("is not written as it must be"),
        N_("Give 64 hexadecimal digits in small letters"),
    ),
    "string_pattern": (
        N_("is not written as it must be"),
        N_("Give a number of letters, digits and ._:-, at most 64; never a name"),
    ),
    "together": (
        N_("lacks one of decided_by, reason and overrides, which belong together"),
        N_("Give all of them, or none"),
    ),
    "own": (N_("has the same number in decided_by as in requested_by"), N_("Another person must decide")),
}
_OTHERWISE = N_("is of another type"), N_("Give it as docs/gate.md says")


def misread(fault: Mapping[str, Any]) -> Misasked:
    """A fault of pydantic's: the place, what is wrong with it and what to do; never the value."""
    place = [str(part) for part in fault["loc"] if part not in ("body", "path")]
    if fault["type"] == "json_invalid":
        place = []  # pydantic gives a place in the text
    if place[:1] == ["facts"]:
        place = place[:2]  # behind the fact's name stands the type that was tried
    kind, context = f"{fault['type']}_of_{'.'.join(place)}", fault.get("ctx", {})
    reason, remedy = (
        found[0] if (found := [words for name, words in _MISREAD.items() if kind.startswith(name)]) else _OTHERWISE
    )
    known = ", ".join(re.findall(r"'([^']+)'", str(context.get("expected", ""))))
    return Misasked(".".join(place) or "body", reason, remedy, known=known, most=context.get("max_length", 64))
