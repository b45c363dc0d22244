"""The largest page and the largest batch fit a message, whatever callers and stores put in them."""

from datetime import UTC, datetime, timedelta
from inspect import signature

from google.protobuf.message import Message
from sealmount.catalog.v1 import service_pb2 as catalog_pb2
from sealmount.signer.v1 import service_pb2 as signer_pb2

from catalog.app.keys import MAX_KEY_BYTES
from catalog.app.paging import MAX_PAGE_SIZE
from catalog.app.refusals import MAX_BATCH
from catalog.domain.model import (
    Bucket,
    Counts,
    Health,
    HealthState,
    Image,
    Info,
    InfoState,
    ItemFailure,
    Mode,
    ProbePolicy,
    Source,
    SourceState,
)
from catalog.domain.names import BucketRef, ImageRef
from catalog.domain.ports import Terms, Url
from catalog.remote.probe import MAX_ETAG_CHARS, MAX_VERSION_CHARS
from catalog.transport import writing as catalog
from catalog.transport.reading import MAX_DISPLAY_NAME
from serving.server import ServerConfig
from signer.app.credentials import CredentialView
from signer.app.paging import MAX_PAGE_BYTES
from signer.domain.bindings import MAX_HOLDERS
from signer.domain.credentials import (
    MAX_CONSUMER_PROJECTS,
    MAX_SCOPE_RULES,
    Credential,
    CredentialState,
    Permission,
    Scope,
    ScopeRule,
)
from signer.domain.location import Location, Provider
from signer.domain.signing import Audience, Instant, Method, ObjectIntent, ResponseOverrides
from signer.transport import writing as signer
from tests.fakes.s3signing import AccessKey, s3_signer

LIMIT: int = signature(ServerConfig).parameters["max_send_bytes"].default
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ID = "a" * 63
REF = BucketRef(ID, ID)
BINDING = f"projects/{ID}/bindings/{ID}"
# The longest that a key becomes, in an answer and in a URL.
KEY = "é" * (MAX_KEY_BYTES // 2)
HOST = ".".join(["h" * 63] * 3 + ["h" * 60])
IMAGE = Image(
    "a" * 26,
    KEY,
    Source(
        SourceState.AVAILABLE, 2**62, "e" * MAX_ETAG_CHARS, "v" * MAX_VERSION_CHARS, 2**62, NOW, NOW
    ),
    Info(InfoState.NOT_AN_IMAGE, "R" * 64, "image/svg+xml", 2**31 - 1, 2**31 - 1, 8),
    True,
    NOW,
    NOW,
)
BUCKET = Bucket(
    ID,
    ID,
    "a" * 32,
    BINDING,
    Mode.LINK,
    ProbePolicy.HEADERS,
    "\U0001f5bc" * MAX_DISPLAY_NAME,
    "e" * 16,
    NOW,
    NOW,
    Health(HealthState.UNREACHABLE, "R" * 64, NOW),
    Counts(*[2**62] * 6),
)


def _fits(message: Message) -> None:
    assert message.ByteSize() < LIMIT


def test_pages_of_the_catalog() -> None:
    _fits(catalog_pb2.ListBucketsResponse(buckets=[catalog.bucket(BUCKET)] * MAX_PAGE_SIZE))
    images = [catalog.image(REF, IMAGE)] * MAX_PAGE_SIZE
    _fits(catalog_pb2.ListImagesResponse(images=images))
    _fits(catalog_pb2.BatchGetImagesResponse(images=images))
    failed = ItemFailure(KEY, "a" * 26, "R" * 64, "m" * 300, 599, "c" * 256, NOW)
    failures = [catalog.failure(BUCKET.name, failed)] * MAX_PAGE_SIZE
    _fits(catalog_pb2.ListOperationFailuresResponse(failures=failures))


def test_a_batch_of_urls_in_both_services() -> None:
    """With a session token as long as it may be, every character of it escaped."""
    location = Location(Provider.S3, "b" * 63, "eu-west-1", f"https://{HOST}", path_style=True)
    overrides = ResponseOverrides("image/svg+xml", "attachment", ", ".join(["must-revalidate"] * 8))
    key = AccessKey("A" * 128, "s" * 256, "/" * 4096)
    day = Instant(NOW.replace(microsecond=0), 604_800)
    make = s3_signer(location, key, NOW).objects(
        ObjectIntent(Method.GET, Audience.PUBLIC, day, overrides)
    )
    url = make(KEY, "+" * MAX_VERSION_CHARS)
    assert len(url) > 12_288 + 2 * 3_072
    _fits(signer_pb2.BatchSignObjectUrlsResponse(outcomes=signer.outcomes([url] * MAX_BATCH)))
    shown = catalog.url_outcome(ImageRef(REF, "a" * 26).name, Url(url=url))
    terms = Terms(
        "GET", {"x-amz-request-payer": "requester"}, NOW, NOW, f"{BINDING}/revisions/9", 9
    )
    _fits(
        catalog_pb2.BatchGetImageUrlsResponse(
            outcomes=[shown] * MAX_BATCH, terms=catalog.terms(terms)
        )
    )


def test_a_page_of_the_signer_is_cut_where_its_items_are_large() -> None:
    rule = ScopeRule(f"https://{HOST}:65535", "b" * 63, f"{KEY[:-1]}/", frozenset(Permission))
    consumers = frozenset(f"{number:a>63}" for number in range(MAX_CONSUMER_PROJECTS))
    credential = Credential(
        ID,
        ID,
        "u" * 32,
        "aws_access_key",
        "S3",
        "AKIA…MPLE",
        CredentialState.ENABLED,
        Scope((rule,) * MAX_SCOPE_RULES, consumers),
        NOW,
        NOW,
        NOW + timedelta(days=1),
    )
    view = signer.credential(CredentialView(credential, (BINDING,) * 1000, NOW))
    holders = MAX_HOLDERS * (len(f"projects/{ID}/buckets/{ID}") + 3)
    assert view.ByteSize() * MAX_PAGE_SIZE > LIMIT  # why it has to be cut
    # The item that goes beyond is left out, unless it is the only one.
    assert max(view.ByteSize(), holders + 8192) < LIMIT - MAX_PAGE_BYTES
