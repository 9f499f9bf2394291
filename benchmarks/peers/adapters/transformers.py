"""The torch model itself in fp32, one pair at a time: what every peer should give."""

from importlib import import_module
from pathlib import Path
from typing import Any

from . import Score

library: Any = import_module("transformers")
torch: Any = import_module("torch")

OUTPUT = "logit"


def open_model(models: Path, *, files: str, segments: bool) -> Score:
    """Open a folder; without ``segments``, every token is of the first segment."""
    folder = str(models / files)
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    model = library.AutoModelForSequenceClassification.from_pretrained(folder)
    model = model.to(torch.float32).eval()

    def score(query: str, documents: list[str]) -> list[float]:
        scores: list[float] = []
        for document in documents:
            inputs = tokenizer(
                query, document, truncation="only_second", max_length=512, return_tensors="pt"
            )
            if not segments:
                inputs["token_type_ids"] = torch.zeros_like(inputs["token_type_ids"])
            scores.append(float(model(**inputs).logits))
        return scores

    scoring: Score = torch.inference_mode()(score)
    return scoring
