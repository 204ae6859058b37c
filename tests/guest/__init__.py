"""Cases that run inside a guest: plain functions, named by tests through `pytest.mark.guest`.

They import neither pytest nor test modules, since imports are slow under emulation. What a case
returns must be JSON; an exception, such as a failed assert, fails its test.
"""


class Unsupported(Exception):
    """Raised by a case when this kernel lacks a feature; the text names the feature."""
