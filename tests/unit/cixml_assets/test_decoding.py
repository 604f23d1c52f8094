"""Charsets: named, named wrongly, not named at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cixml_assets.decoding import decode
from cixml_assets.text_layer import clean_text
from resources.errors import ChunkingError


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("Übergröße".encode(), None),
        ("Übergröße".encode(), "iso-8859-1"),  # the label is wrong
        ("Übergröße".encode("cp1252"), "iso-8859-1"),
        ("Übergröße".encode("cp1252"), "utf-8"),
        ("Übergröße".encode("utf-16"), None),
        ("Übergröße".encode("utf-8-sig"), "nonsense-8"),
        (b"<meta charset=windows-1252>" + "Übergröße".encode("cp1252"), None),
        (
            b'<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1">' + "Übergröße".encode("cp1252"),
            None,
        ),
    ],
)
def test_charset_is_found_and_a_wrong_label_does_no_harm(body: bytes, charset: str | None) -> None:
    padding = (
        " Weiterer Text in deutscher Sprache, damit es etwas zu erkennen gibt: Äpfel, Öl, Füße, größer, schön.".encode(
            "utf-16-le" if body[:2] == b"\xff\xfe" else "utf-8" if b"\xc3\x9c" in body else "cp1252"
        )
    )
    assert "Übergröße" in decode(body + padding, "text/html", charset)


@pytest.mark.parametrize(
    ("text", "charset"),
    [("日本語の文章です。", "shift_jis"), ("日本語", "iso-2022-jp"), ("한국어", "euc-kr"), ("简体中文", "gb2312")],
)
def test_declared_charset_is_used(text: str, charset: str) -> None:
    assert decode(text.encode(charset), "text/plain", charset) == text
    assert text in decode(f"<meta charset={charset}>{text}".encode(charset), "text/html", None)


@pytest.mark.parametrize(
    ("label", "text", "charset"),
    [
        ("iso-8859-8-i", "שלום עולם", "iso8859_8"),
        ("koi8-ru", "Все части насоса", "koi8_u"),
        ("x-mac-cyrillic", "Все части насоса", "mac_cyrillic"),
        ("Windows-31J", "日本語の①", "cp932"),
        ("csShiftJIS", "日本語の①", "cp932"),
        ("dos-874", "ภาษาไทย", "cp874"),
        ("cp936", "镕基的句子", "gb18030"),
        ("ks_c_5601-1989", "똠방각하", "cp949"),
        ("iso_8859-1:1987", "12 € – “gut”", "cp1252"),
        ("x-cp1250", "žluťoučký", "cp1250"),
    ],
)
def test_names_of_the_web_mean_what_browsers_take_them_for(label: str, text: str, charset: str) -> None:
    body = f"<meta charset={label}><p>{text}</p>".encode(charset)
    assert text in decode(body, "text/html", None)
    assert text in decode(body, "text/html", label)


@pytest.mark.parametrize(
    "label", ["punycode", "unicode_escape", "hex", "rot13", "idna", "utf-7", "base64", "\0", "ü" * 9]
)
def test_label_that_names_no_charset_is_passed_over(label: str) -> None:
    assert decode("Größe \\x41-".encode("cp1252"), "text/html", label) == "Größe \\x41-"


def test_broken_byte_here_and_there_is_replaced() -> None:
    assert decode(("Übergröße " * 500).encode() + b"\xff end", "text/html", "utf-8").endswith("\ufffd end")


@pytest.mark.parametrize("body", [bytes(range(256)) * 40, b"\x00\x01\x02\x03" * 500])
def test_bytes_that_are_no_text_are_refused(body: bytes) -> None:
    with pytest.raises(ChunkingError) as caught:
        decode(body, "text/html", None)
    assert caught.value.code == "encoding_failed"


@given(st.binary(max_size=300), st.sampled_from(["utf-8", "euc-kr", "utf-16", "x-unknown", None]))
def test_any_bytes_give_text_or_an_error(body: bytes, charset: str | None) -> None:
    try:
        text = clean_text(decode(body, "text/html", charset))
    except ChunkingError:
        return
    text.encode()
    assert "\x00" not in text


TEXTS = {
    "de": "Der Wärmepumpenprüfer fährt über die Brücke und spricht mit den Behörden über große Übungen. ",
    "fr": "L'été dernier, les élèves ont préparé leur leçon à l'école, où le garçon a reçu un prix élevé. ",
    "ru": "Документация описывает, как настроить сервер и проверить журнал событий после обновления. ",
    "uk": "Документація описує, як налаштувати сервер і перевірити журнал подій після оновлення. ",
    "pl": "Zażółć gęślą jaźń, a następnie sprawdź dziennik zdarzeń po każdej aktualizacji usługi. ",
    "cs": "Příliš žluťoučký kůň úpěl ďábelské ódy a pak zkontroloval protokol událostí. ",
    "hu": "Árvíztűrő tükörfúrógép ellenőrzi a napló bejegyzéseit minden frissítés után a kiszolgálón. ",
    "tr": "Belgeler, sunucunun nasıl yapılandırılacağını ve günlüğün nasıl kontrol edileceğini açıklıyor. ",
    "ro": "Documentaţia descrie cum să configuraţi serverul şi să verificaţi jurnalul în fiecare zi. ",
    "hr": "Dokumentacija opisuje kako podesiti poslužitelj i provjeriti što je zabilježeno nakon ažuriranja, čovječe. ",
    "lt": "Dokumentacijoje aprašoma, kaip nustatyti serverį ir patikrinti žurnalą po kiekvieno naujinimo. ",
    "lv": "Dokumentācijā aprakstīts, kā iestatīt serveri un pārbaudīt žurnālu pēc katras atjaunināšanas. ",
    "is": "Skjölin lýsa því hvernig á að stilla þjóninn og athuga dagbókina eftir hverja uppfærslu, það er gott. ",
    "pt": "A documentação descreve como configurar o servidor e verificar as ações após cada atualização à noite. ",
    "el": "Η τεκμηρίωση περιγράφει πώς να ρυθμίσετε τον διακομιστή και να ελέγξετε το ημερολόγιο. ",
    "ar": "تصف الوثائق كيفية إعداد الخادم والتحقق من سجل الأحداث بعد كل تحديث للنظام. ",
    "he": "התיעוד מתאר כיצד להגדיר את השרת ולבדוק את יומן האירועים לאחר כל עדכון של המערכת. ",
    "th": "เอกสารอธิบายวิธีตั้งค่าเซิร์ฟเวอร์และตรวจสอบบันทึกเหตุการณ์หลังการอัปเดตทุกครั้ง ",
    "ja": "この文書は、サーバーの設定方法と、更新後にイベントログを確認する方法を説明します。",
    "ko": "이 문서는 서버를 설정하는 방법과 업데이트 후 이벤트 로그를 확인하는 방법을 설명합니다. ",
    "zh": "本文档介绍如何配置服务器以及在每次更新后检查事件日志的方法。",
    "zh-tw": "本文件介紹如何設定伺服器以及在每次更新後檢查事件記錄的方法。",
}
WRITTEN = [
    ("de", "cp1252"), ("fr", "iso-8859-15"), ("ru", "cp1251"), ("ru", "koi8-r"), ("ru", "cp866"), ("ru", "iso-8859-5"),
    ("uk", "koi8-u"), ("pl", "cp1250"), ("pl", "iso-8859-2"), ("cs", "cp1250"), ("cs", "iso-8859-2"), ("el", "cp1253"),
    ("hu", "cp1250"), ("hu", "iso-8859-2"), ("tr", "cp1254"), ("ro", "cp1250"), ("ro", "iso-8859-2"),
    ("hr", "cp1250"), ("hr", "iso-8859-2"), ("lt", "cp1257"), ("lv", "iso-8859-13"), ("is", "cp1252"), ("pt", "cp1252"),
    ("el", "iso-8859-7"), ("ar", "cp1256"), ("ar", "iso-8859-6"), ("he", "cp1255"), ("th", "tis-620"),
    ("ja", "shift_jis"), ("ja", "euc_jp"), ("ja", "iso-2022-jp"), ("ko", "euc-kr"), ("zh", "gb2312"), ("zh-tw", "big5"),
]  # fmt: skip


def in_charset(language: str, charset: str, meta: str = "") -> bytes:
    return f"<html><head>{meta}<title>x</title></head><p>{TEXTS[language] * 8}</p></html>".encode(charset)


@pytest.mark.parametrize(("language", "charset"), WRITTEN)
def test_charset_is_named_or_found(language: str, charset: str) -> None:
    text = TEXTS[language] * 8
    body = in_charset(language, charset)
    assert text in decode(body, "text/html", charset)
    assert text in decode(body, "text/html", None)
    assert text in decode(body, "text/html", "x-nonsense")
    assert text in decode(body, "text/html", "utf-8")
    assert text in decode(in_charset(language, charset, f"<meta charset={charset}>"), "text/html", None)
    late = f"<!--{'-' * 6000}--><meta charset={charset}>"
    assert text in decode(in_charset(language, charset, late), "text/html", None)


@pytest.mark.parametrize("label", ["iso-8859-1", "us-ascii", "windows-1254"])
@pytest.mark.parametrize(("language", "charset"), WRITTEN)
def test_western_label_of_other_letters_is_not_believed(language: str, charset: str, label: str) -> None:
    assert TEXTS[language] in decode(in_charset(language, charset), "text/html", label)


def test_western_label_that_fits_is_believed() -> None:
    text = "Le coût est de 12 €, l'œuvre est exposée à Liège jusqu'à l'été. "
    for charset in ("iso-8859-15", "windows-1252"):
        assert text in decode(f"<p>{text * 5}</p>".encode(charset), "text/html", charset)


@pytest.mark.parametrize("label", [None, "utf-8", "iso-8859-1"])
@pytest.mark.parametrize("text", ["The café is open. ", "“It’s open”, she said… ", "Turn it by 90° × 2. "])
def test_few_accents_do_not_make_a_page_utf_8_or_foreign(text: str, label: str | None) -> None:
    page = f"<p>{text}</p><p>{'All the rest of this page is plain English. ' * 40}</p>"
    assert text in decode(page.encode("cp1252"), "text/html", label)


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("label", [None, "utf-8", "utf-16"])
def test_utf_16_is_known_without_its_mark(charset: str, label: str | None) -> None:
    for text in ("<html><p>Übergröße</p></html>", "Ω und plain text alike, as it is written."):
        assert decode(text.encode(charset), "text/html", label) == text


@pytest.mark.parametrize(
    ("language", "charset"),
    [
        ("hu", "cp1250"),
        ("hu", "iso-8859-2"),
        ("tr", "cp1254"),
        ("pl", "cp1250"),
        ("pl", "iso-8859-2"),
        ("cs", "cp1250"),
    ],
)
@pytest.mark.parametrize("label", [None, "iso-8859-1", "utf-8"])
def test_language_of_the_page_tells_latin_charsets_apart(language: str, charset: str, label: str | None) -> None:
    body = in_charset(language, charset).replace(b"<html>", b"<html lang='" + language.encode() + b"'>")
    assert TEXTS[language] in decode(body, "text/html", label)
    assert TEXTS[language] in decode(body, "text/html", charset)
