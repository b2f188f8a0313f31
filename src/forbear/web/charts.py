"""The console's charts, as Vega-Lite specifications. Beside each stands the same as a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forbear.nightly.report import BUCKETS
from forbear.rulebook.models import Rule, Step

#: Colours from calm to grave, told apart also in grey and by most colour-blind readers.
_PALETTE = ["#8fb8de", "#5e93c4", "#3b6fa5", "#8d5a97", "#b0413e", "#5c1a1b"]
_MOST_BARS = 12


def _chart(values: list[dict[str, Any]], encoding: dict[str, Any], height: int) -> dict[str, Any]:
    return {
        "$schema": "vega-lite/v6",
        "width": "container",
        "height": height,
        "background": None,
        "data": {"values": values},
        "mark": {"type": "bar", "tooltip": True},
        "encoding": encoding,
        "config": {"view": {"stroke": None}, "font": "inherit", "axis": {"labelLimit": 260}},
    }


def steps_chart(
    counts: Mapping[tuple[str, str], int], steps: Mapping[str, Step], lang: str, _: Callable[..., str]
) -> dict[str, Any]:
    """Accounts in arrears at each step, by bucket; accounts that owe nothing yet would dwarf the rest."""
    values = [
        {"step": step.name[lang], "bucket": bucket.name[lang], "n": n, "order": k}
        for step in steps.values()
        for k, bucket in enumerate(BUCKETS)
        if (n := counts.get((step.id, bucket.id), 0)) and bucket.id != "current"
    ]
    names = [bucket.name[lang] for bucket in BUCKETS[1:]]
    encoding = {
        "y": {"field": "step", "type": "nominal", "sort": [s.name[lang] for s in steps.values()], "title": None},
        "x": {"field": "n", "type": "quantitative", "title": _("Accounts in arrears")},
        "color": {
            "field": "bucket",
            "type": "ordinal",
            "title": _("Days past due"),
            "scale": {"domain": names, "range": _PALETTE[1:]},
            "legend": {"orient": "bottom"},
        },
        "order": {"field": "order"},
    }
    return _chart(values, encoding, 240)


def held_back_chart(
    held: Sequence[tuple[str, str, int]],
    steps: Mapping[str, Step],
    rules: Mapping[str, Rule],
    lang: str,
    _: Callable[..., str],
) -> dict[str, Any]:
    """The rules that stood most often between an account in arrears and a step."""
    values = [
        {"what": f"{steps[step].name[lang]} · {rule}", "n": n, "kind": _(rules[rule].instrument.kind), "k": k}
        for k, (step, rule, n) in enumerate(held[:_MOST_BARS])
    ]
    encoding = {
        "y": {"field": "what", "type": "nominal", "sort": {"field": "k"}, "title": None},
        "x": {"field": "n", "type": "quantitative", "title": _("Accounts in arrears without a contact tonight")},
        "color": {"field": "kind", "type": "nominal", "title": None, "legend": {"orient": "bottom"}},
    }
    return _chart(values, encoding, 26 * max(len(values), 1))
