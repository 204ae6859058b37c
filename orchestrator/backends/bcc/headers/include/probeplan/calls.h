/* Open calls: a frame from the entry of a call to its return, found by task, hook and stack pointer.
 *
 * So a call whose entry was filtered, sampled out or missed has no frame, and its return cannot take
 * another call's. A task is the address of its task_struct: the same before and after exec, also where
 * a thread takes another number, and one a CPU for idle tasks. `place` distinguishes nested calls of
 * a task: the stack pointer at the entry; at a trampoline the address of its context, which is on its
 * stack and the same for fentry and fexit; 0 for a system call, of which a task makes one at a time.
 *
 * The frames of a task are a list, the newest first, in which calls end in order. What is left
 * without a return (longjmp, an exception, rt_sigreturn) is dropped as soon as the stack pointer shows
 * that it is over, and what a task leaves behind at exec or at its end is dropped then.
 *
 * The generated program defines PP_OPEN, PP_CALLERS, PP_LEDGER, PP_LINK_ON_STACK, PP_MOST_OVER (how
 * many frames of a task one program looks at) and
 * struct ledger before.
 */
#ifndef PROBEPLAN_CALLS_H
#define PROBEPLAN_CALLS_H

#include <probeplan/runtime.h>

#define PP_DEPTH 4 /* calls of one hook at one place: functions that jump to each other at their end */
#define PP_STACK_BLOCK 14 /* a kernel stack has 16 KiB or more, aligned to its size: THREAD_SIZE */

enum pp_site { PP_FUNCTION, PP_SYSTEM_CALL, PP_USER_CODE };

struct pp_call {
	u64 task;
	u64 place;
	u32 hook;
	u32 depth;
};

#define PP_NO_HOOK 0xffffffffU
struct pp_link {
	u64 place;
	u32 hook; /* PP_NO_HOOK: there is no frame */
	u32 depth;
};

/* The frames of a task. */
struct pp_caller {
	struct pp_link newest;
};

/* The head of a frame: around it `outer`; `element` of the ledger is the side that opened it, at the
 * attach point `spot`, which several hooks may share; calls that were open while their probe was off
 * are not paired, since its `epoch` is another one. */
#define PP_CALL_HEAD                                                                               \
	struct pp_frame head;                                                                      \
	struct pp_link outer;                                                                      \
	u16 element, spot;                                                                         \
	u32 epoch

struct pp_opened {
	PP_CALL_HEAD;
};

/* The address of `pointer` as a number, which the verifier does not take for the pointer. */
PP_INLINE u64 pp_address(const void *pointer)
{
	u64 address = 0;
	const void *kept = pointer;
	pp_read_kernel(&address, sizeof address, &kept);
	return address;
}

/* The newest frame of `caller`, with its key in *at, where the task is set. */
PP_INLINE struct pp_opened *pp_newest(const struct pp_caller *caller, struct pp_call *at)
{
	at->place = caller->newest.place;
	at->hook = caller->newest.hook;
	at->depth = caller->newest.depth;
	return at->hook == PP_NO_HOOK ? 0 : pp_map_lookup(PP_MAP(PP_OPEN), at);
}

/* Delete a frame, and count `fate` where its entry was counted, unless the call has returned. */
#define PP_END_CALL(at, frame, fate)                                                               \
	do {                                                                                       \
		u32 element = (frame)->element, has_returned = (frame)->head.returned;             \
		if (pp_map_delete(PP_MAP(PP_OPEN), (at)) == 0 && !has_returned) {                  \
			struct ledger *opener = pp_map_lookup(PP_MAP(PP_LEDGER), &element);        \
			if (opener)                                                                \
				PP_ADD(&opener->fate, 1);                                          \
		}                                                                                  \
	} while (0)

/* Whether the user function at `call` was jumped to by another one at its end. It then returns to the
 * kernel's trampoline for return probes, the first word of a separate page
 * (kernel/events/uprobes.c, get_trampoline_vaddr). The compiler's own macros say for which machine it
 * was built, not for which kernels it compiles. */
PP_INLINE int pp_is_chained(const struct pp_call *call, u64 link)
{
	if (PP_LINK_ON_STACK)
		pp_read_user(&link, sizeof link, (void *)call->place);
	return (link & 4095) == 0;
}

/* Whether the call at `at` is over now that `call` begins at `spot`. User functions: as the kernel itself finds
 * calls that were left by longjmp (arch_uretprobe_is_alive). */
PP_INLINE int pp_is_over(const struct pp_opened *frame, const struct pp_call *at,
			 const struct pp_call *call, int site, u32 spot, u64 link)
{
	if (site == PP_SYSTEM_CALL)
		return frame->head.site != PP_USER_CODE;
	if (site == PP_USER_CODE) {
		if (frame->head.site != PP_USER_CODE || at->place < call->place)
			return 1;
		return at->place == call->place && !pp_is_chained(call, link);
	}
	if (frame->head.site != PP_FUNCTION || (at->place ^ call->place) >> PP_STACK_BLOCK)
		return 0;
	return at->place < call->place || (at->place == call->place && frame->spot == spot);
}

/* Drop what is over now that a call begins at `spot`: once for all hooks there, before the first of
 * them opens a frame, and before they judge the event, since also a call that is filtered ends those
 * that were left. */
PP_INLINE void pp_leave(u64 place, int site, u32 spot, u64 link)
{
	const struct pp_call begun = {.task = pp_task(), .place = place}, *call = &begun;
	struct pp_call at = {.task = call->task};
	struct pp_caller *caller = pp_map_lookup(PP_MAP(PP_CALLERS), &at);
	u32 step = 0, more;

	if (!caller)
		return;
#pragma clang loop unroll(disable)
	do {
		struct pp_opened *frame = pp_newest(caller, &at);
		more = frame && pp_is_over(frame, &at, call, site, spot, link);
		if (more) {
			caller->newest = frame->outer;
			PP_END_CALL(&at, frame, abandoned);
		}
		PP_OPAQUE(more);
	} while (more && ++step < PP_MOST_OVER);
}

/* The frames of a task, made at its first call. */
PP_INLINE struct pp_caller *pp_caller_of(u64 *task)
{
	struct pp_caller none = {.newest = {.hook = PP_NO_HOOK}};
	struct pp_caller *known = pp_map_lookup(PP_MAP(PP_CALLERS), task);
	if (known)
		return known;
	pp_map_update(PP_MAP(PP_CALLERS), task, &none, PP_NOEXIST);
	return pp_map_lookup(PP_MAP(PP_CALLERS), task);
}

/* Fill in what pairing needs of a frame. */
PP_INLINE void pp_open(struct pp_opened *frame, const struct pp_caller *caller, int site,
		       u32 element, u32 spot, u32 epoch)
{
	frame->head.site = site;
	frame->outer = caller->newest;
	frame->element = element;
	frame->spot = spot;
	frame->epoch = epoch;
}

PP_INLINE void pp_link(struct pp_caller *caller, const struct pp_call *call)
{
	caller->newest.place = call->place;
	caller->newest.hook = call->hook;
	caller->newest.depth = call->depth;
}

/* Whether the call at `at` is over when calls at `spot` and `place` have returned, and those of them
 * that are followed are marked: they themselves, and what was left inside them. */
PP_INLINE int pp_is_inside(const struct pp_opened *frame, const struct pp_call *at, u64 place,
			   int site, u32 spot)
{
	if (frame->spot == spot && at->place == place)
		return frame->head.returned;
	if (site == PP_SYSTEM_CALL)
		return frame->head.site == PP_FUNCTION;
	if (site == PP_USER_CODE)
		return frame->head.site != PP_USER_CODE || at->place < place;
	return frame->head.site == PP_FUNCTION && !((at->place ^ place) >> PP_STACK_BLOCK) &&
	       at->place < place;
}

/* Close the calls at `spot` that have returned, for all hooks there: once each of them has judged the
 * event, since they have frames between each other's. */
PP_INLINE void pp_return(u64 place, int site, u32 spot)
{
	struct pp_call at = {.task = pp_task()};
	struct pp_caller *caller = pp_map_lookup(PP_MAP(PP_CALLERS), &at);
	u32 step = 0, more;

	if (!caller)
		return;
#pragma clang loop unroll(disable)
	do {
		struct pp_opened *frame = pp_newest(caller, &at);
		more = frame && pp_is_inside(frame, &at, place, site, spot);
		if (more) {
			caller->newest = frame->outer;
			PP_END_CALL(&at, frame, abandoned);
		}
		PP_OPAQUE(more);
	} while (more && ++step < PP_MOST_OVER);
}

/* Whether the call of `hook` that this task is in has a frame: of a system call. */
PP_INLINE u32 pp_is_open(u32 hook, u32 epoch)
{
	struct pp_call call = {.task = pp_task(), .hook = hook};
	struct pp_opened *frame = pp_map_lookup(PP_MAP(PP_OPEN), &call);
	return frame && !frame->head.returned && frame->epoch == epoch;
}

/* The task has ended: nothing that is open returns. */
PP_INLINE void pp_end_task(u64 task)
{
	struct pp_call at = {.task = task};
	struct pp_caller *caller = pp_map_lookup(PP_MAP(PP_CALLERS), &task);
	u32 step = 0, more;

	if (!caller)
		return;
#pragma clang loop unroll(disable)
	do {
		struct pp_opened *frame = pp_newest(caller, &at);
		more = frame != 0;
		if (more) {
			caller->newest = frame->outer;
			PP_END_CALL(&at, frame, exited);
		}
		PP_OPAQUE(more);
	} while (more && ++step < PP_MOST_OVER);
	if (!more)
		pp_map_delete(PP_MAP(PP_CALLERS), &task);
}

/* Whether the call ends with this exec. A system call puts one program into its task: one that has done
 * so and sees another exec has returned unseen. Its return was that of a 32-bit program, which the
 * kernel's tracepoints of system calls omit, and so was the call that executes now. */
PP_INLINE int pp_ends_at_exec(struct pp_opened *frame)
{
	if (frame->head.site == PP_USER_CODE)
		return 1;
	if (frame->head.site == PP_SYSTEM_CALL) {
		if (frame->head.execed)
			return 1;
		frame->head.execed = 1;
	}
	return 0;
}

/* Another program runs in the task: its user functions do not return; what it does in the kernel, the
 * system call that did it included, goes on. */
PP_INLINE void pp_exec_task(u64 task)
{
	struct pp_call at = {.task = task}, inner = {.task = task, .hook = PP_NO_HOOK};
	struct pp_caller *caller = pp_map_lookup(PP_MAP(PP_CALLERS), &task);
	u32 step = 0, more = 1;

	if (!caller)
		return;
	struct pp_opened *frame = pp_newest(caller, &at);
#pragma clang loop unroll(disable)
	do {
		if (frame) {
			struct pp_link outer = frame->outer;
			if (pp_ends_at_exec(frame)) {
				struct pp_opened *from = 0;
				PP_END_CALL(&at, frame, execed);
				if (inner.hook != PP_NO_HOOK)
					from = pp_map_lookup(PP_MAP(PP_OPEN), &inner);
				if (from)
					from->outer = outer;
				else
					caller->newest = outer;
			} else {
				inner.place = at.place;
				inner.hook = at.hook;
				inner.depth = at.depth;
			}
			at.place = outer.place;
			at.hook = outer.hook;
			at.depth = outer.depth;
			frame = at.hook == PP_NO_HOOK ? 0 : pp_map_lookup(PP_MAP(PP_OPEN), &at);
		}
		more = frame != 0;
		PP_OPAQUE(more);
	} while (more && ++step < PP_MOST_OVER);
}

#endif
