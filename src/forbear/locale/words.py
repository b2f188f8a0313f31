"""The rulebook's identifiers (values of facts, events, duties) in the words of each language."""

from collections.abc import Mapping

from forbear.locale import LANGUAGES


def _(text: str) -> str:
    """Marks a text for the catalogues; it is translated when it is asked for."""
    return text


_WORDS: Mapping[str, str] = {
    "open": _("open"),
    "paid_off": _("paid off"),
    "charged_off": _("charged off"),
    "sold": _("sold"),
    "bank": _("bank"),
    "consumer_finance": _("consumer-finance company"),
    "micro_lender": _("micro-lender"),
    "private": _("private lender"),
    "other": _("other lender"),
    "creditor": _("the creditor itself"),
    "agency": _("a collection agency"),
    "debtor": _("the debtor"),
    "spouse": _("the spouse"),
    "guarantor": _("a guarantor"),
    "contact_person": _("a contact person"),
    "employer": _("the employer"),
    "attorney": _("the attorney or adviser"),
    "third_party": _("another person"),
    "collect": _("to collect"),
    "required_notice": _("a notice that the law demands"),
    "end_of_collection": _("word that collection ends"),
    "locate": _("to find the debtor"),
    "assessment_made": _("the assessment"),
    "last_activity": _("the last activity"),
    "contact_made": _("the contact"),
    "call_recorded": _("the recording"),
    "adverse_ended": _("the end of the adverse entry"),
    "first_communication": _("the first communication"),
    "complaint_received": _("the complaint"),
    "consent_revoked": _("the revocation of consent"),
    "objection_received": _("the objection"),
    "data_correction_asked": _("the request to correct data"),
    "data_access_asked": _("the request to see data"),
    "two_payments_missed": _("the second missed payment"),
    "send_validation_notice": _("send the validation notice"),
    "decide": _("decide"),
    "stop_texts": _("stop texts"),
    "answer": _("answer"),
    "reply": _("reply"),
    "final_response": _("give the final response"),
    "give_arrears_notice": _("give notice of the arrears"),
}


def word(name: str, tag: str) -> str:
    """An identifier in words; one that is not listed stands as it is."""
    return LANGUAGES[tag].catalogue.gettext(_WORDS[name]) if name in _WORDS else name
