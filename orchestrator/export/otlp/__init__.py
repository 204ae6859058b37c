"""Series as OTLP metrics and records as OTLP log records, sent in threads."""
