"""Which container a cgroup is of: the cgroup's path, and what runtimes keep about it on disk."""
