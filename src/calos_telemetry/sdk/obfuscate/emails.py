"""E-mail addresses, reduced to the one thing that is nobody's: which large public provider."""

from __future__ import annotations

from typing import Final, cast

from calos_telemetry.sdk.obfuscate.boundary import fail_closed
from calos_telemetry.sdk.obfuscate.folding import fold, visible

OTHER: Final = "other"
"""Every domain that is not on the list, and everything that is no e-mail address."""

PUBLIC_PROVIDERS: Final = frozenset(
    "gmail.com googlemail.com "  # noqa: SIM905
    "outlook.com hotmail.com live.com msn.com hotmail.co.uk hotmail.fr hotmail.de hotmail.it hotmail.es live.co.uk live.fr live.nl "
    "outlook.de outlook.fr outlook.es "
    "yahoo.com yahoo.co.uk yahoo.fr yahoo.de yahoo.it yahoo.es yahoo.co.in yahoo.in yahoo.co.jp yahoo.com.br yahoo.ca ymail.com "
    "rocketmail.com aol.com "
    "icloud.com me.com mac.com proton.me protonmail.com pm.me tutanota.com tuta.com fastmail.com hey.com zoho.com mail.com gmx.com "
    "gmx.de gmx.net gmx.at gmx.ch web.de t-online.de freenet.de posteo.de mailbox.org "
    "orange.fr wanadoo.fr free.fr sfr.fr laposte.net libero.it virgilio.it tiscali.it tin.it btinternet.com sky.com virginmedia.com "
    "comcast.net verizon.net att.net sbcglobal.net cox.net charter.net bellsouth.net earthlink.net "
    "rogers.com shaw.ca bigpond.com optusnet.com.au mail.ru yandex.ru yandex.com ya.ru inbox.ru bk.ru list.ru rambler.ru ukr.net "
    "qq.com 163.com 126.com sina.com sohu.com foxmail.com aliyun.com yeah.net naver.com daum.net hanmail.net nate.com "
    "docomo.ne.jp ezweb.ne.jp softbank.ne.jp rediffmail.com uol.com.br bol.com.br terra.com.br ig.com.br "
    "wp.pl o2.pl onet.pl interia.pl seznam.cz centrum.cz abv.bg walla.co.il telenet.be skynet.be ziggo.nl kpnmail.nl hetnet.nl "
    "bluewin.ch sapo.pt telefonica.net".split(),
)
"""Providers where anybody can open a mailbox, each with at least some hundred thousand of them.

Written for this project from the providers' own public pages, checked November 2026.  It holds no domain that a company,
school or family runs for itself, because such a domain is a name.
"""

_LONGEST: Final = 320  # RFC 5321: 64 before the sign, 255 behind it
_LONGEST_LOCAL: Final = 64


@fail_closed
def obfuscate_email(value: object) -> str:
    """Return the domain of the e-mail address ``value`` where it is a large public provider, else ``other``.

    What is no e-mail address at all is ``other`` too: the answer never tells why, and never holds a part of the input
    that is not on the list.  A display name (``Bob <bob@gmail.com>``) and the usual encodings of the sign are read.
    """
    kind = type(value)
    if issubclass(kind, bytes):
        value = bytes.__getitem__(cast("bytes", value), slice(_LONGEST)).decode("utf-8", "replace")
    elif kind is bytearray:
        value = bytes(cast("bytearray", value)[:_LONGEST]).decode("utf-8", "replace")
    elif not issubclass(kind, str):
        return OTHER
    plain = str.__str__(value)
    if len(plain) > _LONGEST:
        return OTHER
    text = fold(visible(plain)).read.strip().lower().replace("%40", "@")
    if text.endswith(">"):
        text = text[:-1].rpartition("<")[2]
    local, sign, domain = text.removeprefix("mailto:").rpartition("@")
    usable = sign and 0 < len(local) <= _LONGEST_LOCAL and "@" not in local and not any(map(str.isspace, local))
    domain = domain.rstrip(".")
    return domain if usable and domain in PUBLIC_PROVIDERS else OTHER
