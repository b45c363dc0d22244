"""Names, origins, scopes, response headers and page tokens, each against what tries to get by."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.faults import Fault
from signer.app.paging import Page, PageRequest
from signer.domain.credentials import Permission, Scope, ScopeRule
from signer.domain.location import Location, Provider, is_bucket_name, is_origin, key_defect
from signer.domain.names import holder_project, parse_binding, parse_credential, parse_revision
from signer.domain.reasons import Reason
from signer.domain.responses import (
    Disposition,
    is_cache_control,
    is_content_type,
    may_show_inline,
    overrides,
)
from signer.domain.signing import Method

NAME = "projects/acme/bindings/photos"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "photos",
        "projects/acme",
        f"{NAME}/",
        f"/{NAME}",
        f"{NAME}\n",
        f"{NAME}\x00",
        "projects//bindings/photos",
        "projects/Acme/bindings/photos",
        "projects/acme/bindings/..",
        "projects/acme/bindings/-a",
        "projects/acme/bindings/a-",
        "projects/acme/bindings/1a",
        "projects/acme/bindings/ä",
        f"projects/acme/bindings/{'a' * 64}",
        "projects/acme/credentials/photos",
        "projects/acme/bindings/photos/revisions/1",
    ],
)
def test_what_is_no_binding(name: str) -> None:
    assert parse_binding(name) is None


@pytest.mark.parametrize("number", ["0", "01", "-1", "1.0", "1e3", "٣", "9999999999", ""])
def test_what_is_no_revision(number: str) -> None:
    assert parse_revision(f"{NAME}/revisions/{number}") is None


def test_good_names() -> None:
    assert parse_revision(f"{NAME}/revisions/17") == (parse_binding(NAME), 17)
    assert parse_credential("projects/a/credentials/b") is not None
    assert holder_project("projects/acme/buckets/b") == "acme"
    assert holder_project("projects/acme/buckets/b/images/i") is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://minio.example.com",
        "https://minio.example.com/",
        "https://minio.example.com:443",
        "https://minio.example.com:80",
        "https://minio.example.com:65536",
        "https://minio.example.com:09000",
        "https://MINIO.example.com",
        "https://minio.example.com.",
        "https://user@minio.example.com",
        "https://minio.example.com@evil.example.com",
        "https://minio.example.com#x",
        "https://minio.example.com?x",
        "https://minio.example.com\\@evil.com",
        "https://minio",
        "https://127.0.0.1",
        "https://[::1]:9000",
        "https://169.254.169.254",
        "https://2130706433",
        "https://0x7f.1",
        "https://127.1",
        "https://1.2.3.04",
        "https://ⓜinio.example.com",
        "https://a..b",
        "https://-a.example.com",
        "https://*.example.com",
        "https:///minio.example.com",
        " https://minio.example.com",
        "https://minio.example.com\r\n",
        "https://minio.example.com\t",
        "",
    ],
)
def test_what_is_no_origin(origin: str) -> None:
    assert not is_origin(origin)


def test_the_deployment_may_name_origins_literally() -> None:
    allowed = frozenset({"http://127.0.0.1:9000"})
    assert is_origin("http://127.0.0.1:9000", allowed)
    assert not is_origin("http://127.0.0.1:9001", allowed)
    assert is_origin("https://minio.example.com:9000")


@pytest.mark.parametrize(
    "bucket",
    [
        *("ab", "a" * 64, "Photos", "a..b", "a.-b", "a-.b", "192.168.0.1", "-ab", "ab-", "a_b"),
        *("a/b", "arn:aws:s3:::photos", "photos*", "../photos", "photos\n", "phötos", "?xy", ""),
    ],
)
def test_what_is_no_bucket(bucket: str) -> None:
    assert not is_bucket_name(bucket)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_key_below_a_prefix_stays_below_it(prefix: str, key: str) -> None:
    """Whatever is signable has no segment that a client could climb up with."""
    whole = f"{prefix}/{key}"
    if key_defect(whole) is None:
        assert not {".", ".."} & set(whole.split("/"))
        assert all(ord(c) >= 32 and not 0x7F <= ord(c) <= 0x9F for c in whole)
        assert len(whole.encode()) <= 1024


def covers(
    location: Location, rule_prefix: str = "a/", origin: str = "https://s.example.com"
) -> bool:
    rule = ScopeRule(origin, "photos", rule_prefix, frozenset({Permission.READ}))
    return Scope((rule,)).missing(location, frozenset({Permission.READ})) is None


def s3(bucket: str = "photos", prefix: str = "a/", **places: str) -> Location:
    everything = {"endpoint": "https://s.example.com", "region": "eu-west-1"} | places
    return Location(Provider.S3, bucket, prefix=prefix, **everything)  # type: ignore[arg-type]


def test_a_scope_covers_its_own_place_alone() -> None:
    assert covers(s3())
    assert covers(s3(prefix="a/b/"))
    assert not covers(s3(prefix=""))
    assert not covers(s3(prefix="ab/"))
    assert not covers(s3(prefix="A/"))
    assert not covers(s3(bucket="photos2"))
    assert not covers(s3(endpoint=""))
    assert not covers(s3(endpoint="https://s.example.com:9000"))
    assert not covers(s3(public_endpoint="https://evil.example.com"))
    assert covers(s3(public_endpoint="https://s.example.com"))


def test_amazon_is_one_origin_per_partition() -> None:
    amazon = "https://s3.amazonaws.com"
    assert covers(s3(endpoint="", region="us-east-1"), origin=amazon)
    assert not covers(s3(endpoint="", region="cn-north-1"), origin=amazon)
    assert covers(s3(endpoint="", region="cn-north-1"), origin=f"{amazon}.cn")


@pytest.mark.parametrize(
    "kind",
    ["text/html", "image/svg+xml ", "IMAGE/PNG", "image/png; x", "image/png\r\n", "text/xml"],
)
def test_types_off_the_list(kind: str) -> None:
    assert not is_content_type(kind)


@pytest.mark.parametrize(
    "value", ["max-age=1\r\nX: y", "max-age=", "public,,private", "s-maxage=1", "max-age=-1", " "]
)
def test_cache_control_that_is_refused(value: str) -> None:
    assert not is_cache_control(value)
    assert is_cache_control("private, max-age=600, immutable")


def test_only_raster_images_are_shown_in_place() -> None:
    assert may_show_inline("image/png")
    for kind in ("image/svg+xml", "application/pdf", "text/plain", ""):
        assert not may_show_inline(kind)
        made = overrides(Method.GET, kind, Disposition.DEFAULT, "")
        assert made.content_disposition == "attachment"


class TestPageTokens:
    @staticmethod
    def token(list_name: str = "list", last: str = "photos") -> str:
        page = PageRequest(list_name, 1, "").page([last, "more"], lambda item: item)
        assert isinstance(page, Page)
        return page.next_token

    def test_a_token_leads_on(self) -> None:
        assert PageRequest("list", 1, self.token()).cursor() == "photos"
        assert PageRequest("list", 1, self.token(last="17")).number() == 17

    def test_a_token_of_another_list_is_none(self) -> None:
        with pytest.raises(Fault) as caught:
            PageRequest("other", 1, self.token()).cursor()
        assert caught.value.reason == Reason.PAGE_TOKEN_INVALID

    @given(
        st.text(max_size=60) | st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode())
    )
    def test_inventions_are_refused(self, token: str) -> None:
        if token:
            with pytest.raises(Fault) as caught:
                PageRequest("list", 1, token).cursor()
            assert caught.value.reason == Reason.PAGE_TOKEN_INVALID

    @pytest.mark.parametrize("last", ["a\x00", "a'b", "A", "a" * 64, "ä", "../x"])
    def test_a_forged_cursor_is_refused(self, last: str) -> None:
        """The check isn't a secret: who computes it still gets no further than a name would."""
        with pytest.raises(Fault) as caught:
            PageRequest("list", 1, self.token(last=last)).cursor()
        assert caught.value.reason == Reason.PAGE_TOKEN_INVALID

    @pytest.mark.parametrize("last", ["abc", "-1", "9" * 10, "9" * 60])
    def test_a_forged_number_is_refused(self, last: str) -> None:
        with pytest.raises(Fault) as caught:
            PageRequest("list", 1, self.token(last=last)).number()
        assert caught.value.reason == Reason.PAGE_TOKEN_INVALID

    @pytest.mark.parametrize(
        ("asked", "given_out"), [(0, 50), (1, 1), (1000, 1000), (2**31 - 1, 1000)]
    )
    def test_sizes(self, asked: int, given_out: int) -> None:
        assert PageRequest("list", asked, "").limit() == given_out

    def test_a_negative_size_is_refused(self) -> None:
        with pytest.raises(Fault):
            PageRequest("list", -1, "").limit()
