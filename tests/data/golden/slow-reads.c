/* test */
/* slot 0: vfs_read(count) = 16 */
/* slot 1: vfs_read(return value) = 32 */
#define PP_HAVE_FETCH 1
#include <probeplan/runtime.h>

struct control {
	u64 enabled[1]; /* one bit per probe; all 0: disarmed */
	u64 deadline, self, counting, cap, rate_gap, rate_burst;
	struct { u64 sample, cap, rate_gap, rate_burst, epoch; } probe[1];
	u64 param[1]; /* 0: threshold */
};
struct metric_counts { u64 counted, filtered, map_full, map_busy, count, high, value; };
struct ledger {
	u64 happened, entered, expired, late, not_target, filtered, sampled_out, unpaired, map_full, too_deep, accepted, rate_limited, over_cap, ring_lost, recorded, keys_full, faulted, truncated, division_by_zero, tick, gap, weight, abandoned, execed, exited, at_bound, started, ended, cancelled, replaced, repeated, no_start, raced;
	struct metric_counts metric[2];
};
#define PP_OPEN 5
#define PP_CALLERS 8
#define PP_LEDGER 3
#define PP_MOST_OVER 32
#define PP_LINK_ON_STACK 1
#include <probeplan/calls.h>
#define LINE_PAD 7
#define SHARED_LINES 4
#define ENABLED_WORDS 1

struct line { u64 word, pad[LINE_PAD]; };
struct shared { struct line line[SHARED_LINES]; };
struct cell { u64 count, value; };
struct sum_cell { u64 count, high, value; };

#define COUNT(word) PP_ADD(&ledger->word, 1)
#define DROP(word) do { COUNT(word); return; } while (0)

PP_INLINE void disarm(struct control *control)
{
#pragma clang loop unroll(full)
	for (u32 i = 0; i < ENABLED_WORDS; i++)
		PP_WRITE(control->enabled[i], 0);
}

/* The first event of a CPU in a tick reads the clock; past the deadline it disarms all probes. */
PP_INLINE int over(struct control *control, struct ledger *ledger)
{
	u64 tick = pp_jiffies64();
	if (PP_LIKELY(tick == ledger->tick))
		return 0;
	ledger->tick = tick;
	if (pp_ktime_ns() < control->deadline)
		return 0;
	disarm(control);
	return 1;
}

#define FUSE(word, bit)                                                                    \
	do {                                                                               \
		if (!(PP_READ(control->enabled[word]) >> (bit) & 1) || over(control, ledger)) \
			DROP(expired);                                                     \
		COUNT(entered);                                                            \
	} while (0)

/* The programs of a canary do no more with an event than to count it. */
#define ONLY_COUNTED(word)                                                                 \
	do {                                                                               \
		if (PP_UNLIKELY(control->counting))                                        \
			DROP(word);                                                        \
	} while (0)

struct frame_0 {
	PP_CALL_HEAD;
	u64 c0 __attribute__((aligned(8))); /* args.count */
	char c1[16] __attribute__((aligned(8))); /* comm */
};

PP_INLINE void hook_0_entry_work(unsigned long long *ctx, struct control *control, struct ledger *ledger)
{
	FUSE(0, 0);
	u32 fault = 0, cut = 0;
	u64 word_0 = PP_RECORD(u64, 0);
	PP_OPAQUE(word_0);
	struct pp_call call = {.task = pp_task(), .place = pp_address(ctx), .hook = 0};
	/* target: comm in (postgres*), not probeplan itself */
	u64 identity = pp_pid_tgid();
	u32 pid = (u32)(identity >> 32), tid = (u32)identity;
	if (pid == (u32)control->self)
		DROP(not_target);
	u64 name[2] = {};
	pp_comm(name, sizeof name);
	if (!(((name[0] & 0xffffffffffffffffULL) == 0x7365726774736f70ULL)))
		DROP(not_target);
	ONLY_COUNTED(accepted);
	/* where: args.count >= 4096 */
	if (!(((u64)word_0 >= (u64)4096ULL)))
		DROP(filtered);
	/* sample: 1/10 at first; N is in the control element */
	u64 weight = PP_READ(control->probe[0].sample);
	if (weight > 1)
		weight = pp_sampled(&ledger->gap, &ledger->weight, weight);
	if (!weight) {
		DROP(sampled_out);
	}
	struct pp_caller *caller = pp_caller_of(&call.task);
	if (!caller)
		DROP(map_full);
	char space[72] __attribute__((aligned(8))) = {};
	struct frame_0 *frame = (void *)space;
	frame->head.weight = (u32)weight;
	pp_open((void *)frame, caller, PP_FUNCTION, 0, 0, (u32)PP_READ(control->probe[0].epoch));
	frame->c0 = (u64)word_0;
	fault = cut = 0;
	pp_comm((char *)frame->c1, 16);
	frame->head.time = pp_ktime_ns();
	if (pp_push(PP_MAP(5), &call, &call.depth, PP_DEPTH, space))
		DROP(map_full);
	pp_link(caller, &call);
	COUNT(accepted);
}

PP_INLINE void hook_0_return_kept(unsigned long long *ctx, struct control *control, struct ledger *ledger, struct frame_0 *frame)
{
	u32 fault = 0, cut = 0;
	u64 word_0 = PP_RECORD(u64, 1);
	PP_OPAQUE(word_0);
	/* where: elapsed > params.threshold */
	u64 now = pp_ktime_ns();
	if (!(((u64)((u64)(now - frame->head.time)) > (u64)((u64)control->param[0]))))
		DROP(filtered);
	const u64 weight = frame->head.weight;
	if (now >= control->deadline)
		DROP(late);
	COUNT(accepted);
	/* metric calls: count of 1 by comm */
	do {
		struct metric_counts *metric = &ledger->metric[0];
		char key[16] __attribute__((aligned(8))) = {};
		__builtin_memcpy(key + 0, frame->c1, 16);
		cut = frame->head.nulls >> 33 & 1;
		u32 full = 0;
		struct cell *cell = pp_map_lookup(PP_MAP(1000), key);
		if (!cell) {
			struct cell fresh = {0, 0x0ULL};
			s64 error = pp_map_update(PP_MAP(1000), key, &fresh, PP_NOEXIST);
			if (error == 0 || error == PP_EEXIST)
				cell = pp_map_lookup(PP_MAP(1000), key);
			full = error == PP_E2BIG;
		}
		if (full) {
			PP_ADD(&metric->map_full, 1);
			PP_ADD(&metric->count, weight);
			break;
		}
		if (!cell) {
			PP_ADD(&metric->map_busy, 1);
			break;
		}
		PP_ADD(&metric->counted, 1);
		PP_ADD(&cell->count, weight);
	} while (0);
	/* metric latency: histogram of elapsed */
	do {
		struct metric_counts *metric = &ledger->metric[1];
		u64 value = (u64)((u64)((u64)(now - frame->head.time)));
		u32 bucket = pp_log_bucket((u64)value);
		{
			u64 *cell = pp_map_lookup(PP_MAP(5001), &bucket);
			if (cell)
				PP_ADD(cell, weight);
		}
	} while (0);
	/* record */
	do {
		u32 none = 0;
		struct shared *shared = pp_map_lookup(PP_MAP(2), &none);
		if (!shared) {
			COUNT(rate_limited);
			break;
		}
		if (!pp_rate_allows(&shared->line[0].word, now, control->rate_gap, control->rate_burst)) {
			COUNT(rate_limited);
			break;
		}
		{
			u64 cap = control->cap, taken = pp_take(&shared->line[1].word, cap);
			if (taken >= cap) {
				COUNT(over_cap);
				break;
			}
			if (taken + 1 >= cap) /* the last record that is allowed */
				disarm(control);
		}
		char *slot = pp_ringbuf_reserve(PP_MAP(4), 72, 0);
		if (!slot) {
			COUNT(ring_lost);
			break;
		}
		u32 nulls = 0, truncated = 0, cut = 0;
		/* wanted = args.count, u64 */
		*(u64 *)(slot + 48) = (u64)((frame->c0));
		/* got = retval, s64 */
		*(u64 *)(slot + 56) = (u64)((s64)word_0);
		/* took = elapsed, u64 */
		*(u64 *)(slot + 64) = (u64)((u64)((u64)(now - frame->head.time)));
		*(u64 *)slot = now;
		*(u16 *)(slot + 8) = 0;
		*(u16 *)(slot + 10) = (u16)pp_cpu();
		*(u32 *)(slot + 20) = (u32)weight;
		*(u32 *)(slot + 24) = nulls;
		*(u32 *)(slot + 28) = truncated;
		u64 identity = pp_pid_tgid();
		u32 pid = (u32)(identity >> 32), tid = (u32)identity;
		pp_comm(slot + 32, 16);
		*(u32 *)(slot + 12) = pid;
		*(u32 *)(slot + 16) = tid;
		COUNT(recorded);
		pp_ringbuf_submit(slot, 0);
	} while (0);
}

PP_INLINE void hook_0_return_work(unsigned long long *ctx, struct control *control, struct ledger *ledger)
{
	FUSE(0, 0);
	u32 fault = 0, cut = 0;
	ONLY_COUNTED(unpaired);
	struct pp_call call = {.task = pp_task(), .place = pp_address(ctx), .hook = 0};
	struct pp_frame *outer = 0;
	struct pp_opened *frame = (void *)pp_top(PP_MAP(5), &call, &call.depth, PP_DEPTH, &outer);
	if (!frame || frame->head.returned || frame->epoch != (u32)PP_READ(control->probe[0].epoch))
		DROP(unpaired);
	frame->head.returned = 1;
	hook_0_return_kept(ctx, control, ledger, (void *)frame);
}

/* read: function:vfs_read, entry, by fentry */
int hook_0_entry(unsigned long long *ctx)
{
	u32 none = 0;
	struct control *control = pp_map_lookup(PP_MAP(1), &none);
	if (!control)
		return 0;
	if (!control->counting && (PP_READ(control->enabled[0]) & 0x1ULL))
		pp_leave(pp_address(ctx), PP_FUNCTION, 0, 0);
	{
		u32 side = 0;
		struct ledger *ledger = pp_map_lookup(PP_MAP(3), &side);
		if (ledger)
			hook_0_entry_work(ctx, control, ledger);
	}
	return 0;
}

/* read: function:vfs_read, return, by fentry */
int hook_0_return(unsigned long long *ctx)
{
	u32 none = 0;
	struct control *control = pp_map_lookup(PP_MAP(1), &none);
	if (!control)
		return 0;
	{
		u32 side = 1;
		struct ledger *ledger = pp_map_lookup(PP_MAP(3), &side);
		if (ledger)
			hook_0_return_work(ctx, control, ledger);
	}
	if (!control->counting && (PP_READ(control->enabled[0]) & 0x1ULL))
		pp_return(pp_address(ctx), PP_FUNCTION, 0);
	return 0;
}

/* Calls that are open when a thread ends, or another program takes its place. */
int end_calls(unsigned long long *ctx)
{
	pp_end_task(pp_task());
	return 0;
}

/* What the thread did after that, on its way to its end. */
int free_calls(unsigned long long *ctx)
{
	pp_end_task(ctx[0]);
	return 0;
}

int replace_calls(unsigned long long *ctx)
{
	pp_exec_task(pp_task());
	return 0;
}
