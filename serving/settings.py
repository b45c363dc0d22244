"""Settings from environment variables, with every mistake named at once.

    reader = Settings("SEALMOUNT_SIGNER_", os.environ)
    listen = reader.text("LISTEN", "127.0.0.1:7443")
    keyring = reader.path("KEYRING")
    reader.check()                      # ConfigError: all that is wrong, one per line

A variable with the prefix that nobody asked for is a mistake, too: mostly a typing error. Values
stand in no message, since one of them may be a database URL with a password.
"""

from collections.abc import Mapping
from pathlib import Path


class ConfigError(ValueError):
    """What is wrong with the environment; names of variables only."""


class Settings:
    """Reads one service's variables. Call :meth:`check` when all were asked for."""

    def __init__(self, prefix: str, environment: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._values = {
            name.removeprefix(prefix): value
            for name, value in environment.items()
            if name.startswith(prefix)
        }
        self._asked: set[str] = set()
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A string; required when there is no default."""
        self._asked.add(name)
        value = self._values.get(name, "")
        if value:
            return value
        if default is None:
            self._problems.append(f"{self._prefix}{name} is missing")
        return default or ""

    def path(self, name: str) -> Path:
        return Path(self.text(name))

    def flag(self, name: str, *, default: bool) -> bool:
        """``true`` or ``false``."""
        value = self.text(name, "true" if default else "false").lower()
        if value not in ("true", "false"):
            self._problems.append(f"{self._prefix}{name} must be true or false")
        return value == "true"

    def seconds(self, name: str, default: float, least: float, most: float) -> float:
        """A number of seconds within bounds."""
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            self._problems.append(f"{self._prefix}{name} must be {least:g} to {most:g} seconds")
            return default
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds."""
        try:
            value = int(self.text(name, str(default)))
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            self._problems.append(f"{self._prefix}{name} must be {least} to {most}")
            return default
        return value

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            self._problems.append(f"{self._prefix}{name} must be one of {', '.join(allowed)}")
            return default
        return value

    def items(self, name: str) -> frozenset[str]:
        """Comma separated; empty when not set."""
        return frozenset(part.strip() for part in self.text(name, "").split(",") if part.strip())

    def check_asked(self) -> None:
        """As :meth:`check`, for a command that needs a part of the settings only."""
        if self._problems:
            raise ConfigError("\n".join(self._problems))

    def check(self) -> None:
        """Raises ConfigError when anything was missing, malformed or unknown."""
        unknown = sorted(self._values.keys() - self._asked)
        problems = self._problems + [f"{self._prefix}{name} isn't a setting" for name in unknown]
        if problems:
            raise ConfigError("\n".join(problems))
