"""The program as it is installed: what it runs on, shells' completion, plans prepared ahead."""
