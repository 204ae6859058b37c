"""The processes of a check: started, waited for and ended, so that none is left in any case."""
