"""The bandwidth floor: what one core needs to read weights."""

import pytest

from pipeline.benchmarking import memory_bandwidth as bandwidth


def test_the_floor_is_bytes_by_the_bandwidth_of_where_they_are_read_from(monkeypatch):
    """Memory is measured once; what fits into a cache is measured at its own size."""
    asked = []

    def measured(num_bytes=bandwidth.MEMORY_BYTES):
        asked.append(num_bytes)
        return 1000.0 if num_bytes < bandwidth.MEMORY_BYTES else 100.0

    monkeypatch.setattr(bandwidth, "read_bandwidth", measured)
    monkeypatch.setattr(bandwidth, "last_level_cache_bytes", lambda: 50)
    assert bandwidth.floors([50.0, 60.0, 120.0, 60.0]) == {
        50.0: (pytest.approx(50.0), "cache"),
        60.0: (pytest.approx(600.0), "memory"),
        120.0: (pytest.approx(1200.0), "memory"),
    }
    assert sorted(asked) == [50.0, bandwidth.MEMORY_BYTES]


def test_the_size_of_the_last_cache_is_read_where_the_system_tells_it(monkeypatch, tmp_path):
    """The largest; none where nothing is told."""
    for index, size in enumerate(("32K", "1024K", "32M")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    monkeypatch.setattr(bandwidth, "CACHES", tmp_path)
    assert bandwidth.last_level_cache_bytes() == 32 << 20
    monkeypatch.setattr(bandwidth, "CACHES", tmp_path / "nowhere")
    assert bandwidth.last_level_cache_bytes() is None


def test_reading_is_measured():
    """Some bytes a second, of arrays of any size."""
    assert bandwidth.read_bandwidth(1 << 20) > 1e6
    assert bandwidth.read_bandwidth(1) > 0
