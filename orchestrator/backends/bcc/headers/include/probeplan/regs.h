/* Registers of a kprobe, kretprobe, uprobe or uretprobe: indices into ctx, which then points at
 * struct pt_regs seen as 64-bit words (arch/<arch>/include/asm/ptrace.h). PP_REG_ARGn are the first
 * integer arguments of a C function, not of a system call.
 */
#ifndef PROBEPLAN_REGS_H
#define PROBEPLAN_REGS_H

#if defined(__x86_64__)
#define PP_REG_ARG0 14 /* di */
#define PP_REG_ARG1 13 /* si */
#define PP_REG_ARG2 12 /* dx */
#define PP_REG_ARG3 11 /* cx */
#define PP_REG_ARG4 9  /* r8 */
#define PP_REG_ARG5 8  /* r9 */
#define PP_REG_RET 10  /* ax */
#define PP_REG_FP 4    /* bp */
#define PP_REG_IP 16
#define PP_REG_SP 19
#elif defined(__aarch64__)
#define PP_REG_ARG0 0
#define PP_REG_ARG1 1
#define PP_REG_ARG2 2
#define PP_REG_ARG3 3
#define PP_REG_ARG4 4
#define PP_REG_ARG5 5
#define PP_REG_ARG6 6
#define PP_REG_ARG7 7
#define PP_REG_RET 0
#define PP_REG_FP 29
#define PP_REG_SP 31
#define PP_REG_IP 32
#else
#error "probeplan knows the registers of x86_64 and aarch64 only"
#endif

#endif
