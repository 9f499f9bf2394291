"""Measuring ranking quality on test collections: qrels, runs, metrics, significance, reports."""
