"""A simulation's script: the file read, and told where something in it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geodns.config import yaml
from geodns.config.findings import Findings
from geodns.config.schema.reading import Adapter, read
from geodns.config.schema.script import ClientForm, ScriptFile
from geodns.errors import ConfigError

__all__ = ["ClientForm", "Script", "ScriptFile", "load_script"]

MAX_BYTES = 1 << 20
_ADAPTER: Adapter[ScriptFile] = Adapter(ScriptFile)


@dataclass(frozen=True, slots=True)
class Script:
    """What a script says; `wrong` collects what only who knows the zones can find."""

    says: ScriptFile
    document: yaml.Document
    findings: Findings

    def wrong(self, code: str, message: str, loc: yaml.Loc, hint: str = "", *, at_key: bool = False) -> None:
        at = self.document.key_position(loc) if at_key else self.document.position(loc)
        self.findings.error(code, message, at, hint)

    def judge(self) -> None:
        """Raises ConfigError where anything was wrong."""
        if self.findings.failed:
            raise ConfigError(self.findings.sorted())


def load_script(path: Path) -> Script:
    """The script in a file. Raises ConfigError with every problem."""
    findings = Findings()
    document = yaml.read(path, findings, MAX_BYTES)
    if document is None:
        raise ConfigError(findings.sorted())
    says = read(_ADAPTER, {} if document.value is None else document.value, document, (), findings).value
    script = Script(says, document, findings)
    script.judge()
    return script
