"""The recipe of the models that ship: prepare, train, evaluate.

Run from the root of the project, as ``make train`` does; needs torch. ``training/README.md`` tells
how it works and what was tried.
"""
