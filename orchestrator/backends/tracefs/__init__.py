"""The tracefs backend: no compiler, no BPF, a start-up of milliseconds."""
