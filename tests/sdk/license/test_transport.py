"""The wire: whatever a server or a proxy does, it ends in an answer or in one clear sentence, soon."""

from __future__ import annotations

import base64
import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import urllib3

from calos_telemetry.errors import TransportError
from calos_telemetry.sdk.license import transport
from calos_telemetry.sdk.license.transport import HttpTransport, NoTransport

Script = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """Run a server on loopback that answers every request by ``script``; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            script(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def replying(status: int, body: bytes, **headers: str) -> Script:
    """Answer with these, and a Content-Length unless ``headers`` say something about it."""

    def script(it: BaseHTTPRequestHandler) -> None:
        it.send_response(status)
        for name, value in (
            {"Content-Length": str(len(body))} | {k.replace("_", "-"): v for k, v in headers.items()}
        ).items():
            it.send_header(name, value)
        it.end_headers()
        it.wfile.write(body)

    return script


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no proxy or bundle of this machine into the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def fails(url: str) -> str:
    """Return the sentence in which both calls fail."""
    with pytest.raises(TransportError) as raised:
        HttpTransport(url).keys()
    with pytest.raises(TransportError) as posted:
        HttpTransport(url).verify(b"body", {})
    assert not raised.value.permanent
    assert "\n" not in str(raised.value)
    assert str(raised.value) == str(posted.value)
    return str(raised.value)


def test_an_answer_comes_back_as_it_is() -> None:
    """Status, headers in lower case, and the body byte for byte; headers of ours arrive as they are."""
    seen: list[str | None] = []

    def script(it: BaseHTTPRequestHandler) -> None:
        seen.extend((it.path, it.headers["Calos-Nonce"]))
        replying(418, b"\x00\xff", Calos_Signature="kid.sig")(it)

    with serving(script) as url:
        answer = HttpTransport(url + "/").verify(b"body", {"Calos-Nonce": "n"})
    assert (answer.status, answer.body, answer.headers["calos-signature"]) == (418, b"\x00\xff", "kid.sig")
    assert seen == ["/verify", "n"]


def test_nobody_listens() -> None:
    """A refused connection is one sentence that names the server."""
    with serving(replying(200, b"")) as url:
        pass
    assert fails(url).startswith(f"{url} could not be reached")


def test_a_keyring_is_only_taken_from_a_200() -> None:
    """An error page is no keyring."""
    with serving(replying(503, b"{}")) as url, pytest.raises(TransportError, match="answered 503"):
        HttpTransport(url).keys()


def test_redirects_are_not_followed() -> None:
    """A redirect is an answer like any other: what was signed for one server goes to no other."""
    with serving(replying(302, b"", Location="http://127.0.0.1:1/")) as url:
        assert HttpTransport(url).verify(b"body", {}).status == 302


@pytest.mark.parametrize("length", ["declared", "open"])
def test_an_endless_answer_is_cut(length: str) -> None:
    """More than 256 KiB is refused, whether it is announced or just keeps coming."""
    size = 256 * 1024 + 1
    headers = {"Content_Length": str(size)} if length == "declared" else {"Content_Length": "", "Connection": "close"}
    script = replying(200, b"x" * size, **headers) if length == "declared" else _unannounced(b"x" * size)
    with serving(script) as url:
        assert "more than 262144 bytes" in fails(url)


def _unannounced(body: bytes) -> Script:
    def script(it: BaseHTTPRequestHandler) -> None:
        it.send_response(200)
        it.end_headers()
        it.wfile.write(body)

    return script


def test_a_half_sent_answer_is_no_answer() -> None:
    """A connection that closes before the announced length, or inside a chunk, is told from a whole answer."""
    with serving(replying(200, b"half", Content_Length="100")) as url:
        fails(url)
    with serving(replying(200, b"64\r\nhalf", Content_Length="", Transfer_Encoding="chunked")) as url:
        fails(url)


def test_a_whole_chunked_answer_is_read() -> None:
    """Proxies like to answer in chunks."""

    def script(it: BaseHTTPRequestHandler) -> None:
        it.protocol_version = "HTTP/1.1"
        it.send_response(200)
        it.send_header("Transfer-Encoding", "chunked")
        it.send_header("Connection", "close")
        it.end_headers()
        it.wfile.write(b"4\r\nwhol\r\n1\r\ne\r\n0\r\n\r\n")

    with serving(script) as url:
        assert HttpTransport(url).keys() == b"whole"


@pytest.mark.parametrize(
    "raw",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200, b"\x16\x03\x01\x00"],
)
def test_what_is_no_http_is_a_sentence(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of something else, a closed connection, a header bomb: one sentence each."""
    monkeypatch.setattr(http.client, "_MAXHEADERS", 100)  # ClickHouse's driver raises it for the whole process

    def script(it: BaseHTTPRequestHandler) -> None:
        it.wfile.write(raw)

    with serving(script) as url:
        fails(url)


def test_a_server_that_stays_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the request and says nothing costs the read time-out and no more."""
    monkeypatch.setattr(transport, "_TIMEOUT", urllib3.Timeout(connect=1.0, read=0.05))
    done = threading.Event()

    def script(_: BaseHTTPRequestHandler) -> None:
        done.wait(30)

    with serving(script) as url:
        with pytest.raises(TransportError, match="ReadTimeout"):
            HttpTransport(url).verify(b"body", {})
        done.set()


def test_a_server_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte in time and the whole never: the whole has its own limit."""
    monkeypatch.setattr(transport, "_WHOLE_ANSWER", -1.0)
    with serving(replying(200, b"drop by drop")) as url:
        assert "took too long" in fails(url)


def test_the_hosts_proxy_is_used_with_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is honoured, also without its scheme, with the user in it; NO_PROXY goes past it."""
    seen: list[tuple[str, str | None]] = []

    def script(it: BaseHTTPRequestHandler) -> None:
        seen.append((it.path, it.headers["Proxy-Authorization"]))
        replying(200, b"through")(it)

    with serving(script) as url:
        monkeypatch.setenv("HTTP_PROXY", url.replace("http://", "bob:p%40ss@"))
        assert HttpTransport("http://vendor.example").keys() == b"through"
        expected = "basic " + base64.b64encode(b"bob:p@ss").decode()
        assert [(path, (told or "").replace("Basic", "basic")) for path, told in seen] == [
            ("http://vendor.example/keys", expected)
        ]
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert HttpTransport(url).keys() == b"through"


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "http://[", "http://127.0.0.1:99999", "ftp://x", "http://bob:geheim@127.0.0.1:1"]
)
def test_a_proxy_that_cannot_be_used_is_said_with_the_first_call(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Making the transport never fails, so the license state never depends on a proxy setting; no password is quoted."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    it = HttpTransport("http://vendor.example")
    with pytest.raises(TransportError) as raised:
        it.keys()
    assert "geheim" not in str(raised.value)
    assert re.fullmatch(r"http://vendor\.example could not be reached \(\w+\): it is tried again", str(raised.value))


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_hosts_certificates_are_used(monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Any) -> None:
    """A bundle that is missing is an error and never a reason to trust anybody; a directory is taken as one."""
    monkeypatch.setenv(name, str(tmp_path / "missing.pem"))
    with serving(replying(200, b"")) as url:
        fails(url.replace("http://", "https://"))
    monkeypatch.setenv(name, str(tmp_path))
    assert transport._trust(str(tmp_path)) == {"ca_cert_dir": str(tmp_path)}
    assert transport._trust("bundle.pem") == {"ca_certs": "bundle.pem"}
    assert transport._trust(None) == {}


def test_an_erasure_behind_an_air_gap_is_shown_its_own_way_out() -> None:
    """What refuses names the command that carries an erasure by file: a mere export would carry the license request."""
    with pytest.raises(TransportError, match="erase --export"):
        NoTransport().erase(b"", {})
