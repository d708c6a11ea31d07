from __future__ import annotations

import argparse
import configparser
import csv
import json
import socket
import sqlite3
import ssl
import struct
import tarfile
import urllib.error
import zlib
from typing import Any, cast

import pytest
import sqlalchemy.exc
import urllib3.exceptions
from django.core.exceptions import FieldError, RequestDataTooBig
from django.core.signing import BadSignature
from django.http.multipartparser import MultiPartParserError
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract.events import CATEGORIES
from calos_telemetry.sdk.obfuscate.categories import categorise, categorise_status


def _of(module: str, name: str, *bases: type[BaseException]) -> type[BaseException]:
    """Stand in for a class of a library that need not be installed: what counts is where it says it comes from."""
    return type(name, bases or (Exception,), {"__module__": module})


STRIPE = _of("stripe._error", "StripeError")
REQUESTS = _of("requests.exceptions", "RequestException", OSError)
REQUESTS_CONNECTION = _of("requests.exceptions", "ConnectionError", REQUESTS)
REQUESTS_TIMEOUT = _of("requests.exceptions", "Timeout", REQUESTS)
API_EXCEPTION = _of("rest_framework.exceptions", "APIException")
DJANGO_ERROR = _of("django.db.utils", "Error")


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (sqlite3.OperationalError("x"), "database"),
        (sqlalchemy.exc.IntegrityError("", {}, Exception()), "database"),
        (sqlalchemy.exc.InvalidRequestError("x"), "database"),
        (sqlalchemy.exc.TimeoutError("x"), "timeout"),
        (_of("django.db.utils", "IntegrityError", DJANGO_ERROR)("x"), "database"),
        (_of("pymongo.errors", "DuplicateKeyError", _of("pymongo.errors", "PyMongoError"))("x"), "database"),
        (_of("redis.exceptions", "ResponseError", _of("redis.exceptions", "RedisError"))("x"), "database"),
        (_of("psycopg.errors", "UniqueViolation", _of("psycopg", "Error"))("x"), "database"),
        (csv.Error("x"), "validation"),
        (struct.error("x"), "validation"),
        (zlib.error("x"), "validation"),
        (tarfile.ReadError("x"), "validation"),
        (configparser.ParsingError("x"), "validation"),
        (argparse.ArgumentTypeError("x"), "validation"),
        (FieldError("x"), "database"),
        (BadSignature("x"), "authentication"),
        (RequestDataTooBig("x"), "validation"),
        (MultiPartParserError("x"), "validation"),
        (urllib3.exceptions.NewConnectionError(cast("Any", None), "x"), "network"),
        (
            _of("psycopg_pool", "PoolTimeout", _of("psycopg", "OperationalError", _of("psycopg", "Error")))("x"),
            "timeout",
        ),
        (TimeoutError("x"), "timeout"),
        (TimeoutError(), "timeout"),
        (_of("requests.exceptions", "ReadTimeout", REQUESTS_TIMEOUT)("x"), "timeout"),
        (_of("requests.exceptions", "ConnectTimeout", REQUESTS_CONNECTION, REQUESTS_TIMEOUT)("x"), "timeout"),
        (_of("httpx", "PoolTimeout", _of("httpx", "TimeoutException"))("x"), "timeout"),
        (ConnectionResetError("x"), "network"),
        (socket.gaierror("x"), "network"),
        (ssl.SSLError("x"), "network"),
        (urllib.error.URLError("x"), "network"),
        (urllib3.exceptions.ProtocolError("x"), "network"),
        (
            _of("aiohttp.client_exceptions", "ClientConnectorError", _of("aiohttp", "ClientConnectionError"))("x"),
            "network",
        ),
        (_of("pydantic_core._pydantic_core", "ValidationError", ValueError)("x"), "validation"),
        (
            _of("marshmallow.exceptions", "ValidationError", _of("marshmallow.exceptions", "MarshmallowError"))(),
            "validation",
        ),
        (_of("rest_framework.exceptions", "ValidationError", API_EXCEPTION)("x"), "validation"),
        (json.JSONDecodeError("x", "", 0), "validation"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "x"), "validation"),
        (PermissionError("x"), "authentication"),
        (_of("rest_framework.exceptions", "NotAuthenticated", API_EXCEPTION)("x"), "authentication"),
        (_of("jwt.exceptions", "ExpiredSignatureError", _of("jwt.exceptions", "PyJWTError"))("x"), "authentication"),
        (_of("stripe._error", "CardError", STRIPE)("x"), "payment"),
        (urllib.error.HTTPError("", 500, "", None, None), "api"),  # type: ignore[arg-type]
        (_of("rest_framework.exceptions", "Throttled", API_EXCEPTION)("x"), "api"),
        (_of("starlette.exceptions", "HTTPException")(404), "api"),
        (_of("shop.errors", "CardDeclined", API_EXCEPTION)("x"), "payment"),
        (_of("shop.errors", "InvalidOrder")("x"), "validation"),
        (_of("shop.errors", "UpstreamTimeout", ValueError)("x"), "timeout"),
        (ValueError("request timed out after 30 s"), "timeout"),
        (RuntimeError("deadlock detected"), "database"),
        (Exception("connection refused by db.internal"), "network"),
        (ValueError("invalid literal for int() with base 10: 'x'"), "validation"),
        (Exception("payment declined"), "payment"),
        (Exception("HTTP error 503"), "api"),
        (KeyError("name"), "other"),
        (ZeroDivisionError("division by zero"), "other"),
        (KeyboardInterrupt(), "other"),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}" if isinstance(value, BaseException) else value,
)
def test_class_first_text_last(error: BaseException, category: str) -> None:
    """The class decides through every base, an application's own name goes before its base's, text comes last."""
    assert categorise(error) == category


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, "validation"),
        (401, "authentication"),
        (402, "payment"),
        (403, "authentication"),
        (404, "api"),
        (408, "timeout"),
        (422, "validation"),
        (429, "api"),
        (500, "api"),
        (502, "network"),
        (504, "timeout"),
        (200, "other"),
        (-1, "other"),
        (10**30, "other"),
        (None, "other"),
        ("500", "other"),
        (True, "other"),
    ],
)
def test_status(status: object, category: str) -> None:
    """A failing status has a category; anything that is no failing status is other."""
    assert categorise_status(status) == category


class _Hostile(Exception):  # noqa: N818  named for what it does
    def __str__(self) -> str:
        raise RuntimeError

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)


def test_hostile_exceptions_have_a_category() -> None:
    """No method of a foreign exception is called, not even to read its arguments."""
    assert categorise(_Hostile("connection lost", object())) == "network"


@given(st.text() | st.none() | st.integers() | st.lists(st.text()))
def test_anything_has_a_category(anything: object) -> None:
    """Whatever is thrown at it, the answer is one of the eight."""
    assert categorise(anything) in CATEGORIES
    assert categorise(Exception(anything)) in CATEGORIES
