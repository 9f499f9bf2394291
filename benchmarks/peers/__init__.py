"""The comparison with other rerankers, each in an environment of its own; see ``compare.py``."""
