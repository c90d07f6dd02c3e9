"""The table of GPUs."""

import pytest

from course_lib.machine.gpus import GIB, GPUS, find_gpu


def test_every_gpu_is_complete():
    assert list(GPUS) == ["T4", "V100", "L4", "A10", "RTX 4090",
                                 "A100", "H100", "H200"]
    for name, gpu in GPUS.items():
        assert gpu.name == name and gpu.source and gpu.price_source
        assert gpu.price_source.rsplit(maxsplit=1)[1].startswith("202")
        assert ("bfloat16" in gpu.peak) == (gpu.capability >= (8, 0))
        assert gpu.peak["float32"] < gpu.peak["float16"]
        assert gpu.memory >= 16 * GIB
    assert GPUS["V100"].peak["float16"] == 125e12


@pytest.mark.parametrize("name, found", [
    ("v100", "V100"), ("rtx4090", "RTX 4090"), ("4090", "RTX 4090"),
    ("NVIDIA GeForce RTX 4090", "RTX 4090"), ("Tesla-T4", "T4"),
    ("NVIDIA A100-SXM4-80GB", "A100"), ("NVIDIA H100 80GB HBM3", "H100")])
def test_find_gpu(name, found):
    assert find_gpu(name).name == found


@pytest.mark.parametrize("name", ["K80", "A10G", "L40S", "", "Intel Xeon"])
def test_unknown_gpu_lists_the_known(name):
    with pytest.raises(ValueError, match=f"{name!r}.*T4, V100.*H200"):
        find_gpu(name)
