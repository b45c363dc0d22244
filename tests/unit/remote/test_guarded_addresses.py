"""Where the guarded client connects to: to a vetted address with a checked name, or nowhere."""

import json
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult

from catalog.remote.errors import AddressRefusedError, StoreError, StoreErrorKind
from catalog.remote.gate import Gate
from catalog.remote.guarded import StoreHttp
from catalog.remote.targets import StorePolicy, parse_origin
from tests.unit.remote.authority import Authority
from tests.unit.remote.servers import PUBLIC_ADDRESS, RawServer, TableResolver, Wires, always, reply

CASES = json.loads(Path(__file__).with_name("ssrf_cases.json").read_text())
HOST = "store.example.com"
OK = reply(200, b"bytes")
OK_AND_CLOSE = reply(200, b"bytes", [("Connection", "close")])


async def get(http: StoreHttp, url: str) -> bytes:
    return (await http.fetch("GET", url, max_bytes=1000, seconds=5)).body


async def refusal(http: StoreHttp, url: str) -> StoreErrorKind:
    with pytest.raises(StoreError) as caught:
        await get(http, url)
    return caught.value.kind


@pytest.mark.parametrize("origin", [o for o in CASES["origins"] if not o.endswith("/path")])
async def test_nothing_is_looked_up_for_a_refused_url(origin: str) -> None:
    resolver = TableResolver({})
    async with StoreHttp(resolver=resolver) as http:
        assert await refusal(http, f"{origin}/k") is StoreErrorKind.REFUSED_URL
    assert resolver.asked == []


async def test_a_public_store_is_reached_at_the_vetted_address_under_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority = Authority()
    names: list[str | None] = []
    resolver = TableResolver({HOST: [[PUBLIC_ADDRESS]]})
    async with (
        RawServer(always(OK), authority.server(HOST, names)) as server,
        StoreHttp(resolver=resolver, ssl_context=authority.trust()) as http,
    ):
        wires = Wires(monkeypatch, server.port)
        assert await get(http, f"https://{HOST}/k") == b"bytes"
        assert await get(http, f"https://{HOST}/k") == b"bytes"
        assert server.seen[0].headers["host"] == HOST
    assert names == [HOST]
    assert wires.addresses == [PUBLIC_ADDRESS]
    assert resolver.asked == [HOST], "one look-up per connection"


@pytest.mark.parametrize("case", ["another name", "another authority"])
async def test_a_certificate_that_isn_t_the_store_s_ends_it(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    issuer = Authority() if case == "another authority" else authority
    certified = "other.example.com" if case == "another name" else HOST
    resolver = TableResolver({HOST: [[PUBLIC_ADDRESS]]})
    async with (
        RawServer(always(OK), issuer.server(certified)) as server,
        StoreHttp(resolver=resolver, ssl_context=authority.trust()) as http,
    ):
        Wires(monkeypatch, server.port)
        assert await refusal(http, f"https://{HOST}/k") is StoreErrorKind.TLS
    assert server.seen == []


async def test_a_listed_private_store_keeps_its_certificate_check() -> None:
    authority = Authority()
    resolver = TableResolver({"minio.lan": [["127.0.0.1"]], HOST: [["127.0.0.1"]]})
    async with RawServer(always(OK), authority.server("minio.lan")) as server:
        good, bad = f"https://minio.lan:{server.port}", f"https://{HOST}:{server.port}"
        async with StoreHttp(
            StorePolicy(frozenset({good, bad})),
            resolver=resolver,
            ssl_context=authority.trust(),
        ) as http:
            assert await get(http, f"{good}/k") == b"bytes"
            assert await refusal(http, f"{bad}/k") is StoreErrorKind.TLS


def test_a_context_that_checks_nothing_isn_t_taken() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="host names"):
        StoreHttp(ssl_context=context)


async def test_a_name_that_moves_inside_is_refused_at_the_next_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES["answers"][0]
    authority = Authority()
    resolver = TableResolver({case["host"]: case["answers"]})
    async with (
        RawServer(always(OK_AND_CLOSE), authority.server(case["host"])) as server,
        StoreHttp(resolver=resolver, ssl_context=authority.trust()) as http,
    ):
        wires = Wires(monkeypatch, server.port)
        url = f"https://{case['host']}/k"
        assert await get(http, url) == b"bytes"
        assert resolver.asked == [case["host"]], "nothing is looked up a second time"
        assert await refusal(http, url) is StoreErrorKind.REFUSED_ADDRESS
    assert wires.addresses == [PUBLIC_ADDRESS]


@pytest.mark.parametrize(
    "answer",
    [
        CASES["answers"][1]["answers"][0],
        [PUBLIC_ADDRESS, "::ffff:169.254.169.254"],
        ["64:ff9b::a9fe:a9fe"],
        ["fe80::1%lo"],
        ["127.0.0.1"],
    ],
)
async def test_one_bad_address_refuses_the_whole_answer(
    answer: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with StoreHttp(resolver=TableResolver({"mixed.test": [answer]})) as http:
        wires = Wires(monkeypatch, 1)
        assert await refusal(http, "https://mixed.test/k") is StoreErrorKind.REFUSED_ADDRESS
    assert wires.addresses == []


async def test_the_socket_is_refused_even_when_the_resolver_was_passed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unvetted(_: Gate, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=6, flags=0)
        ]

    monkeypatch.setattr(Gate, "resolve", unvetted)
    async with StoreHttp() as http:
        wires = Wires(monkeypatch, 1)
        assert await refusal(http, f"https://{HOST}/k") is StoreErrorKind.REFUSED_ADDRESS
    assert wires.addresses == []


@pytest.mark.parametrize(
    ("address", "port"),
    [("169.254.169.254", 9000), ("127.0.0.1", 9001), ("224.0.0.1", 9000), ("fd00:ec2::254", 9000)],
)
def test_a_listed_origin_opens_no_other_port_and_no_metadata(address: str, port: int) -> None:
    origin = "http://minio.lan:9000"
    gate = Gate(TableResolver({}), parse_origin(origin, StorePolicy(frozenset({origin}))))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(AddressRefusedError):
        gate.open_socket((family, socket.SOCK_STREAM, 6, "", (address, port)))


async def test_what_is_relaxed_for_a_listed_origin_holds_for_no_other() -> None:
    resolver = TableResolver({HOST: [["127.0.0.1"]]})
    async with RawServer(always(OK)) as server:
        policy = StorePolicy(frozenset({server.origin}))
        async with StoreHttp(policy, resolver=resolver) as http:
            assert await get(http, f"{server.origin}/k") == b"bytes"
            kind = await refusal(http, f"https://{HOST}:{server.port}/k")
            assert kind is StoreErrorKind.REFUSED_ADDRESS
            kind = await refusal(http, f"http://localhost:{server.port}/k")
            assert kind is StoreErrorKind.REFUSED_URL
    assert len(server.seen) == 1


@pytest.mark.parametrize("case", CASES["redirects"], ids=lambda case: str(case["status"]))
async def test_redirects_are_an_answer_not_an_order(
    case: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"<Error><Code>PermanentRedirect</Code></Error>"
    answer = reply(int(str(case["status"])), body, [("Location", str(case["location"]))])
    authority = Authority()
    resolver = TableResolver({HOST: [[PUBLIC_ADDRESS]]})
    async with (
        RawServer(always(answer), authority.server(HOST)) as server,
        StoreHttp(resolver=resolver, ssl_context=authority.trust()) as http,
    ):
        wires = Wires(monkeypatch, server.port)
        with pytest.raises(StoreError) as caught:
            await get(http, f"https://{HOST}/k")
    assert caught.value.kind is StoreErrorKind.REDIRECTED
    assert caught.value.status == case["status"]
    assert caught.value.provider_code == "PermanentRedirect"
    assert (len(server.seen), resolver.asked) == (1, [HOST])
    assert wires.addresses == [PUBLIC_ADDRESS]


async def test_proxies_and_netrc_in_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with RawServer(always(reply(500))) as trap, RawServer(always(OK)) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, trap.origin)
            monkeypatch.setenv(name.upper(), trap.origin)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with StoreHttp(StorePolicy(frozenset({server.origin}))) as http:
            assert await get(http, f"{server.origin}/k") == b"bytes"
        assert "authorization" not in server.seen[0].headers
    assert trap.seen == []


async def test_a_name_without_addresses_is_unreachable() -> None:
    async with StoreHttp(resolver=TableResolver({"empty.example.com": [[]]})) as http:
        for host in ("empty.example.com", "unknown.example.com"):
            assert await refusal(http, f"https://{host}/k") is StoreErrorKind.UNREACHABLE


async def test_the_system_s_resolver_answers_and_is_vetted() -> None:
    async with RawServer(always(OK)) as server:
        origin = f"http://localhost:{server.port}"
        async with StoreHttp(StorePolicy(frozenset({origin}))) as http:
            assert await get(http, f"{origin}/k") == b"bytes"
