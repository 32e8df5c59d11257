"""The OpenAPI document against the server it describes: a thousand requests made from it, right ones and wrong ones.

Seeded, so that a run can be repeated. What was accepted is run, too: a worker stands behind it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.target import KEYS, LOGIN, open_target

HOOKS = "tests.security.fuzzing.hooks"
ROOT = Path(__file__).parents[2]

CONFIGURATION = f"""
seed = 1
[auth.openapi.key]
bearer = "{KEYS[0]}"
[auth.openapi.login]
username = "{LOGIN[0]}"
password = "{LOGIN[1]}"

# 422: the same Idempotency-Key for two bodies, which the document cannot rule out.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "404", "409", "422"]

# It tries wrong logins; after ten of them the address is shut out, as it should be. test_checklist.py does this part.
[[operations]]
include-path-regex = "^/(admin|metrics)"
checks.ignored_auth.enabled = false

# A job that was just created has no file yet, and may never have one: 404 is the answer then.
[[operations]]
include-path-regex = "/result$"
checks.ensure_resource_availability.enabled = false
"""


@pytest.mark.slow
def test_the_server_does_what_its_document_says_and_nothing_else(tmp_path: Path) -> None:
    # Without the tests' own job types: some of them kill whoever runs them.
    with open_target(tmp_path, "sqlite", "dev", {"TREADLE_APP": ""}) as target:
        (tmp_path / "openapi.json").write_bytes(target.send("GET", "/openapi.json").content)
        (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
        command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", target.stack.url]
        done = subprocess.run(
            [*command, "--max-examples", "40", "--seed", "1", "--no-color", "--warnings", "off"],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],  # noqa: TID251  (a clean one)
                "HOME": str(tmp_path),
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "SCHEMATHESIS_HOOKS": HOOKS,
            },
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Tested: 24" in done.stdout, done.stdout
        assert target.count() > 10
        assert [line for line in target.stack.log_lines() if line["level"] == "error"] == []
