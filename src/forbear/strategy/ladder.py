"""Takes the next step of an account: the mildest that no rule forbids and that has a lawful hour.

The steps stand in rulebook/vocabulary.toml, mildest first, and end with `none`, which no rule governs.
When a step is due and when it is spent is policy, hence data: rulebook/packs/policy/ladder.toml.
"""

import ibis
import ibis.expr.types as ir

from forbear.rulebook.compile import Compiled, Findings


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
    return permitted(compiled, findings)[0]


def decide(compiled: Compiled, facts: ir.Table) -> ir.Table:
    """The next step of each row of a book.

    Args:
        facts: a column for each fact of the vocabulary; agreed_from_min and agreed_to_min (whole
            minutes or NULL); first_min and last_min, what `LocalDay` adds to an opening and to a
            closing minute (NULL where the place is not known).

    Returns: the same rows with forbids, unknown, no_hours, step, and earliest_min and latest_min:
        minutes of the UTC day, NULL where the step is no contact or the place is not known.
    """
    forbids, unknown = compiled.masks(facts)
    spans = {step.id: compiled.minutes(step.id, facts) for step in compiled.steps if step.contact}
    closed = ibis.literal(0, "int16")
    for step, (opens, closes) in spans.items():
        empty = (opens + facts["first_min"] >= closes + facts["last_min"]).fill_null(False)
        closed = closed + ibis.ifelse(empty, 1 << compiled.vocabulary.steps[step].bit, 0)
    asked = facts.mutate(forbids=forbids, unknown=unknown, no_hours=closed.cast("int16"))
    against = asked["forbids"] | asked["unknown"]
    ladder = [
        (
            ((against & compiled.step_masks[step.id]) == 0) & ((asked["no_hours"] & (1 << step.bit)) == 0),
            step.id,
        )
        for step in compiled.steps
    ]
    decided = asked.mutate(step=ibis.cases(*ladder))
    return decided.mutate(
        earliest_min=ibis.cases(
            *((decided["step"] == step, opens + facts["first_min"]) for step, (opens, _) in spans.items())
        ),
        latest_min=ibis.cases(
            *((decided["step"] == step, closes + facts["last_min"]) for step, (_, closes) in spans.items())
        ),
    )
