"""From a file of kind ProbeCheck to a check."""
