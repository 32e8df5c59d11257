"""What the README says, done to the letter."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack

README = Path(__file__).parents[2] / "README.md"


def bodies() -> list[dict[str, Any]]:
    """The JSON bodies of the README's curl lines, in order."""
    text = README.read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("curl") and " -d " in line]
    return [json.loads(words[words.index("-d") + 1]) for words in map(shlex.split, lines)]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def test_the_first_curl_lines_do_what_they_say(dev: Stack) -> None:
    export, mail, _ = bodies()
    csv_job = dev.finish(dev.submit(**as_call(export)))
    assert csv_job["status"] == "completed"
    assert dev.client.get(f"/jobs/{csv_job['id']}/result").text == "name,born\r\nAda,1815\r\nZoë,\r\n"
    assert (dev.output / f"{csv_job['id']}.csv").exists()
    assert dev.finish(dev.submit(**as_call(mail)))["status"] == "completed"
    page = dev.client.get(dev.mail_url)
    assert "Hello" in page.text
    assert dev.client.get("/admin/failed").json()["jobs"] == []


def as_call(body: dict[str, Any]) -> dict[str, Any]:
    return {"type_name": body.pop("type"), **body}


def test_the_first_handler_runs_as_it_stands(new_stack: NewStack) -> None:
    code, _ = python_blocks()
    stack = new_stack({"TREADLE_APP": "shop:app"})
    (stack.folder / "shop.py").write_text(code)
    stack.start("dev")

    job = stack.finish(stack.submit(**as_call(bodies()[2])))

    assert job["status"] == "completed", job
    assert job["result"] == {"number": job["id"][:8]}
    [artifact] = job["artifacts"]
    assert stack.client.get(f"/jobs/{job['id']}/result").content == b"Ada: 12.50\n"
    assert artifact["sizeBytes"] == 11
    refused = stack.client.post("/jobs", json={"type": "INVOICE", "payload": {"cents": "many"}})
    assert refused.status_code == 400
    assert {error["pointer"] for error in refused.json()["errors"]} == {"/payload/customer", "/payload/cents"}
    failed = stack.finish(stack.submit("INVOICE", {"customer": "Ada", "cents": -1}))
    assert (failed["status"], failed["attempts"]) == ("failed", 1)
    assert "cannot be negative" in failed["error"]


def test_the_first_handlers_test_passes(tmp_path: Path) -> None:
    for name, code in zip(("shop.py", "test_shop.py"), python_blocks(), strict=True):
        (tmp_path / name).write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
