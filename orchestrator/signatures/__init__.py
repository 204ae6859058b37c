"""Detached signatures in SSHSIG form: read once, and checked by ssh-keygen over bytes.

Knows nothing of plans or policies: what is signed is bytes, and FILE.sig is next to FILE.
"""
