"""Which frames came, and up to which the camera may forget them."""

from hypothesis import given, strategies as st

from custom_components.magicpi_nvr.gateway.progress import MAX_RANGES, BootProgress


def test_resume() -> None:
    """What was persisted before a restart is not taken again."""
    progress = BootProgress(1)
    progress.resume(5)
    assert progress.has(1)
    assert progress.has(5)
    assert not progress.has(6)
    assert progress.acknowledge(5) == 5


def test_never_goes_back() -> None:
    """What was acknowledged stays acknowledged, whatever comes late."""
    progress = BootProgress(1)
    progress.refuse(1)
    assert progress.acknowledge(0) == 1
    progress.accept(1, recorded=True)
    assert progress.acknowledge(0) == 1
    progress.accept(5, recorded=True)
    assert progress.acknowledge(5) == 5
    progress.accept(3, recorded=True)
    assert progress.acknowledge(2) == 5


def test_bounded() -> None:
    """Gaps without end cost no memory, and acknowledge nothing unsafe."""
    progress = BootProgress(1)
    for seq in range(2, 20_000, 2):
        progress.accept(seq, recorded=True)
    assert len(progress.received) <= MAX_RANGES
    assert len(progress.recording) <= MAX_RANGES
    assert progress.acknowledge(0) == 1
    assert not progress.has(19_999)
    assert progress.acknowledge(19_998) == 19_998
    assert progress.recording == []


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.sampled_from(["handed", "live", "bad"])),
        max_size=80,
    ),
    st.integers(0, 60),
)
def test_like_sets(frames: list[tuple[int, str]], safe: int) -> None:
    """As plain sets would do it."""
    progress = BootProgress(1)
    seen: set[int] = set()
    handed: set[int] = set()
    came: set[int] = set()
    for seq, kind in frames:
        assert progress.has(seq) == (seq in seen)
        if seq in seen:
            continue
        came.add(seq)
        if kind == "bad":
            progress.refuse(seq)
            continue
        seen.add(seq)
        if kind == "handed":
            handed.add(seq)
        progress.accept(seq, recorded=kind == "handed")
    unsafe = [seq for seq in handed if seq > safe]
    expected = min(unsafe) - 1 if unsafe else max(came, default=0)
    assert progress.acknowledge(safe) == max(expected, safe)
    assert progress.acknowledge(safe) == max(expected, safe)
