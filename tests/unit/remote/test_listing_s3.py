"""The listing parser: what it reads back, and what it refuses."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.remote.errors import StoreError, StoreErrorKind
from catalog.remote.listing import ListedObject, ListingCursor, ListingPage
from catalog.remote.listing_s3 import parse_page

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
MOMENT = datetime(2026, 11, 22, 18, 17, 55, 707000, tzinfo=UTC)


def entry(key: str, size: object = 1, etag: str = '"e"', extra: str = "") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-22T18:17:55.707Z</LastModified>"
        f"<ETag>{escape(etag)}</ETag><Size>{size}</Size>"
        f"<StorageClass>STANDARD</StorageClass>{extra}</Contents>"
    )


def document(
    inner: str = "", token: str | None = None, encoding: str | None = "url", space: str = NAMESPACE
) -> bytes:
    encoded = f"<EncodingType>{encoding}</EncodingType>" if encoding is not None else ""
    truncated = "false" if token is None else "true"
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult{space}><Name>b</Name>'
        f"<IsTruncated>{truncated}</IsTruncated>{encoded}{following}{inner}</ListBucketResult>"
    ).encode()


def assert_refused(body: bytes, prefix: str = "", max_keys: int = 1000) -> None:
    with pytest.raises(StoreError) as caught:
        parse_page(body, prefix=prefix, max_keys=max_keys)
    assert caught.value.kind is StoreErrorKind.BAD_RESPONSE
    assert caught.value.__context__ is None


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(st.lists(st.tuples(KEYS, st.integers(0, 2**63 - 1)), max_size=20), st.booleans())
def test_encoded_keys_of_any_characters_come_back(
    objects: list[tuple[str, int]], namespaced: bool
) -> None:
    inner = "".join(entry(escape(quote_plus(key, safe="/")), size) for key, size in objects)
    page = parse_page(
        document(inner, space=NAMESPACE if namespaced else ""), prefix="", max_keys=20
    )
    assert page.entries == tuple(
        ListedObject(key, size, "e", MOMENT, "STANDARD") for key, size in objects
    )


LITERAL = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=60,
)


@given(st.lists(LITERAL, max_size=20))
def test_without_the_echo_keys_are_taken_literally(keys: list[str]) -> None:
    inner = "".join(entry(escape(key)) for key in keys)
    page = parse_page(document(inner, encoding=None), prefix="", max_keys=20)
    assert [listed.key for listed in page.entries] == keys


@given(st.binary(max_size=300))
def test_any_bytes_give_a_page_or_the_one_error(noise: bytes) -> None:
    assert_refused(noise)


@given(st.integers(0, 600), st.binary(min_size=1, max_size=4))
def test_a_damaged_page_gives_a_page_or_the_one_error(at: int, damage: bytes) -> None:
    good = document(entry("a%20b") + entry("c"), token="t")
    with contextlib.suppress(StoreError):
        parse_page(good[:at] + damage + good[at + len(damage) :], prefix="", max_keys=5)


def test_an_amazon_page_with_all_its_fields() -> None:
    extra = (
        "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumAlgorithm>SHA1</ChecksumAlgorithm>"
        "<Owner><ID>1</ID></Owner><RestoreStatus><IsRestoreInProgress>false"
        "</IsRestoreInProgress></RestoreStatus>"
    )
    prefixes = "<CommonPrefixes><Prefix>p/sub+dir/</Prefix></CommonPrefixes>"
    page = parse_page(
        document(entry("p/a", extra=extra) + prefixes, token="abc=="), prefix="p/", max_keys=2
    )
    assert page == ListingPage(
        (ListedObject("p/a", 1, "e", MOMENT, "STANDARD"),), True, "abc==", ("p/sub dir/",)
    )


def test_an_rclone_page_with_its_indents_and_bare_etags() -> None:
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3/">\n'
        b"  <IsTruncated>false</IsTruncated>\n  <Contents>\n    <Key>f/a+b%2Bc.bin</Key>\n"
        b"    <LastModified>2026-11-22T18:17:55.707Z</LastModified>\n    <ETag>99</ETag>\n"
        b"    <Size>200000</Size>\n  </Contents>\n  <EncodingType>url</EncodingType>\n"
        b"</ListBucketResult>"
    )
    page = parse_page(body, prefix="f/", max_keys=10)
    assert page.entries == (ListedObject("f/a b+c.bin", 200000, "99", MOMENT, ""),)


def test_a_byte_order_mark_and_missing_fields_are_fine() -> None:
    inner = "<Contents><Key>k</Key><Size>0</Size></Contents>"
    page = parse_page(b"\xef\xbb\xbf" + document(inner), prefix="", max_keys=1)
    assert page.entries == (ListedObject("k", 0, "", None, ""),)


LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10)
)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b"<!DOCTYPE x [" + LAUGHS + b"]><ListBucketResult>&l9;</ListBucketResult>",
            id="billion laughs",
        ),
        pytest.param(
            b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>', id="document type"
        ),
        pytest.param(document("<![CDATA[x]]>"), id="cdata"),
        pytest.param(document("<!-- x -->"), id="comment"),
        pytest.param(document().decode().encode("utf-16"), id="utf-16"),
        pytest.param(document().decode().encode("utf-16-le"), id="utf-16 without a mark"),
        pytest.param(document().replace(b"UTF-8", b"UTF-7"), id="declared utf-7"),
        pytest.param(document().replace(b"UTF-8", b"ISO-8859-1"), id="declared latin-1"),
        pytest.param(document(entry("x")).replace(b"x</Key>", b"\xff</Key>"), id="not utf-8"),
        pytest.param(document(entry("x"))[:-10], id="cut off"),
        pytest.param(document() + b"<x/>", id="two roots"),
        pytest.param(b"", id="empty"),
        pytest.param(b"<html></html>", id="html"),
        pytest.param(document("<a>" * 3000 + "</a>" * 3000), id="deep"),
        pytest.param(document("<a>" * 6 + "</a>" * 6), id="a little too deep"),
        pytest.param(document("<a/>" * 100_000), id="many tags"),
        pytest.param(
            document("<a " + " ".join(f"a{n}='b'" for n in range(100_000)) + "/>"),
            id="many attributes",
        ),
        pytest.param(document("<a>" + " " * 5_000_000 + "</a>"), id="long"),
        pytest.param(document("&unknown;"), id="unknown entity"),
    ],
)
def test_pages_that_attack_the_parser_are_refused(body: bytes) -> None:
    assert_refused(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(document(entry("")), id="empty key"),
        pytest.param(document("<Contents><Size>1</Size></Contents>"), id="no key"),
        pytest.param(document(entry("x", "-1")), id="negative size"),
        pytest.param(document(entry("x", "1e3")), id="size with a letter"),
        pytest.param(document(entry("x", "١")), id="size in other digits"),
        pytest.param(document(entry("x", 2**63)), id="size too large"),
        pytest.param(document(entry("x", "9" * 5000)), id="size too long"),
        pytest.param(document(entry("x", "")), id="no size"),
        pytest.param(document(entry("k" * 1025)), id="long key"),
        pytest.param(document(entry("%C3%A9" * 513)), id="key with too many bytes"),
        pytest.param(document(entry("%FF")), id="key that isn't utf-8"),
        pytest.param(document(entry("%zz")), id="broken escape"),
        pytest.param(document(entry("a%2")), id="cut escape"),
        pytest.param(document(entry("x", extra="<Key>y</Key>")), id="two keys"),
        pytest.param(document(entry("x", extra="<Size>2</Size>")), id="two sizes"),
        pytest.param(document(entry("x", etag="e" * 300)), id="long etag"),
        pytest.param(document(entry("x")).replace(b".707Z", b""), id="time without a zone"),
        pytest.param(document(entry("x")).replace(b"2026-11", b"2026-13"), id="no such month"),
        pytest.param(document(encoding="base64"), id="another encoding type"),
        pytest.param(document().replace(b">false<", b">maybe<"), id="truncated, perhaps"),
        pytest.param(document(token=""), id="truncated without a token"),
        pytest.param(document(token="t" * 9000), id="long token"),
        pytest.param(
            document("<NextContinuationToken>u</NextContinuationToken>", token="t"),
            id="two tokens",
        ),
        pytest.param(document("".join(entry(str(n)) for n in range(1001))), id="too many"),
    ],
)
def test_pages_that_can_t_be_are_refused(body: bytes) -> None:
    assert_refused(body)


@pytest.mark.parametrize("key", ["other/a", "p", "P/a", "%70x/a"])
def test_keys_outside_the_prefix_are_refused(key: str) -> None:
    assert_refused(document(entry("p/a") + entry(key)), prefix="p/")
    prefixes = f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"
    assert_refused(document(prefixes), prefix="p/")


def page_of(token: str | None, entries: int = 1) -> ListingPage:
    listed = ListedObject("k", 1, "", None, "")
    return ListingPage((listed,) * entries, token is not None, token)


def followed(cursor: ListingCursor, token_of: Callable[[int], str | None], most: int) -> int:
    """How many pages the cursor takes before it refuses or ends."""
    for turn in range(most):
        try:
            if cursor.advance(page_of(token_of(turn))) is None:
                return turn + 1
        except StoreError:
            return -turn
    return most


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_listing_that_goes_in_a_circle_is_stopped(lead: int, circle: int) -> None:
    def token(turn: int) -> str:
        return str(turn if turn < lead else lead + (turn - lead) % circle)

    assert followed(ListingCursor(), token, 1000) < 0


def test_a_token_at_once_repeated_is_stopped_at_once() -> None:
    assert followed(ListingCursor(), lambda _: "same", 10) == -1


def test_a_listing_of_many_pages_comes_to_its_end() -> None:
    assert followed(ListingCursor(), lambda n: str(n) if n < 4999 else None, 10_000) == 5000


def test_a_circle_is_noticed_across_a_stored_state() -> None:
    pages = empty = 0
    mark = ""
    for turn in range(20):
        cursor = ListingCursor(pages=pages, empty_pages=empty, mark=mark)
        try:
            cursor.advance(page_of(str(turn % 3)))
        except StoreError:
            return
        pages, empty, mark = cursor.pages, cursor.empty_pages, cursor.mark
    pytest.fail("the circle wasn't noticed")


def test_a_store_that_invents_tokens_is_stopped_by_the_number_of_pages() -> None:
    assert followed(ListingCursor(max_pages=50), str, 1000) == -49
    cursor = ListingCursor(max_empty_pages=5)
    for turn in range(5):
        cursor.advance(page_of(str(turn), entries=0))
    with pytest.raises(StoreError):
        cursor.advance(page_of("5", entries=0))
