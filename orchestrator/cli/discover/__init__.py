"""Finding what there is: plans by their questions, and the schemas of documents."""
