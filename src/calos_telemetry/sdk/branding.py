"""The vendor's brand: whether it must be shown, and what to show, as text and as HTML that is safe as it stands.

The community tier must show it on every page that visitors see; pro, enterprise and development hosts need not.
Nothing here forces it into a page: the application shows it, and the license terms ask for it.
"""

from __future__ import annotations

from html import escape
from typing import Any

from calos_telemetry.sdk.current_license import current_license

WHERE = "on every page that visitors see, readable, for instance in the footer"
"""Where the brand must be shown, for the application's authors."""


class Branding:
    """The brand of a product: ``branding.required``, ``branding.text``, and in a template ``{{ branding }}``.

    Each asks the license of the request that is being answered, and is empty where the brand need not be shown.
    Jinja and Django take it as safe HTML; ``text`` and ``url`` are escaped.
    """

    def __init__(self, text: str = "Powered by CALOS", url: str | None = None) -> None:
        """``url``, when given, is what the brand links to.  Raises :class:`ValueError` for one that is no web address."""
        if url is not None and not url.startswith(("https://", "http://")):
            raise ValueError(f"the brand links to a web address (https://...), not to {url!r}")
        self._text = text
        shown = escape(text)
        link = shown if url is None else f'<a href="{escape(url)}" rel="noopener">{shown}</a>'
        self._html = f'<span class="calos-branding">{link}</span>'

    @property
    def required(self) -> bool:
        """Whether the brand must be shown."""
        return current_license().branding_required

    @property
    def text(self) -> str:
        """Return the brand as plain text, empty where it need not be shown."""
        return self._text if self.required else ""

    def __html__(self) -> str:
        """Return the brand as HTML, empty where it need not be shown."""
        return self._html if self.required else ""

    def __str__(self) -> str:
        return self.__html__()

    def context(self, _request: Any = None) -> dict[str, Branding]:
        """Return what templates get; a context processor for Django, Flask, Quart and Starlette."""
        return {"branding": self}
