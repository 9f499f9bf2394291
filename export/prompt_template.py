"""Prompts that language models were trained to rerank with, by name."""

from dataclasses import dataclass

from ranklet.runtime.manifest import Prompt

from .head import AnswerHead


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """What a family of language models reads, and which answers count."""

    prompt: Prompt
    head: AnswerHead
    model_type: str
    """The family, as ``config.json`` calls it."""
    window_tokens: int
    """The longest text that the family is used with, whatever its positions allow."""


# The prompt, the two answers and the longest text are those of the model card:
# https://huggingface.co/Qwen/Qwen3-Reranker-0.6B
_QWEN3_RERANKER = PromptTemplate(
    Prompt(
        prefix=(
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the "
            'Query and the Instruct provided. Note that the answer can only be "yes" or "no".'
            "<|im_end|>\n<|im_start|>user\n"
        ),
        body="<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}",
        suffix="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        instruction="Given a web search query, retrieve relevant passages that answer the query",
    ),
    AnswerHead(positive="yes", negative="no"),
    model_type="qwen3",
    window_tokens=8192,
)

TEMPLATES = {"qwen3-reranker": _QWEN3_RERANKER}
"""Every prompt that ``--template`` knows, by name."""
