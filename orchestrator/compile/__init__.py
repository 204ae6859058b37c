"""Plan and kernel facts to a backend-neutral program: resolve, type, lower. Pure."""
