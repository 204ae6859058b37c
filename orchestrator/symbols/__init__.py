"""Addresses of stacks to names: the kernel's and its modules', a process's files, code made at run
time. All but `frames` imports numpy: do it once there are stacks."""
