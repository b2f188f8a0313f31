"""Renders the console's templates in the language of the reader who asks."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from forbear.locale import LANGUAGES, Language, negotiate, spoken_as
from forbear.nightly.report import BUCKETS
from forbear.rulebook.errors import DayOutOfReach
from forbear.rulebook.hours import within_reach
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import Rule, Step
from forbear.web.charts import Gettext
from forbear.web.format import Formats

_HERE = Path(__file__).parent
_COOKIE = "forbear_lang"
_YEAR_SECONDS = 365 * 24 * 3600

#: What an address that has a day which is none is refused with.
NO_DAY = "no day"


def day_of(given: str) -> date | None:
    """The day that an address names; None where it names none. Raises HTTPException where there is no such day."""
    try:
        return within_reach(date.fromisoformat(given)) if given else None
    except (ValueError, DayOutOfReach):
        raise HTTPException(404, NO_DAY) from None


class Pages:
    """Renders templates in the language of the reader who asks."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rules: Mapping[str, Rule] = rulebook.by_id
        self._steps: Mapping[str, Step] = rulebook.vocabulary.steps
        self._environments = {tag: self._environment(language) for tag, language in LANGUAGES.items()}
        self._formats = {tag: Formats(language) for tag, language in LANGUAGES.items()}

    def _environment(self, language: Language) -> Environment:
        made = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        made.policies["ext.i18n.trimmed"] = True
        made.install_gettext_translations(language.catalogue, newstyle=True)  # type: ignore[attr-defined]
        return made

    def language(self, request: Request) -> Language:
        """The language asked for in the address, else the one remembered, else what the browser prefers."""
        given = (request.query_params.get("lang"), request.cookies.get(_COOKIE))
        asked = next(filter(None, (spoken_as(tag) for tag in given if tag)), None)
        return asked or negotiate(request.headers.get("accept-language", ""))

    def formats(self, request: Request) -> Formats:
        """How values are written for this reader."""
        return self._formats[self.language(request).tag]

    def gettext(self, request: Request) -> Gettext:
        """The reader's word for an English one."""
        return self.language(request).catalogue.gettext

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page. Its choice of language is remembered."""
        language = self.language(request)

        def step_name(step: str) -> str:
            found = self._steps.get(step)
            return found.name[language.tag] if found else step

        page = self._environments[language.tag].get_template(template)
        common: dict[str, Any] = dict(
            language=language,
            languages=LANGUAGES.values(),
            to=self._formats[language.tag],
            buckets=BUCKETS,
            steps=self._steps,
            rules=self._rules,
            step_name=step_name,
            # A page that answered a form has no address of its own to come back to, unless it names one.
            here="/" if request.method == "POST" else request.url.path,
            query=[] if request.method == "POST" else [p for p in request.query_params.multi_items() if p[0] != "lang"],
            with_query=lambda pairs: "?" + urlencode(pairs),
        )
        text = page.render(common | values)
        headers = {"Vary": "Accept-Language, Cookie, HX-Request"}
        answer = HTMLResponse(text, status_code=status, headers=headers)
        if spoken_as(request.query_params.get("lang", "")) is language:
            answer.set_cookie(_COOKIE, language.tag, max_age=_YEAR_SECONDS, samesite="lax", httponly=True)
        return answer
