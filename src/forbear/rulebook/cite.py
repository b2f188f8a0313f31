"""How an article's number is written for a reader of each language; the packs write it in English, with figures."""

import re

#: A list of numbers: each a figure with what follows it in brackets, or the brackets alone, of the figure before.
_LIST = r"(\d[\dA-Z-]*(?:-?\(\w+\))*(?:, (?:\d[\dA-Z-]*|(?=\())(?:-?\(\w+\))*)*)"
#: Each English form of the packs, and what a reader of Chinese (simplified, traditional) sees in its place, in this
#: order. A test reads every pack, so that none is forgotten.
_FORMS = (
    (r" ?\(sub-clause not seen\)", "（分款未见）", "（分款未見）"),
    (r" ?\(provision not seen\)", "（条文未见）", "（條文未見）"),
    (r" ?\(article (?:number )?not seen\)", "（条号未见）", "（條號未見）"),
    (r"article not seen", "条号未见", "條號未見"),
    (r", with art\. (\d+) of 法发(\S+)号", r"，并法发\2号第\1条", r"，並法發\2號第\1條"),
    (
        r", with art\. (\S+) of its Enforcement Act \(民法債編施行法\)",
        r"，并民法债编施行法第\1条",
        r"，並民法債編施行法第\1條",
    ),
    (r", with (\d+) and (\d+)$", r"，并\1、\2", r"，並\1、\2"),
    (r"; Limitation Act 1980, ss\. (\S+), (\S+)", r"；1980年时效法第\1、\2条", r"；1980年時效法第\1、\2條"),
    (r"; Cap\. (\d+) s\. (\d+)", r"；第\1章第\2条", r"；第\1章第\2條"),
    (r"^1，", "第1条，", "第1條，"),
    (rf"arts?\. {_LIST}", r"第\1条", r"第\1條"),
    (rf"paras?\. {_LIST}", r"第\1段", r"第\1段"),
    (r" since (\S+)", r"（\1起）", r"（\1起）"),
    (r" as numbered in (\d+)", r"（\1年条号）", r"（\1年條號）"),
    (r"^as (.+) of the banks' Directions", r"同银行指令\1", r"同銀行指令\1"),
    (r"of the Directions of May 2025", "，2025年5月指令", "，2025年5月指令"),
    (r"chapter (\w+)", r"第\1章", r"第\1章"),
    (r"section (\d+)", r"第\1条", r"第\1條"),
    (r"condition (\d+)", r"条件\1", r"條件\1"),
    (r"schedule (\d+)", r"附表\1", r"附表\1"),
    (r"principle (\d+)", r"原则\1", r"原則\1"),
    (r" \(conduct of debt collectors\)", "（收债人行为）", "（收債人行為）"),
    (r" ?\((\d{4})-0?(\d+)\)", r"（\1年\2月）", r"（\1年\2月）"),
    (r" +(?=[，（])", "", ""),
    (r"(?<=[条條章）]) (?=\()", "", ""),
    (r", ", "、", "、"),
)

#: The characters of mainland citations in the traditional script. A test reads every pack, so that none is forgotten.
_HANT = str.maketrans(
    "业个于会关则务协发号员国审总护权监综联规贷费资适释银问间险题额",
    "業個於會關則務協發號員國審總護權監綜聯規貸費資適釋銀問間險題額",
)


def in_script(citation: str, lang: str) -> str:
    """How an instrument is cited in its place, in the reader's script."""
    return citation.translate(_HANT) if lang == "zh-Hant" else citation


def cited(article: str, lang: str) -> str:
    """An article as a pack has it, for a reader of zh-Hans, zh-Hant or en."""
    if lang == "en":
        return article
    for form, hans, hant in _FORMS:
        article = re.sub(form, hans if lang == "zh-Hans" else hant, article, flags=re.IGNORECASE)
    return article


def citation(title: str, article: str, lang: str) -> str:
    """An instrument's title with an article of it, for a reader of a language."""
    return f"{title} {cited(article, lang)}" if lang == "en" else f"{title}{cited(article, lang)}"
