"""Records of runs, checked and added up."""
