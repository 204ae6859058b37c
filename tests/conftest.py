"""What all tests share."""

pytest_plugins = ["tests.guests", "tests.skips"]
