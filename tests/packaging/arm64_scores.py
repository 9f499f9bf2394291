"""Score the golden cases and print them as JSON; runs where only the serving dependencies are.

python arm64_scores.py BUNDLE CASES
"""

import importlib
import json
import platform
import sys
from pathlib import Path

from ranklet.runtime.reranker import Reranker

SERVING = ("httptools", "litestar", "uvicorn", "uvloop", "yaml", "ranklet.service.app")


def main(bundle: str, cases: str) -> None:
    for name in SERVING:
        importlib.import_module(name)
    with Reranker.open(bundle, workers=1) as reranker:
        logits = [
            reranker.score(case["query"], case["documents"], raw_scores=True).tolist()
            for case in json.loads(Path(cases).read_bytes())
        ]
        found = {
            "machine": platform.machine(),
            "variant": reranker.variant,
            "reason": reranker.variant_reason,
            "logits": logits,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
