"""What is known of a yes-or-no question about a kernel."""

from typing import Literal

#: "unknown" where the place that has the answer cannot be read.
Answer = Literal["yes", "no", "unknown"]
