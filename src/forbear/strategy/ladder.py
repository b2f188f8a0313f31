"""Takes the next step of an account: the mildest that no rule forbids and that has a lawful hour.

The steps stand in rulebook/vocabulary.toml, mildest first, and end with `none`, which no rule governs.
When a step is due and when it is spent is policy, hence data: rulebook/packs/policy/ladder.toml.
"""

import ibis
import ibis.expr.types as ir

from forbear.rulebook.compile import Compiled, Findings
from forbear.rulebook.models import Step


def permitted(compiled: Compiled, findings: Findings) -> tuple[str, ...]:
    """The steps of one case that nothing stands against, mildest first."""
    against = findings.forbids | findings.unknown
    return tuple(
        step.id
        for step in compiled.steps
        if not against & compiled.step_masks[step.id] and not findings.no_hours & (1 << step.bit)
    )


def choose(compiled: Compiled, findings: Findings) -> str:
    """The next step of one case."""
    against, no_hours = findings.forbids | findings.unknown, findings.no_hours
    for step, mask, bit in compiled.ladder:
        if not against & mask and not no_hours & bit:
            return step
    raise AssertionError("the last step is governed by no rule")


def decide(compiled: Compiled, facts: ir.Table) -> ir.Table:
    """The next step of each row of a book.

    Args:
        facts: a column for each fact of the vocabulary; agreed_from_min and agreed_to_min (whole
            minutes or NULL); first_min and last_min, what `LocalDay` adds to an opening and to a
            closing minute (NULL where the place is not known).

    Returns: the same rows with forbids, unknown, no_hours, step, and earliest_min and latest_min:
        minutes of the UTC day, NULL where the step is no contact or the place is not known.
    """
    steps = compiled.steps
    forbids, unknown = compiled.masks(facts)
    # Steps that the same rules give their hours share one span, worked out once for each row.
    kinds: dict[tuple[str, ...], list[Step]] = {}
    for step in steps:
        if step.contact:
            kinds.setdefault(tuple(rule.id for rule, _ in compiled.hours_of(step.id)), []).append(step)
    spans = list(kinds.values())
    ends: dict[str, ir.IntegerValue] = {}
    for k, alike in enumerate(spans):
        opens, closes = compiled.minutes(alike[0].id, facts)
        ends |= {f"opens_{k}": opens, f"closes_{k}": closes}
    asked = facts.mutate(against=forbids | unknown, forbids=forbids, unknown=unknown, **ends)
    closed = ibis.literal(0, "int16")
    lost = asked["first_min"] - asked["last_min"]
    for k, alike in enumerate(spans):
        empty = asked[f"closes_{k}"] - asked[f"opens_{k}"] <= lost
        closed = closed + ibis.ifelse(empty, ibis.literal(sum(1 << step.bit for step in alike), "int16"), 0)
    asked = asked.mutate(no_hours=closed.cast("int16"))
    ladder = []
    for step in steps:
        free = (asked["against"] & compiled.step_masks[step.id]) == 0
        if step.contact:
            free = free & ((asked["no_hours"] & (1 << step.bit)) == 0)
        ladder.append((free, ibis.literal(step.bit, "int8")))
    decided = asked.mutate(bit=ibis.cases(*ladder))
    # Most accounts get a step that is no contact: said first, it is all that is asked of them.
    idle = [step for step in reversed(steps) if not step.contact]
    contacts = [step for step in steps if step.contact]

    def end(name: str, shift: str) -> ir.IntegerValue:
        none = decided["bit"].isin([step.bit for step in idle])
        chosen = ((decided["bit"].isin([step.bit for step in alike]), f"{name}_{k}") for k, alike in enumerate(spans))
        return ibis.cases(
            (none, ibis.null("int64")), *((here, decided[column] + decided[shift]) for here, column in chosen)
        )

    return decided.mutate(
        step=ibis.cases(*((decided["bit"] == step.bit, step.id) for step in (*idle, *contacts))),
        earliest_min=end("opens", "first_min"),
        latest_min=end("closes", "last_min"),
    ).drop("against", "bit", *ends)
