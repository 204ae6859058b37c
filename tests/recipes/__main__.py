"""`python -m tests.recipes AREA NAME`: the workload of a plan, as the command of its run."""

import importlib
import sys

area, name = sys.argv[1:]
work = importlib.import_module(f"tests.recipes.{area}").ROWS[name].work
assert work is not None, f"{name}: its workload is recipes.c"
work()
