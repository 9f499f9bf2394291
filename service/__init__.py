"""Scores over HTTP: the rerank API that existing clients speak."""
