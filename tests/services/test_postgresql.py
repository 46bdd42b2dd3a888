"""64 runs that log at the same moment to a server on PostgreSQL, what a lab runs for the nodes of a cluster."""

from mlflow_server import MANY_CONNECTIONS, serving
from postgres import postgres
from test_tracking_load import train_together_then_sync


def test_many_runs_share_a_server_on_postgresql(tmp_path):
    with postgres() as database, serving(tmp_path, database, MANY_CONNECTIONS) as server:
        train_together_then_sync(server.uri, tmp_path)
