/* Everything that generated programs may use.
 *
 * Helper numbers are UAPI and never change (include/uapi/linux/bpf.h, __BPF_FUNC_MAPPER). The names
 * are our own: bcc defines static pointers called bpf_* with narrower types, and its rewriter follows
 * pointers that come from a function called bpf_get_current_task and turns their dereferences into
 * bpf_probe_read (number 4). It does not touch pp_*, static functions, anything in an included file,
 * or the parameters of `int NAME(unsigned long long *ctx)`. All returns are 64 bits wide, like the
 * registers, so that errors compare as negative without extensions.
 */
#ifndef PROBEPLAN_PRELUDE_H
#define PROBEPLAN_PRELUDE_H

#include <linux/types.h>

#define PP_INLINE static inline __attribute__((always_inline))
#define PP_LIKELY(x) __builtin_expect(!!(x), 1)
#define PP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A map by its placeholder: a BPF_LD_IMM64 with BPF_PSEUDO_MAP_FD that the loader patches. */
#define PP_MAP(placeholder) ((void *)bpf_pseudo_fd(1, (placeholder)))

/* Relaxed 64-bit atomics. PP_ADD works on every kernel; the fetching ones need 5.12 or later, and
 * are used only where a trial load (can_fetch_atomics) succeeds. */
#define PP_ADD(ptr, n) ((void)__sync_fetch_and_add((ptr), (n)))
#define PP_FETCH_ADD(ptr, n) __sync_fetch_and_add((ptr), (n))
#define PP_XCHG(ptr, new) __sync_lock_test_and_set((ptr), (new))
#define PP_CMPXCHG(ptr, old, new) __sync_val_compare_and_swap((ptr), (old), (new))

/* One load or store that the compiler neither repeats nor drops. */
#define PP_READ(lvalue) (*(volatile __typeof__(lvalue) *)&(lvalue))
#define PP_WRITE(lvalue, value) (*(volatile __typeof__(lvalue) *)&(lvalue) = (value))
/* Stops the compiler from reasoning about a value whose bounds the verifier must see. */
#define PP_OPAQUE(variable) __asm__ volatile("" : "+r"(variable))
/* An arm of a conditional. Without it, two loads from the context become one load from a computed
 * address, which the verifier refuses: "dereference of modified ctx ptr". */
#define PP_ARM(value) ({ u64 arm = (u64)(value); PP_OPAQUE(arm); arm; })

/* Numbers of the host, by slot, open until a program is loaded (compiler/places.py): one program serves
 * all hosts of its shape. The placeholders are the compiler's caller's to choose. Each form is one
 * instruction that the compiler cannot change: a 64-bit immediate, the addition of a 32-bit immediate,
 * and a load from the context at a 16-bit offset: the verifier wants a constant one there. */
#ifndef PP_OPEN_IMMEDIATE
#define PP_OPEN_IMMEDIATE 0x20000000
#define PP_OPEN_HIGH 0x20000000ULL
#define PP_OPEN_BELOW 0x7fff
#endif
#define PP_NUMBER(slot)                                                                            \
	({                                                                                         \
		u64 pp_number;                                                                     \
		__asm__("%0 = %1 ll"                                                               \
			: "=r"(pp_number)                                                          \
			: "i"((PP_OPEN_HIGH << 32) + PP_OPEN_IMMEDIATE + (slot)));                 \
		pp_number;                                                                         \
	})

#define PP_MEMBER(base, slot)                                                                      \
	({                                                                                         \
		u64 pp_member = (u64)(base);                                                       \
		__asm__("%0 += %1" : "+r"(pp_member) : "i"(PP_OPEN_IMMEDIATE + (slot)));           \
		pp_member;                                                                         \
	})
/* The same for inlined functions, which get offsets as constants: PP_SLOT(slot), or the offset itself. */
#define PP_SLOT(slot) (0x40000000U + (slot))
#define PP_IS_SLOT(offset) ((offset) >= PP_SLOT(0))
#define PP_AT(base, offset)                                                                        \
	(PP_IS_SLOT(offset) ? PP_MEMBER(base, (offset) - PP_SLOT(0)) : (u64)(base) + (offset))
#define PP_OFFSET(offset) (PP_IS_SLOT(offset) ? PP_NUMBER((offset) - PP_SLOT(0)) : (u64)(offset))
#define PP_RECORD(kind, slot)                                                                      \
	({                                                                                         \
		u64 pp_field;                                                                      \
		__asm__ volatile("%0 = *(" #kind " *)(%1 - %2)"                                    \
				 : "=r"(pp_field)                                                  \
				 : "r"(ctx), "i"(PP_OPEN_BELOW - (slot)));                        \
		(kind)pp_field;                                                                    \
	})

/* bpf_map_update_elem flags */
#define PP_ANY 0
#define PP_NOEXIST 1
#define PP_EXIST 2
/* bpf_ringbuf_{submit,discard} flags; pp_ringbuf_query selectors */
#define PP_RB_NO_WAKEUP 1
#define PP_RB_FORCE_WAKEUP 2
#define PP_RB_AVAIL_DATA 0
#define PP_RB_RING_SIZE 1
#define PP_RB_CONS_POS 2
#define PP_RB_PROD_POS 3
/* bpf_get_stack: skip in bits 0-7, then */
#define PP_STACK_USER 256
/* perf event index of the running CPU */
#define PP_CURRENT_CPU 0xffffffffULL

static void *(*const pp_map_lookup)(void *map, const void *key) = (void *)1;
/* int, not s64: up to 6.3 the verifier calls the map's own function, which clears the upper half of
 * the register (6.4: "bpf: return long from bpf_map_ops funcs"), and -EEXIST would be 2^32 - 17. */
static int (*const pp_map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static int (*const pp_map_delete)(void *map, const void *key) = (void *)3;

static u64 (*const pp_ktime_ns)(void) = (void *)5;             /* CLOCK_MONOTONIC */
static u64 (*const pp_ktime_boot_ns)(void) = (void *)125;      /* CLOCK_BOOTTIME */
static u64 (*const pp_jiffies64)(void) = (void *)118;
static u64 (*const pp_prandom_u32)(void) = (void *)7;
static u64 (*const pp_cpu)(void) = (void *)8;

static u64 (*const pp_pid_tgid)(void) = (void *)14;            /* tgid << 32 | tid */
static u64 (*const pp_uid_gid)(void) = (void *)15;             /* gid << 32 | uid */
static s64 (*const pp_comm)(void *to, u32 size) = (void *)16;
static u64 (*const pp_cgroup_id)(void) = (void *)80;
static u64 (*const pp_ancestor_cgroup_id)(int level) = (void *)123;
static u64 (*const pp_task)(void) = (void *)35;                /* struct task_struct *, as a number */

static s64 (*const pp_read_user)(void *to, u32 size, const void *from) = (void *)112;
static s64 (*const pp_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static s64 (*const pp_read_user_str)(void *to, u32 size, const void *from) = (void *)114;
static s64 (*const pp_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;

static s64 (*const pp_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const pp_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const pp_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*const pp_ringbuf_discard)(void *data, u64 flags) = (void *)133;
static u64 (*const pp_ringbuf_query)(void *ring, u64 which) = (void *)134;

static s64 (*const pp_get_stack)(void *ctx, void *to, u32 size, u64 flags) = (void *)67;
static s64 (*const pp_get_task_stack)(void *task, void *to, u32 size, u64 flags) = (void *)141; /* 5.9 */
static s64 (*const pp_get_stackid)(void *ctx, void *map, u64 flags) = (void *)27;
static s64 (*const pp_perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static s64 (*const pp_perf_event_read_value)(void *map, u64 flags, void *to, u32 size) = (void *)55;
static u64 (*const pp_func_ip)(void *ctx) = (void *)173;
static u64 (*const pp_attach_cookie)(void *ctx) = (void *)174;

#endif
