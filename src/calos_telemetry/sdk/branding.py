"""The vendor's brand: whether it must be shown, and what to show, as text and as HTML that is safe as it stands.

The community tier must show it, readable, on every page that visitors see, for instance in the footer; pro, enterprise
and development hosts need not.  Nothing here forces it into a page: the application shows it, its license asks for it.
"""

from __future__ import annotations

from html import escape

from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.current_license import current_license


class SafeHtml(str):
    """HTML that Jinja and Django put into a page as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return itself: the convention by which template engines know what is escaped already."""
        return str(self)


class Branding:
    """The brand of a product.  Each property asks the license of the request that is being answered.

    ``Branding().context`` is a context processor for Django, Flask, Quart and Starlette: templates say ``{{ branding }}``.
    """

    def __init__(self, text: str = "Powered by CALOS", url: str | None = None) -> None:
        """``text`` and ``url`` (what the brand links to) are escaped.

        Raises :class:`SettingsError` for an empty text and for a link that is no web address.
        """
        if not text.strip():
            raise SettingsError("the brand needs a text: it must be readable where it must be shown")
        if url is not None and not url.startswith(("https://", "http://")):
            raise SettingsError(f"the brand links to a web address (https://...), not to {url!r}")
        self._text = text
        link = escape(text) if url is None else f'<a href="{escape(url)}">{escape(text)}</a>'
        self._html = SafeHtml(f'<span class="calos-branding">{link}</span>')

    @property
    def required(self) -> bool:
        """Whether the brand must be shown."""
        return current_license().branding_required

    @property
    def text(self) -> str:
        """The brand as plain text; empty where it need not be shown."""
        return self._text if self.required else ""

    @property
    def html(self) -> SafeHtml:
        """The brand as HTML; empty where it need not be shown."""
        return self._html if self.required else SafeHtml()

    def context(self, _request: object = None) -> dict[str, SafeHtml]:
        """Return what a template gets: ``branding``."""
        return {"branding": self.html}
