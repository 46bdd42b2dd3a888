"""What a training process loads before its first step."""

from fresh_python import loaded_by


def test_training_loads_nothing_that_it_does_not_use():
    """Otherwise every run spends seconds and memory on packages that Lightning's dependencies bring in."""
    unused = ("scipy", "matplotlib", "transformers", "polars", "mlflow")
    assert loaded_by("spikesink.training.train", ("lightning.pytorch", *unused)) == ["lightning.pytorch"]
