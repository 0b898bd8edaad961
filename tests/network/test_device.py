"""Devices, precision and memory."""

import json

import pytest
import torch

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network import device as device_module
from napari_scutoid.network.device import (
    NO_BF16,
    choose_device,
    choose_precision,
    describe_device,
    free_memory,
    out_of_memory,
)

CPU = torch.device("cpu")


@pytest.fixture
def gains(monkeypatch):
    """Replace the measurement by numbers; calling it with none left fails."""
    numbers = []
    monkeypatch.setattr(device_module, "bf16_gain", lambda _: numbers.pop())
    return numbers


def test_auto_is_a_device_of_this_machine():
    torch.zeros(1, device=choose_device("auto"))
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_missing_device_is_refused():
    with pytest.raises(ScutoidError, match="cuda cannot be used"):
        choose_device("cuda")


def test_what_every_device_has_is_not_measured(gains):
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", torch.device("cuda")) == "bf16"


@pytest.mark.parametrize(("gain", "precision"), [(2.9, "bf16"), (0.5, "bf16"), (0.01, "fp32")])
def test_bf16_that_would_take_hours_gives_way(gains, tmp_path, gain, precision):
    cache = tmp_path / "gain.json"
    gains.append(gain)
    assert choose_precision("bf16", CPU, cache=cache) == precision
    facts = describe_device("cpu", "bf16", "torch", cache=cache)
    assert (facts.precision, facts.warnings) == (precision, () if precision == "bf16" else (NO_BF16,))
    words = "16-bit: as you chose." if precision == "bf16" else "32-bit: bf16, as you chose, would take hours here."
    assert words in facts.why
    assert not describe_device("cpu", "auto", "torch", cache=cache).warnings


@pytest.mark.parametrize(("gain", "precision"), [(3.0, "bf16"), (1.01, "fp32"), (0.2, "fp32")])
def test_auto_is_measured_once(gains, tmp_path, gain, precision):
    cache = tmp_path / "deep" / "gain.json"
    gains.append(gain)
    assert choose_precision("auto", CPU, cache=cache) == precision
    assert choose_precision("auto", CPU, cache=cache) == precision
    assert [path.name for path in cache.parent.iterdir()] == ["gain.json"]


@pytest.mark.parametrize("content", ["{", "[]", '{"a": null}', "[" * 100_000])
def test_a_damaged_cache_is_measured_again(gains, tmp_path, content):
    cache = tmp_path / "gain.json"
    cache.write_text(content)
    gains.append(2.0)
    assert choose_precision("auto", CPU, cache=cache) == "bf16"
    assert list(json.loads(cache.read_text()).values()) == [2.0]


def test_an_unwritable_cache_is_no_error(gains, tmp_path):
    (tmp_path / "file").write_text("")
    gains.append(2.0)
    assert choose_precision("auto", CPU, cache=tmp_path / "file" / "gain.json") == "bf16"


@pytest.mark.parametrize(
    ("gain", "setting", "precision", "words"),
    [
        (0.9, "auto", "fp32", "32-bit: bf16 is no faster here."),
        (2.9, "auto", "bf16", "16-bit: bf16 is 2.9 times as fast here."),
        (2.9, "fp32", "fp32", "32-bit: as you chose."),
    ],
)
def test_a_device_says_what_it_is_and_why(gains, tmp_path, gain, setting, precision, words):
    gains.append(gain)
    facts = describe_device("cpu", setting, "torch", cache=tmp_path / "gain.json")
    assert (facts.device, facts.precision) == ("cpu", precision)
    assert f"Processor, {torch.get_num_threads()} threads, " in str(facts)
    assert words in str(facts) and "GB of memory free" in str(facts)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a graphics card")
def test_a_machine_without_a_graphics_card_is_told():
    assert "No graphics card" in describe_device("auto", "fp32").why


def test_the_measurement_itself():
    assert device_module.bf16_gain(CPU) > 0


def test_memory_left_respects_a_cluster_jobs_limit(monkeypatch):
    whole = free_memory(CPU)
    assert whole > 0
    monkeypatch.setattr(device_module, "_left_in_cgroup", lambda: 1000)
    assert free_memory(CPU) == 1000


def test_the_tightest_control_group_above_counts(tmp_path):
    job = tmp_path / "slurm" / "job"
    job.mkdir(parents=True)
    for folder, limit, used in ((job, "max", 500), (job.parent, "9000", 4000)):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text(str(used))
        (folder / "memory.stat").write_text("anon 1\ninactive_file 300\nactive_file 7\n")
    (tmp_path / "membership").write_text("0::/slurm/job\n")
    left = device_module._left_in_cgroup
    assert left(tmp_path / "membership", tmp_path) == 5300
    (tmp_path / "membership").write_text("0::/elsewhere\n")
    assert left(tmp_path / "membership", tmp_path) is None
    assert left(tmp_path / "missing", tmp_path) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_recognised(error, expected):
    assert out_of_memory(error) is expected
