"""Which addresses, origins and URLs are refused before anything is sent."""

import ipaddress
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.remote.addresses import Reach, reach
from catalog.remote.targets import RefusedUrl, StorePolicy, parse_origin, parse_url

CASES = json.loads(Path(__file__).with_name("ssrf_cases.json").read_text())
NOTHING_LISTED = StorePolicy()


@pytest.mark.parametrize("origin", CASES["origins"])
def test_origins_of_the_corpus_are_refused(origin: str) -> None:
    with pytest.raises(RefusedUrl):
        parse_origin(origin, NOTHING_LISTED)


@pytest.mark.parametrize("tail", CASES["tails"])
def test_urls_that_clients_would_rewrite_are_refused(tail: str) -> None:
    with pytest.raises(RefusedUrl):
        parse_url(f"https://s3.example.com{tail}", NOTHING_LISTED)


def test_a_url_too_long_to_be_a_store_s_is_refused() -> None:
    with pytest.raises(RefusedUrl):
        parse_url("https://s3.example.com/" + "k" * 16_384, NOTHING_LISTED)


@pytest.mark.parametrize(
    "origin",
    [
        "https://s3.amazonaws.com",
        "https://s3.example.com:1024",
        "https://s3.example.com:65535",
        "https://a-bucket.s3.eu-west-1.amazonaws.com",
        "https://xn--bcher-kva.example",
    ],
)
def test_a_store_s_origin_is_taken_apart(origin: str) -> None:
    target = parse_origin(origin, NOTHING_LISTED)
    assert target.origin == origin
    assert (target.scheme, target.tail, target.listed) == ("https", "", False)
    assert parse_url(f"{origin}/a//b/%2E%2E/c+d?x=%7E", NOTHING_LISTED).tail == (
        "/a//b/%2E%2E/c+d?x=%7E"
    )


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:9000", "http://[::1]:9000", "http://minio", "https://minio.internal:22"],
)
def test_a_listed_origin_is_allowed_exactly(origin: str) -> None:
    policy = StorePolicy(frozenset({origin}))
    assert parse_url(f"{origin}/k", policy).listed
    with pytest.raises(RefusedUrl):
        parse_url(f"{origin}1/k", policy)
    with pytest.raises(RefusedUrl):
        parse_url(f"{origin}/k#f", policy)


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:9000/", "127.0.0.1:9000", "http://a b", "http://a:80", "http://[::0001]"],
)
def test_a_listed_origin_must_be_canonical(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        StorePolicy(frozenset({origin}))


METADATA = ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"]


@pytest.mark.parametrize("address", [*METADATA, "fd00:ec2::254", "fd20:ce::254"])
def test_metadata_services_are_nobody_s_store(address: str) -> None:
    assert reach(address) is Reach.FORBIDDEN


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "169.254.1.1", "192.0.2.1", "198.18.0.1", "198.51.100.7"),
        *("203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "2001:db8::1"),
        *("3fff::1", "2001::1", "2001:10::1", "2002:5db8:d822::1", "64:ff9b:1::5db8:d822"),
        *("::93.184.216.34", "::ffff:0:93.184.216.34", "4000::1", "5f00::1"),
        *("", "localhost", "0177.0.0.1", "2130706433", "0x7f.1", "127.1", "1.2.3.4 "),
    ],
)
def test_what_no_store_lives_on_is_forbidden(address: str) -> None:
    assert reach(address) is Reach.FORBIDDEN


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "100.64.0.1", "127.0.0.1", "172.31.0.1", "192.168.1.1", "::1", "fd12::1"],
)
def test_the_deployment_s_own_network_is_private(address: str) -> None:
    assert reach(address) is Reach.PRIVATE


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "172.32.0.1", "2606:2800:220:1::1", "::ffff:93.184.216.34"],
)
def test_everybody_s_addresses_are_public(address: str) -> None:
    assert reach(address) is Reach.PUBLIC


@pytest.mark.parametrize("inner", [*METADATA, "10.0.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0"])
def test_no_ipv6_form_makes_a_bad_ipv4_address_public(inner: str) -> None:
    value = int(ipaddress.IPv4Address(inner))
    forms = [
        0xFFFF << 32 | value,
        value,
        0xFFFF << 48 | value,
        0x64FF9B << 96 | value,
        0x64FF9B << 96 | 1 << 80 | value,
        0x2002 << 112 | value << 80,
        0x20010000 << 96 | value << 64,
        0x20010000 << 96 | (value ^ 0xFFFFFFFF),
        0x26062800 << 96 | 0x5EFE << 32 | value,
        0x26062800 << 96 | 0x02005EFE << 32 | value,
    ]
    for form in forms:
        assert reach(str(ipaddress.IPv6Address(form))) is not Reach.PUBLIC, hex(form)


@given(st.ip_addresses(v=6).filter(lambda address: not address.is_global))
def test_what_the_registries_don_t_call_global_isn_t_public(address: ipaddress.IPv6Address) -> None:
    mapped = address.ipv4_mapped
    assert mapped is not None or reach(str(address)) is not Reach.PUBLIC


@given(st.ip_addresses(v=4).filter(lambda address: not address.is_global or address.is_multicast))
def test_nor_is_an_ipv4_address(address: ipaddress.IPv4Address) -> None:
    assert reach(str(address)) is not Reach.PUBLIC


@given(st.text(max_size=40))
def test_any_text_is_judged(text: str) -> None:
    assert reach(text) in Reach
    with pytest.raises(RefusedUrl):
        parse_origin(text, NOTHING_LISTED)
