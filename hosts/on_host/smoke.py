"""The smoke test from the host itself, where the admin's key is: `… smoke URL ADDRESS PORT AUTHORITY KEY-FILE SECONDS`.

One line of JSON: {"ok": true, "steps": [[what, detail, seconds], …]} or {"ok": false, "error": words}. AUTHORITY "-": none.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from stacks.commands.client import Edge
from stacks.commands.failures import Failure
from stacks.commands.smoke import Step, smoke, wait_ready


async def check(edge: Edge, key: str, seconds: float) -> list[Step]:
    waited = await wait_ready(edge, seconds, lambda _: None)
    return [Step("ready", edge.url, waited), *await smoke(edge, key)]


def main(arguments: list[str]) -> dict[str, Any]:
    url, address, port, authority, key_file, seconds = arguments
    try:
        pem = "" if authority == "-" else Path(authority).read_text(encoding="utf-8")
        key = Path(key_file).read_text(encoding="utf-8").strip()
        steps = asyncio.run(check(Edge(url, address, int(port), pem), key, float(seconds)))
    except (Failure, OSError) as error:
        return {"ok": False, "error": str(error)}
    return {"ok": True, "steps": steps}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1:])) + "\n")
