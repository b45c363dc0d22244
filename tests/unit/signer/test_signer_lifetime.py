"""How long URLs live: the promises of the contract, for whatever numbers."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from signer.domain.bindings import MAX_URL_LIFETIME, lifetime_violations, lifetimes
from signer.domain.lifetime import default_ttl, lifetime, max_ttl, phase

NOWS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001  # Hypothesis wants naive bounds
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@st.composite
def bindings(draw: st.DrawFn) -> tuple[timedelta, timedelta, int]:
    """Longest life, window and phase of a binding that CreateBinding would take."""
    longest = timedelta(seconds=draw(st.integers(60, 604_800)))
    most = min(86_400, int(longest.total_seconds()) // 2)
    window = timedelta(seconds=draw(st.integers(0, most)))
    assert lifetime_violations(longest, window) == []
    return longest, window, phase(draw(st.uuids()).hex, int(window.total_seconds()))


@given(NOWS, bindings(), st.data())
def test_a_url_lives_as_long_as_asked_and_never_longer_than_allowed(
    now: datetime, binding: tuple[timedelta, timedelta, int], data: st.DataObject
) -> None:
    longest, window, shift = binding
    most = int(max_ttl(longest, window).total_seconds())
    ttl = timedelta(seconds=data.draw(st.integers(1, most)))
    times = lifetime(now, ttl, window, shift)
    signed_at = times.instant.signed_at
    assert now + ttl <= times.not_after
    assert times.not_after - signed_at == timedelta(seconds=times.instant.expires)
    assert times.not_after - signed_at <= longest <= MAX_URL_LIFETIME
    assert signed_at <= now < times.refresh_after < times.not_after
    assert signed_at.microsecond == 0
    assert 1 <= times.instant.expires <= 604_800


@given(NOWS, bindings(), st.data())
def test_within_a_window_the_same_request_gives_the_same_url(
    now: datetime, binding: tuple[timedelta, timedelta, int], data: st.DataObject
) -> None:
    _, window, shift = binding
    ttl = timedelta(seconds=data.draw(st.integers(1, 900)))
    times = lifetime(now, ttl, window, shift)
    if not window:
        return
    span = times.refresh_after - times.instant.signed_at
    assert span == window
    later = times.instant.signed_at + timedelta(
        microseconds=data.draw(st.integers(0, int(span.total_seconds() * 1e6) - 1))
    )
    assert lifetime(later, ttl, window, shift) == times
    assert lifetime(times.refresh_after, ttl, window, shift).instant != times.instant


@given(bindings())
def test_the_default_is_within_what_is_allowed(
    binding: tuple[timedelta, timedelta, int],
) -> None:
    longest, window, _ = binding
    assert timedelta(seconds=1) <= default_ttl(longest, window) <= max_ttl(longest, window)
    assert default_ttl(longest, window) <= timedelta(minutes=15)


@given(st.uuids(), st.integers(1, 86_400))
@example("x", 1)
def test_the_phase_is_the_bindings_own_and_fixed(uid: object, window: int) -> None:
    assert 0 <= phase(str(uid), window) < window
    assert phase(str(uid), window) == phase(str(uid), window)
    assert phase(str(uid), 0) == 0


def test_phases_are_spread() -> None:
    shifts = [phase(f"binding-{n}", 900) for n in range(900)]
    assert len(set(shifts)) > 500
    assert 400 < sum(shifts) / len(shifts) < 500


@given(st.none() | st.integers(60, 604_800), st.none())
def test_defaults_of_a_binding_hold_together(longest: int | None, window: None) -> None:
    asked = None if longest is None else timedelta(seconds=longest)
    assert lifetime_violations(*lifetimes(asked, window)) == []
