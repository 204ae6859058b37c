"""Finding what there is: attach points, plans by their questions, the schemas of documents."""
