"""Names and page tokens, by property."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.app.keys import is_signable, is_storable
from catalog.app.paging import PageRequest
from catalog.domain import names
from catalog.domain.model import image_id
from catalog.domain.names import BucketRef, ImageRef, OperationRef
from catalog.domain.reasons import Reason
from catalog.storage.records import hash_of_id, id_hasher, prefix_end
from serving.faults import Fault

IDS = st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
LOOSE = st.text(string.ascii_letters + string.digits + "-_./ \n%é", max_size=80)


@given(IDS, IDS, st.text(min_size=1))
def test_good_names_come_back(project: str, bucket: str, key: str) -> None:
    ref = BucketRef(project, bucket)
    image = ImageRef(ref, image_id("u", key.encode("utf-8", "ignore").decode()))
    assert names.parse_project(f"projects/{project}") == project
    assert names.parse_bucket(ref.name) == ref
    assert names.parse_image(image.name) == image
    operation = OperationRef(project, bucket)
    assert names.parse_operation(operation.name) == operation
    assert names.binding_project(f"projects/{project}/bindings/{bucket}") == project


@given(LOOSE)
def test_whatever_is_parsed_is_spelt_the_one_way(text: str) -> None:
    for name in (text, f"projects/{text}", f"projects/a/buckets/{text}"):
        ref = names.parse_bucket(name)
        assert ref is None or (ref.name == name and len(ref.bucket_id) <= 63)
        image = names.parse_image(name)
        assert image is None or image.name == name
        operation = names.parse_operation(name)
        assert operation is None or operation.name == name


@given(st.lists(TEXT, max_size=4), TEXT.filter(lambda t: t and "\0" not in t))
def test_a_token_gives_its_cursor_back(parameters: list[str], cursor: str) -> None:
    token = PageRequest(tuple(parameters), 0, "").after(cursor)
    assert PageRequest(tuple(parameters), 0, token).cursor() == cursor


@given(st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3), TEXT.filter(bool))
def test_a_token_of_another_list_is_refused(one: list[str], other: list[str], cursor: str) -> None:
    token = PageRequest(tuple(one), 0, "").after(cursor)
    if one == other:
        return
    with pytest.raises(Fault) as caught:
        PageRequest(tuple(other), 0, token).cursor()
    assert caught.value.reason == Reason.PAGE_TOKEN_INVALID


@given(st.text(min_size=1))
def test_any_text_is_no_token(token: str) -> None:
    with pytest.raises(Fault):
        PageRequest(("list",), 0, token).cursor()


@given(KEYS, st.data())
def test_a_changed_token_is_refused(cursor: str, data: st.DataObject) -> None:
    token = PageRequest(("list",), 0, "").after(cursor)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters).filter(lambda c: c != token[at]))
    with pytest.raises(Fault):
        PageRequest(("list",), 0, token[:at] + other + token[at + 1 :]).cursor()


@pytest.mark.parametrize(("size", "limit"), [(0, 50), (1, 1), (1000, 1000), (2**31 - 1, 1000)])
def test_page_sizes(size: int, limit: int) -> None:
    assert PageRequest((), size, "").limit == limit


def test_cut() -> None:
    page = PageRequest(("list",), 2, "")
    assert page.cut(["a", "b"], str) == (["a", "b"], "")
    items, token = page.cut(["a", "b", "c"], str)
    assert (items, PageRequest(("list",), 2, token).cursor()) == (["a", "b"], "b")


@given(TEXT, KEYS)
def test_an_image_is_found_by_the_hash_of_its_id(uid: str, key: str) -> None:
    assert hash_of_id(image_id(uid, key)) == id_hasher(uid)(key)


@given(st.text(max_size=40))
def test_no_text_breaks_the_hash(text: str) -> None:
    assert hash_of_id(text) is None or len(text) == 26


@given(KEYS, KEYS)
def test_prefixes_are_ranges_of_bytes(prefix: str, key: str) -> None:
    end = prefix_end(prefix)
    in_range = key.encode() >= prefix.encode() and (end is None or key.encode() < end.encode())
    assert in_range == key.startswith(prefix)
    assert end is None or (prefix + key).encode() < end.encode()


@pytest.mark.parametrize(
    ("key", "signable"),
    [
        ("a/b.jpg", True), ("a..b/.c", True), ("a//b", True), ("é" * 512, True),
        ("é" * 512 + "x", False), ("a/../b", False), (".", False), ("a/.", False),
        ("a\nb", False), ("a\x7f", False), ("a\x85", False), ("\u2028", True), ("", False),
        ("\ud800", False),
    ],
)  # fmt: skip
def test_signable_keys(key: str, signable: bool) -> None:
    assert is_signable(key) == signable


def test_a_prefix_counts_for_a_keys_length() -> None:
    assert is_signable("x" * 1000, "p" * 24)
    assert not is_signable("x" * 1000, "p" * 25)
    assert not is_storable("\ud800")
