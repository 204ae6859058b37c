"""The process that attaches the probes of a test session, reads them and judges what they saw."""
