"""Types that are not the kernel's: those that a plan declares."""
