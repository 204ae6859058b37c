"""The bcc backend: a program becomes C, instructions, and programs in the kernel."""
