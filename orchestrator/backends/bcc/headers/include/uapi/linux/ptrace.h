/* bcc looks only for the name; registers are read by index (probeplan/regs.h). */
struct pt_regs;
