"""Every command of the command line, from what ``--help`` is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from treadle.cli import main, parser, speaking

EXIT_CODES = {
    0: "done",
    1: "failed: a smoke test, a check, a health check, a job that was waited for; or refused by the server",
    2: "wrong usage",
    69: "`treadle jobs` and `treadle bench --url`: no server, or one that cannot work now",
    70: "a bug; or a worker worn out by handlers that never end",
    75: "the store does not answer: try again",
    78: "settings, app or schema are wrong; every problem is a line on standard error",
}


def commands_page() -> str:
    """Each command with its arguments and options. Raises ``ValueError`` where an exit code has no words."""
    codes = {code for module in (main, speaking) for name, code in vars(module).items() if name.startswith("EXIT_")}
    if codes | {0, 2} != set(EXIT_CODES):
        raise ValueError(f"say in scripts/pages/commands.py what these exit codes are: {codes ^ set(EXIT_CODES)}")
    lines = [
        "# Every command",
        "",
        "Generated from `treadle --help` by `make docs`; do not edit. [The command line](cli.md) shows them at work.",
        "`--help` is an option of each. `treadle` itself has `--version`, and `--install-completion` and",
        "`--show-completion` for your shell.",
        "",
    ]
    for name, command in _commands("treadle", typer.main.get_command(parser.cli)):
        words = [name, *(_argument(p) for p in command.params if p.param_type_name == "argument")]
        usage = [f"`{' '.join(words)}`", ""] if len(words) > 1 else []
        lines += [f"## `{name}`", "", *usage, *_paragraphs(command.help or ""), ""]
        rows = [_row(param) for param in command.params if not getattr(param, "hidden", False)]
        if rows:
            lines += ["| | |", "|---|---|", *rows, ""]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join([*lines, ""])


def _commands(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    context = group.make_context(name, [], resilient_parsing=True)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        if hasattr(command, "list_commands"):
            yield from _commands(f"{name} {word}", command)
        else:
            yield f"{name} {word}", command


def _paragraphs(text: str) -> list[str]:
    return [line.strip().replace("``", "`") for line in text.strip().splitlines()]


def _argument(param: Any) -> str:
    name = str(param.metavar or param.name.upper())
    return name if param.required or name.startswith("[") else f"[{name}]"


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        names = _argument(param)
    elif param.is_flag:
        names = "`, `".join([*param.opts, *param.secondary_opts])
    else:
        names = f"{'`, `'.join(param.opts)} {param.metavar or param.opts[0].strip('-').upper()}"
    words = (param.help or "").replace("|", "\\|").rstrip(".")
    has_default = param.default not in (None, False, (), []) and not callable(param.default)
    default = f"; default `{param.default}`" if has_default and param.param_type_name != "argument" else ""
    return f"| `{names}` | {words}{default} |"
