"""Numbers that lead to a person or to money: cards, accounts, wallets, devices, national identity numbers, amounts."""

from __future__ import annotations

import re
from typing import Final

from calos_telemetry.sdk.obfuscate.placeholders import AMOUNT, CARD, DEVICE, IBAN, ID, WALLET
from calos_telemetry.sdk.obfuscate.rules.checks import digits_of, is_card, is_iban, is_luhn
from calos_telemetry.sdk.obfuscate.rules.rule import Rule
from calos_telemetry.sdk.obfuscate.words import is_wordy

_DATE: Final = re.compile(r"(?:19|20)\d\d[-/.]?[01]\d")
_ARTICLES: Final = frozenset({"ISBN", "ISSN", "EAN", "UPC", "GTIN", "ASIN", "MAC"})  # they number things
_CARD_DIGITS: Final = range(12, 20)  # ISO/IEC 7812-1
_FEWEST_ID_DIGITS: Final = 4
_NIF_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"  # Spain: the letter is the number modulo 23
_HETU_LETTERS: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"  # Finland: the sign is the number modulo 31

_CURRENCIES: Final = (  # ISO 4217, the codes that are not an English word
    "USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|RSD|UAH|RUB|TRY|ILS|AED|SAR|QAR|EGP|ZAR|NGN|KES"
    "|GHS|MAD|BRL|MXN|ARS|CLP|COP|PEN|UYU|KRW|TWD|HKD|SGD|MYR|THB|IDR|PHP|VND|PKR|BDT|LKR|KZT|GEL|AMD|BTC|ETH|USDT|USDC"
)
_SIGNS: Final = "€£¥₹₩₽₺₴₦₫₱฿₪₡₲₵₸"
_MONEY: Final = r"amount|price|total|subtotal|balance|salary|cost|fee|revenue|payment|refund|tip|tax|discount"
_SUM: Final = r"\d{1,3}(?:[,.' ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,4})?"

_IDENTITY: Final = (
    r"passport|ssn|social security|national id(?:entity)?|nino?|tax(?:payer)? id(?:entification)?|steuer-?id|vat|tin|itin|nif"
    r"|nie|dni|cpf|cnpj|curp|aadhaar|pan|gstin|pesel|personnummer|bsn|npi|mbi|nhs|medicare|driver'?s? licen[cs]e|licen[cs]e plate"
    r"|identity card|id card|insurance|finnish id|rrn|frn|brn|ein|abn|acn|siren|siret|rut|nip|regon|cuit|hetu"
    r"|voter|iqama|emirates id|registration|sozialversicherungsnummer|kennitala|c[eé]dula|rodné č[ií]slo"
    r"|niss|nric|hkid|sa id|cpr|f[oø]dselsnummer"
)


def _is_card(match: re.Match[str]) -> bool:
    return is_card(match["v"])


def _is_named_card(match: re.Match[str]) -> bool:
    return len(digits_of(match["v"])) in _CARD_DIGITS


def _is_iban(match: re.Match[str]) -> bool:
    return is_iban(match["v"])


def _is_imei(match: re.Match[str]) -> bool:
    return is_luhn(digits_of(match["v"])[:15])


def _has_digits(match: re.Match[str]) -> bool:
    return len(digits_of(match["v"])) >= _FEWEST_ID_DIGITS


def _is_identity(match: re.Match[str]) -> bool:
    """Check the letter that Spain and Finland compute from the digits; other shapes stand for themselves."""
    text = match[0].upper()
    if match.lastgroup == "nif":
        return _NIF_LETTERS[int(text[:8].translate(str.maketrans("XYZ", "012"))) % 23] == text[-1]
    if match.lastgroup == "hetu":
        return _HETU_LETTERS[int(text[:6] + text[7:10]) % 31] == text[-1]
    return True


def _is_register_number(match: re.Match[str]) -> bool:
    return not is_wordy(match["k"].lower()) and match["k"] not in _ARTICLES and _DATE.match(match["v"]) is None


RULES: Final = (
    Rule(
        "device",
        DEVICE,
        "the number of a mobile device or SIM (IMEI, IMSI, ICCID)",
        r"(?i)\b(imei|imsi|iccid|meid)[^\d\n\[]{0,16}\d",
        r"(?i)\b(?:imei|imsi|iccid|meid)(?:sv)?(?:[ _-]?(?:number|no))?[^\d\n\[]{0,12}(?P<v>\d(?:[ -]?\d){13,19})(?!\d)",
    ),
    Rule(
        "device.shape",
        DEVICE,
        "a number written the way an IMEI is written",
        r"\b\d\d-\d{6}-\d{6}-\d",
        r"(?<![\w-])(?P<v>\d\d-\d{6}-\d{6}-\d)(?![\w-])",
        _is_imei,
    ),
    Rule(
        "card",
        CARD,
        "a payment card number (issuer range, length and Luhn digit fit)",
        r"\b\d(?:[ -]?\d){11}",
        r"(?P<v>\d(?<!\w\d)(?<!\d[.,-]\d)(?:[ -]?\d){11,18})(?!\w|[.,-]\d)",
        _is_card,
    ),
    Rule(
        "card.named",
        CARD,
        "a number that the words before it call a card number",
        r"(?i)(card|\bcc|\bpan|visa|mastercard|amex|maestro)[^\d\n\[]{0,24}\d(?:[ -]?\d){11}",
        r"(?i)(?:card|\bcc|\bpan|visa|mastercard|amex|maestro)[^\d\n\[]{0,24}(?<![\w.])(?P<v>\d(?:[ -]?\d){11,18})(?!\d)",
        _is_named_card,
    ),
    Rule(
        "iban",
        IBAN,
        "an international bank account number (ISO 13616)",
        r"(?i)\b[a-z]{2}\d\d[ -]?[a-z0-9]{4}[ -]?[a-z0-9]{4}",
        r"(?i)(?<![a-z0-9])(?P<v>[a-z]{2}\d\d(?:[a-z0-9]{11,30}|(?:[ -][a-z0-9]{4}){2,7}(?:[ -][a-z0-9]{1,4})?))(?![a-z0-9])",
        _is_iban,
    ),
    Rule(
        "identity.shape",
        ID,
        "the shape of a national identity number",
        r"\b\d{3}[- ]\d{2}[- ]\d{4}\b|(?i)\d{6}[-+a][0-9]{3,7}|\d{3}\.\d{3}\.\d{3}-|\d\d\.\d{3}\.\d{3}/\d{4}-|(\d\d)?[a-z]{5}\d{4}[a-z]|[a-z]{4}\d{6}|[xyz0-9]\d{7}[a-z]"
        r"|[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}|756\.\d{4}|\d{6}[a-fu-y]\d{3}|\b[a-z]{2} ?\d\d ?\d\d ?\d\d ?[a-d]\b|[2-9]\d{3}[ -]\d{4}[ -]\d{4}([^ \d-]|$| \D)",
        r"(?i)(?<![\w.-])(?:\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{6}-[1-8]\d{6}|\d{3}\.\d{3}\.\d{3}-\d{2}|756\.\d{4}\.\d{4}\.\d{2}"
        r"|\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}|(?-i:[A-Z]{4}\d{6}[A-Z0-9]{3}|[A-Z]{5}\d{4}[A-Z]|\d\d[A-Z]{5}\d{4}[A-Z]\dZ[0-9A-Z])|(?P<nif>[xyz0-9]\d{7}[a-z])"
        r"|(?P<hetu>\d{6}[-+a-fu-y]\d{3}[0-9a-y])|[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]|[a-z]{2} ?\d\d ?\d\d ?\d\d ?[a-d]"
        r"|(?<!\d )[2-9]\d{3}[ -]\d{4}[ -]\d{4}(?! \d))(?![\w-])",
        _is_identity,
    ),
    Rule(
        "identity.named",
        ID,
        "a number that the words before it call an identity number",
        rf"(?i)\b({_IDENTITY})\b[^\d\n\[]{{0,24}}\d",
        rf"(?i)\b(?:{_IDENTITY})\b(?:[ _-](?:numbers?|no|num|nr|id|code|card|is|was|of)\b\.?)*[\"'\s:#=(]{{0,4}}"
        r"(?P<v>[a-z0-9]{2,20}(?:[ ./-](?=[a-z]{0,3}\d)[a-z0-9]{1,20}){0,5})(?![a-z0-9])",
        _has_digits,
    ),
    Rule(
        "identity.acronym",
        ID,
        "a number behind an abbreviation that is no word of software, as registers of persons and firms are called",
        r"\b[A-Z]{3,6}([ -](Nr|No|ID|number|card))?[.:]{0,2} [A-Z]{0,2}\d([ ./-]?\d){7}",
        r"\b(?P<k>[A-Z]{3,6})(?:[ -](?:Nr|No|ID|number|card))?[.:]{0,2} (?P<v>[A-Z]{0,2}\d(?!\d*\.\d+(?:\D|\Z))(?:[ ./-]?\d){7,14}(?:[ -]?[A-Z0-9]{1,2})?)(?![\w/.-]?\w)",
        _is_register_number,
    ),
    Rule(
        "wallet",
        WALLET,
        "an address of a crypto currency",
        r"\b0x[0-9a-fA-F]{40}|\b(bc1|tb1|ltc1|addr1|cosmos1|bitcoincash:)[a-z0-9]{20}|\b[13LMDrTXA][1-9A-HJ-NP-Za-km-z]{25}",
        r"(?<![\w])(?:0x[0-9a-fA-F]{40}|(?:bc1|tb1|ltc1|addr1|cosmos1|bitcoincash:)[a-z0-9]{20,100}"
        r"|(?=[A-Za-z]*\d)[13LMDrTXA][1-9A-HJ-NP-Za-km-z]{25,34})(?!\w)",
        lambda match: any(letter.isdigit() for letter in match[0][1:]),
    ),
    Rule(
        "amount",
        AMOUNT,
        "an amount of money",
        rf"([A-Z]{{1,3}})?[{_SIGNS}$]\s?\d|({_CURRENCIES})\s?[0-9]|[0-9][0-9,.' ]*\s?([{_SIGNS}]|({_CURRENCIES})\b)",
        rf"(?P<v>(?:(?:[A-Z]{{1,3}})?[{_SIGNS}]|\b(?:{_CURRENCIES}))\s?(?:{_SUM})|\$\s?(?:\d+(?:[,.]\d+)+|\d{{3,}})"
        rf"|(?<![\w.])(?:{_SUM})\s?(?:[{_SIGNS}]|(?:{_CURRENCIES})\b))",
    ),
    Rule(
        "amount.named",
        AMOUNT,
        "a number with cents that its name calls an amount",
        rf"(?i)\b({_MONEY})[\"']?\s?[:=]\s?[\"']?[\d,]*[.,]\d\d",
        rf"(?i)\b(?:{_MONEY})[\"']?\s?[:=]\s?[\"']?(?P<v>-?\d[\d,]{{0,12}}[.,]\d\d)(?![\d.])",
    ),
)
