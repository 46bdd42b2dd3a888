"""Standard tasks in the workflow: who is given them, and when they are given again."""

import json

from tiny_study import configure, jobs, snakemake

MODELS = ("baseline/seed0", "conditional_head/seed0", "v_scale/seed0")


def test_every_run_is_given_the_tasks_and_the_tables_wait_for_the_answers(project):
    """No lm-evaluation-harness runs here; tests/unit/test_capabilities.py has its answers."""
    assert "capabilities.tasks is empty: name tasks" in snakemake(project, "--dry-run", "capabilities", expect=1)
    assert jobs(project) == set()
    task = project / "my tasks/mine.yaml"
    task.parent.mkdir()
    task.write_text(json.dumps({"task": "mine"}))
    configure(project, {"capabilities": {"tasks": ["mine"], "include_path": "my tasks"}})
    given = {f"tasks for runs/{model}" for model in MODELS}
    wanted = {"capabilities: check the tasks and fetch their data", *given}
    assert wanted <= jobs(project, "capabilities")
    planned = jobs(project)
    assert wanted <= planned and {"collect the measures of gating", "table of the mechanism"} <= planned
    assert not any(job.startswith(("train", "measure")) for job in planned)
