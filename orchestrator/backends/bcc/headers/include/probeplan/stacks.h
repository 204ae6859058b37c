/* Stacks: taken into scratch memory, numbered by a hash, kept once.
 *
 * The generated program defines PP_STACK_DEPTH, PP_STACKS, PP_STACK_SCRATCH, PP_STACK_COUNTS and
 * PP_STACK_NESTING before. The number is a 64-bit hash of owner and addresses; two of n stacks have
 * the same number with a probability of n * n / 2^65.
 */
#ifndef PROBEPLAN_STACKS_H
#define PROBEPLAN_STACKS_H

#include <probeplan/runtime.h>

#define PP_EFAULT (-14)
#define PP_STACK_LOST 0 /* shown as null */
#define PP_STACK_EMPTY 1
#define PP_STACK_FIRST 2

struct pp_stack {
	u16 user;
	u16 shown; /* the most frames that the plan wants; 0: all */
	u32 owner; /* the process; of a kernel stack the place that it was taken at, as pp_stack takes it */
	u64 ip[PP_STACK_DEPTH];
};
struct pp_scratch {
	u64 busy;
	u64 words; /* those of the stack from here on are 0 */
	struct pp_stack stack;
};
struct pp_stack_counts {
	u64 kept, full, busy;
};

#define PP_STACK_COUNT(word)                                                                       \
	do {                                                                                       \
		u32 none = 0;                                                                      \
		struct pp_stack_counts *counts = pp_map_lookup(PP_MAP(PP_STACK_COUNTS), &none);    \
		if (counts)                                                                        \
			PP_ADD(&counts->word, 1);                                                  \
	} while (0)

/* Scratch memory of this CPU that no running program uses. A program stays on its CPU; others may run
 * in between: interrupts, and other tasks where programs can be preempted. Kernels without fetching
 * atomics (before 5.12) run tracing programs with preemption off (kernel/trace/bpf_trace.c; 5.10's
 * migrate_disable() is preempt_disable()), so a program that interrupts us has returned its scratch
 * before we continue, and a plain flag is enough. */
PP_INLINE struct pp_scratch *pp_scratch(void)
{
#pragma clang loop unroll(full)
	for (u32 slot = 0; slot < PP_STACK_NESTING; slot++) {
		u32 at = slot;
		struct pp_scratch *scratch = pp_map_lookup(PP_MAP(PP_STACK_SCRATCH), &at);
		if (!scratch)
			return 0;
#ifdef PP_HAVE_FETCH
		if (PP_XCHG(&scratch->busy, 1) == 0)
			return scratch;
#else
		if (PP_READ(scratch->busy) == 0) {
			PP_WRITE(scratch->busy, 1);
			return scratch;
		}
#endif
	}
	return 0;
}

/* Every step is a bijection of the hash for a given address, and of the address for a given hash. */
#define PP_STACK_MIX(n)                                                                            \
	do {                                                                                       \
		hash = (hash ^ ip[n]) * 0x9e3779b97f4a7c15ULL;                                     \
		hash ^= hash >> 32;                                                                \
	} while (0)

/* bpf_get_stack fills unused words with zeros (kernel/bpf/stackmap.c), so that eight addresses need
 * one test: the verifier follows few paths. */
PP_INLINE u64 pp_stack_number(const struct pp_stack *stack)
{
	u64 hash = (u64)stack->owner << 32 | (u32)stack->shown << 8 | stack->user;
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < PP_STACK_DEPTH; at += 8) {
		const u64 *ip = &stack->ip[at];
		if (ip[0] == 0)
			break;
		PP_STACK_MIX(0);
		PP_STACK_MIX(1);
		PP_STACK_MIX(2);
		PP_STACK_MIX(3);
		PP_STACK_MIX(4);
		PP_STACK_MIX(5);
		PP_STACK_MIX(6);
		PP_STACK_MIX(7);
	}
	return hash < PP_STACK_FIRST ? hash + PP_STACK_FIRST : hash;
}

/* The number of `stack`, which is kept if it is new; PP_STACK_LOST when the map is full or busy. */
PP_INLINE u64 pp_stack_kept(const struct pp_stack *stack)
{
	u64 number = pp_stack_number(stack);
	if (PP_LIKELY(pp_map_lookup(PP_MAP(PP_STACKS), &number)))
		return number;
	s64 error = pp_map_update(PP_MAP(PP_STACKS), &number, stack, PP_NOEXIST);
	if (error == PP_EEXIST)
		return number;
	if (error == 0) {
		PP_STACK_COUNT(kept);
		return number;
	}
	if (error == PP_E2BIG)
		PP_STACK_COUNT(full);
	else
		PP_STACK_COUNT(busy);
	return PP_STACK_LOST;
}

/* Whether the current task has no user memory: a kernel thread, or an exiting task. */
PP_INLINE int pp_has_no_memory(s64 mm_offset)
{
	u64 memory = 0;
	if (mm_offset < 0)
		return 1;
	return pp_read(0, &memory, 8, pp_task() + mm_offset) == 0 && memory == 0;
}

/* Zero what an earlier stack left behind the first `taken` words. */
PP_INLINE void pp_clear_rest(struct pp_scratch *scratch, u32 taken)
{
	u64 words = PP_READ(scratch->words);
#pragma clang loop unroll(disable)
	for (u32 at = taken; at < PP_STACK_DEPTH; at++) {
		if (at >= words)
			break;
		PP_WRITE(scratch->stack.ip[at], 0);
	}
}

/* The number of the current task's stack, of which `taken` frames are kept (0: as many as there is room
 * for) and `shown` are wanted. `place`: at a trampoline the hook's number and 1, else 0. The
 * probed function may be missing among the addresses: where the trampoline also calls the function,
 * newer kernels enter it by a jump from the function's start instead of a call (bpf_trampoline_use_jmp
 * in include/linux/bpf.h). EFAULT means that there is none, or that the kernel's own
 * buffers are in use: a stack that must exist (`sure`, or a task with memory) was then lost. */
PP_INLINE u64 pp_stack(void *ctx, int user, u32 place, int sure, s64 mm_offset, u32 shown, u32 taken)
{
	struct pp_scratch *scratch = pp_scratch();
	if (!scratch) {
		PP_STACK_COUNT(busy);
		return PP_STACK_LOST;
	}
	u64 number = PP_STACK_EMPTY;
	u32 size = sizeof scratch->stack.ip;
	scratch->stack.user = user;
	scratch->stack.shown = shown;
	scratch->stack.owner = user ? pp_pid_tgid() >> 32 : place;
	if (taken && taken < PP_STACK_DEPTH) {
		size = taken * 8;
		pp_clear_rest(scratch, taken);
	}
	s64 got = pp_get_stack(ctx, scratch->stack.ip, size, user ? PP_STACK_USER : 0);
	PP_WRITE(scratch->words, got > 0 ? (u64)got / 8 : 0);
	if (got > 0) {
		number = pp_stack_kept(&scratch->stack);
	} else if (got < 0) {
		if (got != PP_EFAULT || sure || (user && !pp_has_no_memory(mm_offset))) {
			PP_STACK_COUNT(busy);
			number = PP_STACK_LOST;
		}
	}
	PP_WRITE(scratch->busy, 0);
	return number;
}

/* The number of the kernel stack of another task, which an iterator shows, as pp_stack. EFAULT means that it
 * has none any more, since it has exited, or that the kernel's own buffers are in use
 * (bpf_get_task_stack). Of a task that runs meanwhile there are no frames, or some. */
PP_INLINE u64 pp_shown_stack(void *task, u64 exit_state, u32 shown)
{
	if (!task)
		return PP_STACK_EMPTY;
	struct pp_scratch *scratch = pp_scratch();
	if (!scratch) {
		PP_STACK_COUNT(busy);
		return PP_STACK_LOST;
	}
	u64 number = PP_STACK_EMPTY;
	u32 size = sizeof scratch->stack.ip, exited = 0;
	scratch->stack.user = 0;
	scratch->stack.shown = shown;
	scratch->stack.owner = 0;
	if (shown && shown < PP_STACK_DEPTH) {
		size = shown * 8;
		pp_clear_rest(scratch, shown);
	}
	s64 got = pp_get_task_stack(task, scratch->stack.ip, size, 0);
	PP_WRITE(scratch->words, got > 0 ? (u64)got / 8 : 0);
	if (got > 0) {
		number = pp_stack_kept(&scratch->stack);
	} else if (got < 0) {
		pp_read(0, &exited, 4, exit_state);
		if (got != PP_EFAULT || !exited) {
			PP_STACK_COUNT(busy);
			number = PP_STACK_LOST;
		}
	}
	PP_WRITE(scratch->busy, 0);
	return number;
}

/* The number of a stack of one frame: an address in the current task's memory, to be named as those of
 * stacks are, also when the process has ended. */
PP_INLINE u64 pp_user_symbol(u64 address)
{
	if (!address)
		return PP_STACK_EMPTY;
	struct pp_scratch *scratch = pp_scratch();
	if (!scratch) {
		PP_STACK_COUNT(busy);
		return PP_STACK_LOST;
	}
	scratch->stack.user = 1;
	scratch->stack.shown = 0;
	scratch->stack.owner = pp_pid_tgid() >> 32;
	pp_clear_rest(scratch, 1);
	PP_WRITE(scratch->stack.ip[0], address);
	PP_WRITE(scratch->words, 1);
	u64 number = pp_stack_kept(&scratch->stack);
	PP_WRITE(scratch->busy, 0);
	return number;
}

#endif
