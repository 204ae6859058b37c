/* Left empty: bcc puts its own bpf.h first. */
