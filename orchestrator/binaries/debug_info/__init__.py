"""The debug information of a program: names and types of its functions and structures, by DWARF 4
and 5.

Reading is bounded, since such a file may be of any size and may have been made to mislead: what is
not understood is not there.
"""
