"""What was proven, row by row. A row is computed where the thing happens, never written down."""

from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    claim: str
    holds: bool
    seen: str


@dataclass(slots=True)
class Evidence:
    """The rows, printed as they come and again as a table at the end."""

    console: Console
    rows: list[Row] = field(default_factory=list)

    def add(self, claim: str, holds: bool, seen: str) -> None:
        """``seen`` gives the figures that ``holds`` was computed from."""
        self.rows.append(Row(claim, holds, seen))
        mark = "[green]✓[/]" if holds else "[red]✗[/]"
        self.console.print(f"  {mark} {claim}: {seen}", soft_wrap=True)

    @property
    def holds(self) -> bool:
        """Whether there is evidence at all and every row of it holds."""
        return bool(self.rows) and all(row.holds for row in self.rows)

    def table(self) -> Table:
        table = Table(title="What was proven", title_justify="left", show_lines=False)
        table.add_column("")
        table.add_column("claim", overflow="fold")
        table.add_column("seen", overflow="fold")
        for row in self.rows:
            mark = "[green]yes[/]" if row.holds else "[bold red]NO[/]"
            table.add_row(mark, row.claim, row.seen)
        return table
