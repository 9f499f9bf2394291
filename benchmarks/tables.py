"""Print the README's tables: figures from the results files, and the service's settings.

python benchmarks/tables.py latency
"""

import argparse

import quality_tables
import speed_tables

from ranklet.service.options import OPTIONS
from ranklet.service.settings import Settings


def settings() -> str:
    """Every option of ``ranklet serve``, from its definition."""
    defaults = Settings()
    lines = ["| option | variable | default | what it sets |", "|---|---|---|---|"]
    for option in OPTIONS:
        default = getattr(defaults, option.field)
        shown = "" if default in {None, ()} else f"`{default}`"
        metavar = option.metavar.replace("|", "\\|")
        flag = "" if option.is_secret else f"`{option.flag} {metavar}`"
        lines.append(f"| {flag} | `{option.variable}` | {shown} | {option.help} |")
    return "\n".join(lines)


TABLES = quality_tables.TABLES | {"settings": settings}


def main() -> None:
    parser = argparse.ArgumentParser(description="Print a table for the README.")
    parser.add_argument("table", choices=(*TABLES, *speed_tables.TABLES))
    parser.add_argument(
        "--on",
        default="",
        help="instruction set of the processor, as vnni or avx2; any if not given",
    )
    arguments = parser.parse_args()
    if arguments.table in TABLES:
        print(TABLES[arguments.table]())
    else:
        print(speed_tables.TABLES[arguments.table](arguments.on))


if __name__ == "__main__":
    main()
