"""Tests of probeplan. A package, so that cases can be named from inside a guest."""
