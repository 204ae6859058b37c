"""Cases and tests in booted arm64 kernels, whose programs were compiled on this host."""
