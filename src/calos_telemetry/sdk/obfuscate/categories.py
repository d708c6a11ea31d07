"""Exception or status to the category of a failure: by class first, by the words of its name and text last.

Classes are known by module and name along the method resolution order, so that no library has to be imported to be
recognised, and a subclass that an application wrote is what its base is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from calos_telemetry.sdk.obfuscate.boundary import FAILURES

DATABASE: Final = "database"
NETWORK: Final = "network"
TIMEOUT: Final = "timeout"
VALIDATION: Final = "validation"
AUTHENTICATION: Final = "authentication"
PAYMENT: Final = "payment"
API: Final = "api"
OTHER: Final = "other"

_BY_CLASS_TABLE: Final = {
    TIMEOUT: """
        builtins.TimeoutError requests.ConnectTimeout asyncio.TimeoutError asyncio.exceptions.TimeoutError concurrent.futures.TimeoutError
        concurrent.futures._base.TimeoutError socket.timeout subprocess.TimeoutExpired requests.Timeout urllib3.TimeoutError
        httpx.TimeoutException httpcore.TimeoutException aiohttp.ServerTimeoutError psycopg.QueryCanceled
        psycopg.LockNotAvailable psycopg2.QueryCanceled psycopg2.LockNotAvailable sqlalchemy.TimeoutError
        redis.TimeoutError pymongo.NetworkTimeout pymongo.ExecutionTimeout pymongo.ServerSelectionTimeoutError
        pymongo.WTimeoutError celery.TimeLimitExceeded celery.SoftTimeLimitExceeded billiard.TimeLimitExceeded
        billiard.SoftTimeLimitExceeded grpc.FutureTimeoutError botocore.ReadTimeoutError botocore.ConnectTimeoutError
        pika.ConnectionBlockedTimeout elasticsearch.ConnectionTimeout elastic_transport.ConnectionTimeout
        playwright.TimeoutError selenium.TimeoutException anyio.TimeoutError trio.TooSlowError zmq.Again
        django_redis.ConnectionInterrupted psycopg_pool.PoolTimeout
    """,
    DATABASE: """
        sqlite3.Error sqlalchemy.SQLAlchemyError psycopg.Error psycopg2.Error asyncpg.PostgresError asyncpg.InterfaceError
        pymysql.MySQLError MySQLdb.MySQLError mysql.Error oracledb.Error cx_Oracle.Error pyodbc.Error pymssql.Error
        duckdb.Error clickhouse_connect.Error clickhouse_driver.Error django.db.Error django.db.DatabaseError
        django.core.exceptions.ObjectDoesNotExist django.core.exceptions.MultipleObjectsReturned peewee.PeeweeException
        pony.OrmError tortoise.BaseORMException pymongo.PyMongoError bson.BSONError redis.RedisError valkey.ValkeyError
        aioredis.RedisError cassandra.DriverException neo4j.DriverError neo4j.Neo4jError elasticsearch.ApiError
        elasticsearch.ElasticsearchException opensearchpy.OpenSearchException mongoengine.MongoEngineException
        odmantic.BaseEngineException alembic.CommandError lmdb.Error leveldb.LevelDBError influxdb.InfluxDBClientError
        google.cloud.spanner.SpannerError adbc_driver_manager.Error dbm.error django.core.exceptions.FieldError
        django.core.exceptions.EmptyResultSet django.db.migrations.NodeNotFoundError
    """,
    NETWORK: """
        builtins.ConnectionError socket.gaierror socket.herror ssl.SSLError urllib.error.URLError http.client.HTTPException
        requests.ConnectionError requests.ChunkedEncodingError requests.TooManyRedirects urllib3.HTTPError
        httpx.TransportError httpcore.NetworkError httpcore.ProtocolError httpcore.ProxyError aiohttp.ClientConnectionError
        aiohttp.ClientPayloadError aiohttp.ServerDisconnectedError websockets.WebSocketException
        websocket.WebSocketException smtplib.SMTPException imaplib.IMAP4.error poplib.error_proto ftplib.Error
        paramiko.SSHException pika.AMQPError kombu.OperationalError aio_pika.AMQPError amqp.AMQPError kafka.KafkaError
        confluent_kafka.KafkaException nats.Error grpc.RpcError dns.DNSException h2.H2Error h11.ProtocolError
        botocore.HTTPClientError botocore.EndpointConnectionError elastic_transport.TransportError zmq.ZMQError
        anyio.BrokenResourceError trio.BrokenResourceError asyncio.IncompleteReadError
        asyncio.exceptions.IncompleteReadError uvicorn.ClientDisconnected starlette.ClientDisconnect
        starlette.WebSocketDisconnect twisted.internet.error.ConnectionLost
        urllib3.NewConnectionError httpx.TooManyRedirects anyio.EndOfStream anyio.ClosedResourceError
    """,
    AUTHENTICATION: """
        builtins.PermissionError django.core.exceptions.PermissionDenied django.core.exceptions.SuspiciousOperation
        rest_framework.AuthenticationFailed rest_framework.NotAuthenticated rest_framework.PermissionDenied
        jwt.PyJWTError jose.JOSEError authlib.AuthlibBaseError oauthlib.OAuth2Error oauthlib.OAuth1Error
        requests_oauthlib.TokenMissing google.auth.GoogleAuthError msal.MsalError social_core.AuthException
        allauth.OAuth2Error itsdangerous.BadData flask_jwt_extended.JWTExtendedException fastapi_users.FastAPIUsersException
        ldap3.LDAPException ldap.LDAPError passlib.PasslibSecurityError argon2.VerificationError webauthn.WebAuthnException
        cryptography.InvalidSignature cryptography.InvalidToken werkzeug.Unauthorized werkzeug.Forbidden
        litestar.NotAuthorizedException litestar.PermissionDeniedException botocore.NoCredentialsError
        smtplib.SMTPAuthenticationError paramiko.AuthenticationException asyncpg.InvalidPasswordError
        asyncpg.InvalidAuthorizationSpecificationError redis.AuthenticationError aiohttp.web.HTTPUnauthorized
        aiohttp.web.HTTPForbidden aiohttp.web_exceptions.HTTPUnauthorized aiohttp.web_exceptions.HTTPForbidden
        pysaml2.SAMLError onelogin.OneLogin_Saml2_Error django.core.signing.BadSignature
    """,
    VALIDATION: """
        pydantic.ValidationError pydantic_core.ValidationError pydantic_core._pydantic_core.ValidationError
        fastapi.ValidationException fastapi.RequestValidationError django.core.exceptions.ValidationError
        django.core.exceptions.BadRequest rest_framework.ValidationError rest_framework.ParseError marshmallow.MarshmallowError
        msgspec.MsgspecError attrs.NotAnAttrsClassError cattrs.BaseValidationError jsonschema.ValidationError
        jsonschema._Error cerberus.DocumentError voluptuous.Invalid colander.Invalid wtforms.ValidationError
        schema.SchemaError email_validator.EmailNotValidError phonenumbers.NumberParseException json.JSONDecodeError
        json.decoder.JSONDecodeError tomllib.TOMLDecodeError yaml.YAMLError xml.ParseError lxml.LxmlError csv.Error _csv.Error
        builtins.UnicodeError werkzeug.BadRequest litestar.ValidationException starlette.MultiPartException
        decimal.InvalidOperation zipfile.BadZipFile binascii.Error dateutil.ParserError ninja.ValidationError
        django.core.exceptions.TooManyFilesSent django.core.exceptions.TooManyFieldsSent django.core.exceptions.RequestDataTooBig
        django.http.MultiPartParserError django.utils.datastructures.MultiValueDictKeyError werkzeug.UnprocessableEntity
        werkzeug.RequestEntityTooLarge werkzeug.UnsupportedMediaType configparser.Error email.errors.MessageParseError struct.error
        zlib.error gzip.BadGzipFile lzma.LZMAError _lzma.LZMAError tarfile.TarError ipaddress.AddressValueError ipaddress.NetmaskValueError
        argparse.ArgumentError argparse.ArgumentTypeError click.UsageError PIL.UnidentifiedImageError
    """,
    PAYMENT: """
        stripe.StripeError stripe.error.StripeError braintree.BraintreeError paypalrestsdk.PayPalError
        paypalhttp.HttpError adyen.AdyenError Adyen.AdyenError square.ApiError mollie.Error razorpay.Error plaid.ApiException
        gocardless_pro.GoCardlessProError paddle_billing.ApiError chargebee.APIError recurly.ApiError payments.PaymentError
        djstripe.StripeObjectManipulationException authorizenet.Error oscar.PaymentError klarna.Error
    """,
    API: """
        requests.RequestException httpx.HTTPStatusError httpx.HTTPError aiohttp.ClientError urllib.error.HTTPError
        starlette.HTTPException fastapi.HTTPException werkzeug.HTTPException rest_framework.APIException django.http.Http404
        litestar.HTTPException aiohttp.web.HTTPException aiohttp.web_exceptions.HTTPException tornado.HTTPError
        falcon.HTTPError sanic.SanicException bottle.HTTPResponse botocore.ClientError boto3.Boto3Error
        google.api_core.GoogleAPIError googleapiclient.HttpError azure.core.AzureError github.GithubException
        slack_sdk.SlackApiError twilio.TwilioException openai.OpenAIError anthropic.AnthropicError graphql.GraphQLError
        gql.TransportError zeep.Error kubernetes.ApiException docker.APIError elasticsearch.TransportError
    """,
}


def _by_class() -> dict[tuple[str, str], str]:
    """Map (package or module, class) to its category."""
    table: dict[tuple[str, str], str] = {}
    for category, names in _BY_CLASS_TABLE.items():
        for name in names.split():
            module, _, class_name = name.rpartition(".")
            table[module, class_name] = category
    return table


_BY_CLASS: Final = _by_class()
_WORDS: Final = (
    (TIMEOUT, re.compile(r"time[ds]?[ -]?out|deadline exceeded|took too long", re.IGNORECASE)),
    (PAYMENT, re.compile(r"payment|card (?:was )?declined|insufficient funds|chargeback|refund|checkout|billing", re.IGNORECASE)),
    (
        AUTHENTICATION,
        re.compile(
            r"unauthori[sz]ed|unauthenticated|not authenticated|authenticat|forbidden|permission denied|access denied"
            r"|not (?:allowed|permitted)|invalid (?:credential|token|password|signature)|(?:token|session) (?:has )?expired"
            r"|login|csrf|jwt|oauth",
            re.IGNORECASE,
        ),
    ),
    (
        DATABASE,
        re.compile(
            r"database|deadlock|duplicate key|foreign key|constraint|unique violation|relation .{1,80} does not exist"
            r"|no such (?:table|column)|\bsql(?:ite|state)?\b|postgres|mysql|mongo|redis|transaction (?:was )?aborted",
            re.IGNORECASE,
        ),
    ),
    (
        NETWORK,
        re.compile(
            r"connection|connect(?:ing)? to|network|unreachable|broken pipe|reset by peer|name or service|name resolution"
            r"|getaddrinfo|\bdns\b|\bssl\b|\btls\b|certificate|socket|handshake|proxy error|econn",
            re.IGNORECASE,
        ),
    ),
    (
        VALIDATION,
        re.compile(
            r"validat|invalid|malformed|must be|required (?:field|parameter|argument)|is required|out of range|not a valid"
            r"|cannot parse|could not (?:parse|convert|decode)|unexpected (?:token|character|end)|schema",
            re.IGNORECASE,
        ),
    ),
    (API, re.compile(r"\bapi\b|rate limit|too many requests|bad gateway|service unavailable|\b[45]\d\d\b|http error", re.IGNORECASE)),
)  # fmt: skip
_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST_TEXT: Final = 500
_STATUS: Final = {
    400: VALIDATION,
    401: AUTHENTICATION,
    402: PAYMENT,
    403: AUTHENTICATION,
    407: AUTHENTICATION,
    408: TIMEOUT,
    411: VALIDATION,
    413: VALIDATION,
    415: VALIDATION,
    422: VALIDATION,
    502: NETWORK,
    504: TIMEOUT,
    511: AUTHENTICATION,
}
_FIRST_FAILURE: Final = 400
_LAST_STATUS: Final = 599


def categorise(error: object) -> str:
    """Return the category of an exception: its class decides, then the words of its name, then those of its text."""
    try:
        kind: Any = type(error)
        if not issubclass(kind, BaseException):
            return OTHER
        return _category_of_class(kind) or _category_of_text(_text_of(error))
    except Exception:  # noqa: BLE001  the boundary: whatever an exception's class does, it has a category
        FAILURES["categorise"] += 1
        return OTHER


def categorise_status(status: object) -> str:
    """Return the category of an HTTP status of 400 and above; a failure without a better one is the ``api``'s."""
    if type(status) is not int or not _FIRST_FAILURE <= status <= _LAST_STATUS:
        return OTHER
    return _STATUS.get(status, API)


@lru_cache(maxsize=1024)
def _category_of_class(error: type[BaseException]) -> str | None:
    """Find the category of the nearest known class; the name of an application's own subclass goes before it.

    ``CardDeclined(APIException)`` is about a payment, but ``sqlalchemy.InvalidRequestError`` is no invalid input.
    """
    known, library = next(
        ((category, _package(base)) for base in error.__mro__ if (category := _known(base))), (None, "builtins")
    )
    for base in error.__mro__:
        if _package(base) in (library, "builtins"):
            break
        if spoken := _in_words(_WORD_START.sub(" ", base.__name__)):
            return spoken
    return known


def _package(base: type) -> str:
    return str(base.__module__).partition(".")[0]


def _known(base: type) -> str | None:
    """Look a class up under its module and every package above it: most libraries raise from a private module."""
    module = str(base.__module__)
    while module:
        category = _BY_CLASS.get((module, base.__name__))
        if category is not None:
            return category
        module = module.rpartition(".")[0]
    return None


def _text_of(error: object) -> str:
    """Join the texts among an exception's arguments, without calling any method of a foreign class."""
    args = BaseException.args.__get__(error)  # type: ignore[attr-defined]  # a slot of the C structure
    return " ".join(argument[:_LONGEST_TEXT] for argument in args[:4] if type(argument) is str)


def _category_of_text(text: str) -> str:
    return _in_words(text) or OTHER


def _in_words(text: str) -> str | None:
    """Return the first category whose words the text contains."""
    return next((category for category, words in _WORDS if words.search(text)), None)
