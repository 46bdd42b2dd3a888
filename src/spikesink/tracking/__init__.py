"""MLflow tracking: a live mirror while runs train, an idempotent sync afterwards.

A run's folder is the record; the store is a view of it that can be lost and rebuilt. Nothing here imports mlflow until
a store is opened.
"""

from spikesink.tracking.mirror import Mirror
from spikesink.tracking.store import default_uri, run_name, run_params, run_tags

AFFECTS_RESULTS = False

__all__ = ["Mirror", "default_uri", "run_name", "run_params", "run_tags"]
