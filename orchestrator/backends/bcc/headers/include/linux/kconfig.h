/* bcc does not compile without it; the rest of the kernel's configuration is not needed. */
#define CONFIG_BPF_SYSCALL 1
