/* bcc needs only the name; registers are read by index (design/registers.py). */
struct pt_regs;
