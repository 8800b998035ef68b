"""Loaded by the process from which all steps of a build are forked (see `workers`): it imports what they need, once."""

import contextlib
import importlib
import os

from medxai import memory
from medxai.book import imports
from medxai.book.workers import PACKAGES

imports.watch()
memory.keep()
for name in os.environ.get(PACKAGES, "").split():
    with contextlib.suppress(Exception):  # a step that needs it will say what is wrong with it
        importlib.import_module(name)
