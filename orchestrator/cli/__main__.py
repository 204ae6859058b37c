"""`python -m orchestrator.cli`, for where the `probeplan` script is not on the path."""

import sys

from orchestrator.cli import main

sys.exit(main())
