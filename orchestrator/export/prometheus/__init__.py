"""Series for Prometheus: text, files of node_exporter, and an endpoint."""
