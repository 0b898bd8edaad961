"""What the page about clusters tells people to copy."""

from __future__ import annotations

import re
import subprocess
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_script_for_slurm_asks_for_what_a_worker_states(monkeypatch, capsys):
    jobqueue = pytest.importorskip("dask_jobqueue", reason="needs napari-scutoid[cluster]")
    from dask_jobqueue.slurm import SLURMJob

    jobs: list[str] = []
    ran: list[list[str]] = []

    class Cluster:
        scheduler_address = "tls://login:8786"

        def __init__(self, security: Any, scheduler_options: dict[str, Any], **options: Any) -> None:
            assert scheduler_options["dashboard_address"].startswith("127.0.0.1")
            jobs.append(SLURMJob(scheduler=self.scheduler_address, name="worker", **options).job_script())

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def scale(self, jobs: int) -> None:
            assert jobs > 1

    monkeypatch.setattr(jobqueue, "SLURMCluster", Cluster)
    monkeypatch.setattr(subprocess, "run", lambda words: ran.append(words) or types.SimpleNamespace(returncode=0))
    monkeypatch.setattr("sys.argv", ["study.py", "--resume"])
    for card in ("False", "True"):
        with pytest.raises(SystemExit) as stopped:
            exec(block("python").replace("CARD = False", f"CARD = {card}"), {"__name__": "__main__"})
        assert stopped.value.code == 0
    plain, with_card = jobs
    assert "--cpus-per-task=8" in plain and "--nthreads 1 " in plain and "--resources MEMORY=32e9 " in plain
    assert plain.rindex("--memory-limit 0") > plain.index("--memory-limit")  # the last one counts
    assert "--gres" not in plain and "--gres=gpu:1" in with_card and "MEMORY=32e9,GPU=1" in with_card
    assert ran[0][:2] == ["scutoid", "batch"] and ran[0][-3:] == ["--scheduler", "tls://login:8786", "--resume"]


def test_the_settings_of_a_key_are_those_that_dask_knows():
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed", reason="needs napari-scutoid[cluster]")
    with dask.config.set(dask.config.merge(dask.config.config, yaml.safe_load(block("yaml")))):
        security = distributed.Security()
        assert security.require_encryption and dask.config.get("distributed.comm.default-scheme") == "tls"
        for role in ("scheduler", "worker", "client"):
            found = security.get_tls_config_for_role(role)
            assert {name: Path(found[name]).name for name in ("ca_file", "cert", "key")} == {
                "ca_file": "cert.pem",
                "cert": "cert.pem",
                "key": "key.pem",
            }
