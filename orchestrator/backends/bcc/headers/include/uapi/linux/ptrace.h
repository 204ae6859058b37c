/* bcc needs only the name; registers are read by index (probeplan/regs.h). */
struct pt_regs;
