"""Write the logits that torch gives for models/ranklet-mini into scores.json, beside this file.

    python tests/golden/generate.py

They come from the original checkpoint in torch and transformers, in fp32, and so are independent of
the export and the runtime that they test.
"""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

FOLDER = Path(__file__).parent
CHECKPOINT = FOLDER.parent.parent / "models/ranklet-mini"
WINDOW_TOKENS = 320

SKINCARE = [
    "Eco-friendly kitchenware for modern homes",
    "Biodegradable cleaning supplies for eco-conscious consumers",
    "Organic cotton baby clothes for sensitive skin",
    "Natural organic skincare range for sensitive skin",
    "Tech gadgets for smart homes: 2024 edition",
    "Sustainable gardening tools and compost solutions",
    "Sensitive skin-friendly facial cleansers and toners",
    "Organic food wraps and storage solutions",
    "All-natural pet food for dogs with allergies",
    "Yoga mats made from recycled materials",
]
TOWER = [
    "The Eiffel Tower is 330 metres tall, about the height of an 81-storey building.",
    "Gustave Eiffel's company built the tower for the World's Fair of 1889 in Paris.",
    "The Tokyo Tower, 333 metres tall, was inspired by the Eiffel Tower.",
    "Paris is the capital of France and has about two million inhabitants.",
    "Steel is an alloy of iron and carbon.",
]
PYTHON = [
    "Use sorted(mapping.items(), key=lambda item: item[1]) to sort a dictionary by its values.",
    "A dictionary maps keys to values; since Python 3.7 it keeps the order of insertion.",
    "The python is a family of nonvenomous snakes found in Africa, Asia and Australia.",
    "list.sort() sorts in place and returns None; sorted() returns a new list.",
    "pip install --upgrade pip",
]
ODDITIES = [
    "",
    " ",
    "?",
    "x" * 300,
    "naïve café, Zürich 🙂 — 日本語 and العربية",
    "[SEP] [CLS] [MASK] are only text here",
    "line one\nline two\ttabbed\u00a0space",
]
LONG = [
    # Longer than the window: what is beyond it must not count, however well it fits.
    "Bread rises because yeast turns sugar into carbon dioxide. " * 80,
    "The weather was mild and nothing happened. " * 90 + "Yeast makes bread rise.",
    " ".join(TOWER * 12),
]
QUERIES = {
    "Organic skincare products for sensitive skin": SKINCARE,
    "how tall is the eiffel tower": TOWER,
    "python sort dict by value": PYTHON,
    "what does this text say": ODDITIES,
    "why does bread rise": LONG,
    "": TOWER[:2],
}


def main() -> None:
    """Score all pairs, one at a time, and write them with six digits."""
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    model = AutoModelForSequenceClassification.from_pretrained(CHECKPOINT, dtype=torch.float32)
    model.eval()
    cases: list[dict[str, object]] = []
    for query, documents in QUERIES.items():
        logits: list[float] = []
        for document in documents:
            # As lists: a single empty document would be taken for no document at all.
            inputs = tokenizer(
                [query],
                [document],
                truncation="only_second",
                max_length=WINDOW_TOKENS,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits.append(round(model(**inputs).logits.item(), 6))
        cases.append({"query": query, "documents": documents, "logits": logits})
    path = FOLDER / "scores.json"
    path.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
