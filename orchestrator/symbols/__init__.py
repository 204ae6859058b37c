"""Resolves addresses of stacks to names: of the kernel and its modules, a process's files, code
made at run time. All modules but `frames` import numpy: import them once there are stacks."""
