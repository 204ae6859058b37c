/* bcc refuses to compile without it; nothing else of the kernel's configuration is needed. */
#define CONFIG_BPF_SYSCALL 1
