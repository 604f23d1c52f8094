"""From bytes to text: which charset a page is really in. Pure."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from cixml_assets.latin_charsets import WESTERN, latin_charset_of
from resources.errors import ChunkingError
from resources.media_types import JSON, MARKDOWN, PLAIN

META_BYTES = 16_384  # HTML asks for the declaration in the first 1,024; pages with long comments put it later
DETECTION_BYTES = 65_536
MIN_UTF_16_BYTES = 8
MIN_ZERO_SHARE = 0.2
MAX_BAD_SHARE = 0.05  # of characters that could not be decoded: above it the text is not worth an index
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NEVER_IN_TEXT = "\x00\x01\x02\x03\x04\x05\x06\x0e\x0f\x10\x11\x12\x13\x14\x15\x16"
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
# What a label means on the web is a superset of what it says (WHATWG Encoding, 4.2); names are Python's.
_SUPERSETS = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932", "big5": "big5hkscs",
}  # fmt: skip
# Labels of the same standard that Python does not know.
_LABELS = {
    "x-x-big5": "big5", "cn-big5": "big5", "x-gbk": "gbk", "gb_2312": "gbk", "gb_2312-80": "gbk", "csgb2312": "gbk",
    "shift-jis": "cp932", "x-sjis": "cp932", "sjis": "cp932", "windows-31j": "cp932", "csshiftjis": "cp932",
    "x-euc-jp": "euc_jp", "cseucpkdfmtjapanese": "euc_jp", "windows-949": "cp949", "cseuckr": "cp949",
    "ks_c_5601-1989": "cp949", "ksc_5601": "cp949", "csksc56011987": "cp949", "windows-874": "cp874",
    "dos-874": "cp874", "iso885911": "cp874", "koi": "koi8_r", "koi8": "koi8_r", "koi8-ru": "koi8_u",
    "x-mac-cyrillic": "mac_cyrillic", "x-mac-ukrainian": "mac_cyrillic", "x-mac-roman": "mac_roman",
    "mac": "mac_roman", "csmacintosh": "mac_roman", "logical": "iso8859_8", "visual": "iso8859_8",
    "iso-8859-8-i": "iso8859_8", "iso-8859-8-e": "iso8859_8", "iso-8859-6-i": "iso8859_6",
    "iso-8859-6-e": "iso8859_6", "iso88591": "cp1252", "iso88592": "iso8859_2", "iso88595": "iso8859_5",
    "iso88596": "iso8859_6", "iso88597": "iso8859_7", "iso88598": "iso8859_8", "iso88599": "cp1254",
    "iso885913": "iso8859_13", "iso885915": "iso8859_15", "unicode": "utf-16-le", "ucs-2": "utf-16-le",
    "iso-10646-ucs-2": "utf-16-le", "csunicode": "utf-16-le", "unicodefffe": "utf-16-be",
    "unicode-1-1-utf-8": "utf-8", "unicode11utf8": "utf-8", "unicode20utf8": "utf-8",
} | {f"x-cp{page}": f"cp{page}" for page in range(1250, 1259)}  # fmt: skip
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined"})
# What detection may answer: what pages are written in. Among all that Python knows, rare kin win by chance.
_WEB_CHARSETS = [
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp866", "cp874",
    "iso8859_2", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8", "koi8_r", "koi8_u", "mac_cyrillic", "mac_roman",
    "gb18030", "big5hkscs", "big5", "shift_jis", "cp932", "euc_jp", "cp949", "euc_kr", "johab", "utf_8", "utf_16_le",
    "utf_16_be",
]  # fmt: skip
_TAKE_ANY_BYTES = frozenset({"cp1252", "iso8859-15", "cp1254"})  # servers call everything that: Apache by default
_RUNS = re.compile(rb"[\x80-\xff]{2,}")
MAX_SHARE_IN_RUNS = 0.5  # of bytes beyond ASCII: accents stand alone, other scripts in words
_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")
_TAG = re.compile(rb"<[^>]{0,2000}>")
_LETTERS_OF_LATIN_2 = re.compile(rb"[A-Za-z\xe0-\xff][\xb1\xb6\xb9\xbb\xbc\xbe]")
_C1 = re.compile(rb"[\x80-\x9f]")
_LANGUAGE = re.compile(rb"<html[^>]{0,300}?\blang\s*=\s*[\"']?([a-z]{2})\b", re.IGNORECASE)
# Latin letters that no byte tells from Western ones: what the page says of its language decides, else its letters.
_OF_LANGUAGES = dict.fromkeys((b"cs", b"sk", b"pl", b"hu", b"hr", b"sl", b"bs", b"ro", b"sq"), "cp1250") | {
    b"tr": "cp1254", b"az": "cp1254", b"lt": "cp1257", b"lv": "cp1257", b"vi": "cp1258",
}  # fmt: skip
_ESCAPES_OF_2022_JP = re.compile(rb"\x1b\$[@B]")
_STATEFUL = frozenset({"iso2022_jp", "iso2022_kr", "hz", "utf-16", "utf-16-le", "utf-16-be"})


def decode(body: bytes, content_type: str, charset: str | None) -> str:
    """Return a page's text by BOM, UTF-8 that fits, header, meta, then detection: a wrong label does no harm.

    Raises ChunkingError(encoding_failed) for bytes that are no text.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _checked(body.decode(name, "replace"))
    if utf_16 := _utf_16_of(body):
        return _checked(body.decode(utf_16, "replace"))
    labels = _labels(body, content_type, charset)
    if _ESCAPES_OF_2022_JP.search(body[:DETECTION_BYTES]):
        labels.insert(0, "iso2022_jp")
    # UTF-8 first: text in another charset is practically never valid UTF-8; but the stateful ones look like ASCII.
    is_stateful = any(label in _STATEFUL for label in labels)
    candidates = [*labels, "utf-8"] if is_stateful else ["utf-8", *labels]
    weak: str | None = None
    for name in candidates:
        text = _strict(body, name)
        if text is None:
            continue
        if name not in _TAKE_ANY_BYTES or not _is_doubtful(body, name):
            return _checked(text)
        weak = weak or text
    if weak is not None:
        found = _detected(body)
        return _checked((found and _strict(body, found)) or weak)
    return _checked(_lenient(body, labels))


def _labels(body: bytes, content_type: str, charset: str | None) -> list[str]:
    found = [charset or ""]
    if content_type not in (PLAIN, MARKDOWN, JSON):
        for pattern in (_META, _XML):
            match = pattern.search(body[:META_BYTES])
            found.append(match[1].decode("ascii") if match else "")
    names = (_charset(label.strip().lower()) for label in found)
    return list(dict.fromkeys(name for name in names if name))


def _charset(label: str) -> str | None:
    """Return Python's name of the charset that a label means; None for one that nobody knows."""
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name
    except (LookupError, ValueError):
        return None
    return None if name in _NO_CHARSETS else _SUPERSETS.get(name, name)


def _utf_16_of(body: bytes) -> str | None:
    """Return which UTF-16 a body without a BOM is in: its markup, or its spaces, have a zero beside each byte."""
    sample = body[:1024]
    for name, zeros, others in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        if len(sample) >= MIN_UTF_16_BYTES and zeros.count(0) > MIN_ZERO_SHARE * len(zeros) and not others.count(0):
            return name
    return None


def _strict(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name)
    except (UnicodeError, LookupError):  # LookupError: a charset that nobody knows
        return None


def _lenient(body: bytes, labels: list[str]) -> str:
    """Decode with replacements: as detected in a sample, as labelled, as UTF-8; the one with the fewest."""
    utf_8 = body.decode("utf-8", "replace")
    broken = utf_8.count("\ufffd")
    if broken <= 3 + len(utf_8) // 2000 and broken < sum(len(run) for run in _BEYOND_ASCII.findall(utf_8)) - broken:
        return utf_8  # UTF-8 with a broken byte here and there, as cut or mixed pages have
    found = _detected(body)
    names = [*([found] if found else []), *labels]
    texts = [text for name in names if (text := _replaced(body, name)) is not None]
    return min([*texts, utf_8], key=lambda text: text.count("\ufffd"))


def _is_doubtful(body: bytes, name: str) -> bool:
    latin = _latin_of(body)
    is_of_others = latin not in (None, WESTERN if name == "iso8859-15" else name)
    return is_of_others or _is_of_another_script(body)


def _is_of_another_script(body: bytes) -> bool:
    """Say whether bytes that a Western label takes can't be Western text."""
    sample = body[:DETECTION_BYTES]
    beyond_ascii = sum(map(len, re.findall(rb"[\x80-\xff]+", sample)))
    return beyond_ascii > 0 and sum(map(len, _RUNS.findall(sample))) > MAX_SHARE_IN_RUNS * beyond_ascii


def _detected(body: bytes) -> str | None:
    """Guess the charset from a sample."""
    if latin := _latin_of(body):
        return latin
    guesses = from_bytes(_without_tags(body), cp_isolation=_WEB_CHARSETS)
    best = guesses.best()
    if best is None:
        return None
    fit = best.chaos, -best.coherence
    if any(guess.encoding == "cp1252" and (guess.chaos, -guess.coherence) <= fit for guess in guesses):
        return "cp1252"  # of those that read as well the one that is written a hundred times as often
    return str(best.encoding)


def _latin_of(body: bytes) -> str | None:
    """Return the Latin charset of a page: that of the language that it names, else that of its letters."""
    match = _LANGUAGE.search(body[:META_BYTES])
    name = _OF_LANGUAGES.get(match[1].lower()) if match and not _is_of_another_script(body) else None
    if name == "cp1250" and _LETTERS_OF_LATIN_2.search(body) and not _C1.search(body):
        return "iso8859_2"
    return name or latin_charset_of(_without_tags(body))


def _without_tags(body: bytes) -> bytes:
    """Return the beginning of a page without its markup, which is ASCII in any charset."""
    return _TAG.sub(b" ", body[:DETECTION_BYTES])


def _replaced(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name, "replace")
    except (UnicodeError, LookupError):
        return None


def _checked(text: str) -> str:
    bad = text.count("\ufffd") + sum(text.count(character) for character in _NEVER_IN_TEXT)
    if bad > MAX_BAD_SHARE * len(text) and bad > 3:
        raise ChunkingError("encoding_failed", "the page's characters can't be read in any charset")
    return text
