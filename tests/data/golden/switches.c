/* test */
/* slot 0: sched_switch(next) = 16 */
/* slot 1: task_struct.tgid = 2420 */
/* slot 2: task_struct.pid = 2416 */
#define PP_HAVE_FETCH 1
#include <probeplan/runtime.h>

struct control {
	u64 enabled[1]; /* one bit per probe; all 0: disarmed */
	u64 deadline, self, counting, cap, rate_gap, rate_burst;
	struct { u64 sample, cap, rate_gap, rate_burst, epoch; } probe[1];
};
struct metric_counts { u64 counted, filtered, map_full, map_busy, count, high, value; };
struct ledger {
	u64 happened, entered, expired, late, not_target, filtered, sampled_out, unpaired, map_full, too_deep, accepted, rate_limited, over_cap, ring_lost, recorded, keys_full, faulted, truncated, division_by_zero, tick, gap, weight, abandoned, execed, exited, at_bound, started, ended, cancelled, replaced, repeated, no_start, raced;
	struct metric_counts metric[1];
};
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

PP_INLINE void hook_0_hit_work(unsigned long long *ctx, struct control *control, struct ledger *ledger)
{
	FUSE(0, 0);
	u32 fault = 0, cut = 0;
	u64 word_0 = PP_RECORD(u64, 0);
	PP_OPAQUE(word_0);
	ONLY_COUNTED(accepted);
	/* the task that the event belongs to */
	fault = 0;
	u64 task = (u64)word_0;
	u32 pid = 0, tid = 0;
	fault |= pp_read(0, &pid, 4, PP_MEMBER(task, 1)) != 0;
	fault |= pp_read(0, &tid, 4, PP_MEMBER(task, 2)) != 0;
	if (fault) {
		COUNT(faulted);
		DROP(filtered);
	}
	/* target: not probeplan itself */
	if (pid == (u32)control->self)
		DROP(not_target);
	/* where: tid != 0 */
	if (!(((u32)tid != (u32)0ULL)))
		DROP(filtered);
	/* sample: 1/1 at first; N is in the control element */
	u64 weight = PP_READ(control->probe[0].sample);
	if (weight > 1)
		weight = pp_sampled(&ledger->gap, &ledger->weight, weight);
	if (!weight) {
		DROP(sampled_out);
	}
	COUNT(accepted);
	/* metric runs: count of 1 by tid */
	do {
		struct metric_counts *metric = &ledger->metric[0];
		char key[8] __attribute__((aligned(8))) = {};
		*(u32 *)(key + 0) = (u32)((u32)tid);
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
}

/* run: rawtracepoint:sched_switch, hit, by raw tracepoint */
int hook_0_hit(unsigned long long *ctx)
{
	u32 none = 0;
	struct control *control = pp_map_lookup(PP_MAP(1), &none);
	if (!control)
		return 0;
	{
		u32 side = 0;
		struct ledger *ledger = pp_map_lookup(PP_MAP(3), &side);
		if (ledger)
			hook_0_hit_work(ctx, control, ledger);
	}
	return 0;
}
