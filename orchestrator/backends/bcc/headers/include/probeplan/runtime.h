/* What generated programs have in common: gates, pairing, arithmetic, strings.
 *
 * Everything is inlined; every loop has a bound. Errors are the kernel's negative errnos.
 */
#ifndef PROBEPLAN_RUNTIME_H
#define PROBEPLAN_RUNTIME_H

#include <probeplan/prelude.h>

#define PP_E2BIG (-7) /* -E2BIG: the map is full */
#define PP_EEXIST (-17)

/* ---------------------------------------------------------------- arithmetic
 * x // 0 and x % 0 are 0, counted in *by_zero. BPF before cpu v4 divides unsigned only, so signs
 * are handled here; the smallest s64 by -1 wraps to itself, as two's complement does. */

PP_INLINE u64 pp_udiv(u64 n, u64 d, u64 *by_zero)
{
	if (d == 0) {
		PP_ADD(by_zero, 1);
		return 0;
	}
	return n / d;
}

PP_INLINE u64 pp_umod(u64 n, u64 d, u64 *by_zero)
{
	if (d == 0) {
		PP_ADD(by_zero, 1);
		return 0;
	}
	return n % d;
}

PP_INLINE u64 pp_magnitude(s64 n)
{
	return n < 0 ? 0 - (u64)n : (u64)n;
}

PP_INLINE s64 pp_sdiv(s64 n, s64 d, u64 *by_zero)
{
	u64 q = pp_udiv(pp_magnitude(n), pp_magnitude(d), by_zero);
	return (s64)((n < 0) != (d < 0) ? 0 - q : q);
}

PP_INLINE s64 pp_smod(s64 n, s64 d, u64 *by_zero)
{
	u64 r = pp_umod(pp_magnitude(n), pp_magnitude(d), by_zero);
	return (s64)(n < 0 ? 0 - r : r);
}

/* ---------------------------------------------------------------- memory and strings */

PP_INLINE s64 pp_read(int user, void *to, u32 size, u64 from)
{
	return user ? pp_read_user(to, size, (void *)from) : pp_read_kernel(to, size, (void *)from);
}

/* Bytes read, with the closing NUL, at most `size`; negative when the memory cannot be read. */
PP_INLINE s64 pp_read_str(int user, void *to, u32 size, u64 from)
{
	return user ? pp_read_user_str(to, size, (void *)from)
		    : pp_read_kernel_str(to, size, (void *)from);
}

/* The same for a text of at most `n` bytes, which may have no NUL: what follows it need not be there.
 * A helper that fails leaves zeros, so that the text ends with a NUL. */
PP_INLINE s64 pp_read_text(int user, void *to, u64 n, u64 from)
{
	s64 got = pp_read_str(user, to, n + 1, from);
	if (got < 0 && (!n || pp_read(user, to, n, from) == 0))
		got = n + 1;
	return got;
}

/* The helpers return `size` for a string that just fits and for one that was cut; the byte that they
 * replaced by NUL distinguishes the two. */
PP_INLINE int pp_was_cut(int user, s64 got, u32 size, u64 from)
{
	u8 last = 0;
	return got == size && pp_read(user, &last, 1, from + size - 1) == 0 && last != 0;
}

/* Length of the string at `from`, at most `limit` - 1, read by pieces; negative: cannot be read. */
#define PP_PIECE 64
PP_INLINE s64 pp_length(int user, u64 from, u32 limit)
{
	char piece[PP_PIECE];
	u64 length = 0;
	s64 got = PP_PIECE;
#pragma clang loop unroll(full)
	for (u32 at = 0; at < limit; at += PP_PIECE - 1) {
		if (got != PP_PIECE)
			break;
		u32 size = limit - at < PP_PIECE ? limit - at : PP_PIECE;
		got = pp_read_str(user, piece, size, from + at);
		if (got < 0)
			return got;
		if (got > 0)
			length += got - 1;
	}
	return length;
}

/* Whether the first `limit` - 1 bytes of the string at `from` contain a text of at most 16 bytes. The
 * last 16 bytes are kept in two words, shifted byte by byte; the text is given in the same form, its
 * last byte lowest, with masks of its bytes. There are no branches, so that the verifier follows one
 * path. */
PP_INLINE int pp_holds(int user, u64 from, u32 limit, u64 high, u64 high_mask, u64 low,
		       u64 low_mask, u32 *fault)
{
	u64 above = 0, below = 0, found = 0;
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < limit; at += PP_PIECE - 1) {
		u64 words[PP_PIECE / 8] = {};
		u8 *piece = (u8 *)words;
		u32 size = limit - at < PP_PIECE ? limit - at : PP_PIECE;
		s64 got = pp_read_str(user, piece, size, from + at);
		if (got < 0) {
			*fault = 1;
			return 0;
		}
		/* Byte by byte, and the last is a NUL; kept in order, or the compiler would run
		 * out of stack for values computed ahead. */
#define PP_SLIDE(i)                                                                                \
	do {                                                                                       \
		above = above << 8 | below >> 56;                                                  \
		below = below << 8 | PP_READ(piece[i]);                                            \
		u64 differs = ((above & high_mask) ^ high) | ((below & low_mask) ^ low);           \
		found |= ((differs | (0 - differs)) >> 63) ^ 1;                                    \
		PP_OPAQUE(found);                                                                  \
	} while (0)
#define PP_SLIDE_7(i)                                                                              \
	PP_SLIDE(i); PP_SLIDE(i + 1); PP_SLIDE(i + 2); PP_SLIDE(i + 3); PP_SLIDE(i + 4);          \
	PP_SLIDE(i + 5); PP_SLIDE(i + 6)
		PP_SLIDE_7(0); PP_SLIDE_7(7); PP_SLIDE_7(14); PP_SLIDE_7(21); PP_SLIDE_7(28);
		PP_SLIDE_7(35); PP_SLIDE_7(42); PP_SLIDE_7(49); PP_SLIDE_7(56);
		if (got != PP_PIECE)
			break;
	}
	return found;
}

/* Zero and copy `size` bytes, a multiple of 8, at an address that is a multiple of 8. Word by word:
 * the compiler would turn a long piece into a call of memset or memcpy, which BPF lacks. */
PP_INLINE void pp_zero(char *to, u32 size)
{
#pragma clang loop unroll(full)
	for (u32 at = 0; at < size; at += 8)
		PP_WRITE(*(u64 *)(to + at), 0);
}

PP_INLINE void pp_copy(char *to, const char *from, u32 size)
{
#pragma clang loop unroll(full)
	for (u32 at = 0; at < size; at += 8)
		PP_WRITE(*(u64 *)(to + at), *(u64 *)(from + at));
}

/* ---------------------------------------------------------------- buffers and lists of strings
 * A list is a word that counts the bytes in use, then strings with their NULs: at most `limit` bytes,
 * and room for the last piece. Strings are appended in pieces of one size, since the verifier must
 * see that position and size stay inside. */
#define PP_CHUNK 32 /* PIECE, compile/expressions/types.py */

/* The verifier follows each known value separately, so that each round of a loop doubles its work.
 * Adding the difference of two numbers that are unknown to it (both are `any`, from a helper) leaves
 * the value unchanged and makes it unknown. */
#define PP_FORGET(value, any)                                                                      \
	do {                                                                                       \
		u64 one = (any), other = (any);                                                    \
		PP_OPAQUE(one);                                                                    \
		PP_OPAQUE(other);                                                                  \
		(value) += one - other;                                                            \
	} while (0)

/* `left` is the address of the rest of the current string, 0 after its end. `state` holds bits: */
struct pp_list {
	u64 used, left, state, any;
};
#define PP_FAULT 1 /* a read failed */
#define PP_CUT 2
#define PP_LAST 4 /* the current string is the last */
#define PP_DONE 8 /* leave the loop: only at its end, or the compiler orders its blocks in a way that
		   * kernels such as 6.1 refuse (check_cfg: "back-edge") */
#define PP_ROOTED (1ULL << 31) /* the path reached the root */

/* One piece of the current string. */
PP_INLINE void pp_append(struct pp_list *list, int user, char *to, u32 limit)
{
	u64 used = list->used;
	PP_FORGET(used, list->any);
	if (used >= limit) {
		list->state |= PP_CUT | PP_DONE;
		return;
	}
	s64 got = pp_read_str(user, to + 4 + used, PP_CHUNK, list->left);
	if (got < 0) {
		list->state |= PP_FAULT | PP_DONE;
		return;
	}
	/* The helpers end an incomplete piece with a NUL, which the next piece overwrites. */
	list->left = got < PP_CHUNK ? 0 : list->left + PP_CHUNK - 1;
	list->used = used + (got < PP_CHUNK ? got : PP_CHUNK - 1);
}

/* Write the counter and zero what was read beyond the limit, so that equal lists are equal bytes. */
PP_INLINE void pp_finish(struct pp_list *list, char *to, u32 limit, u32 *fault, u32 *cut)
{
	u64 used = list->used, state = list->state, over;
	PP_FORGET(used, list->any);
	PP_FORGET(state, list->any);
	over = used > limit;
	used = over ? limit : used;
	PP_WRITE(*(u32 *)(to + 4 + limit), 0);
	pp_zero(to + 8 + limit, PP_CHUNK - 8);
	PP_WRITE(*(u32 *)(to + limit + PP_CHUNK), 0);
	*(u32 *)to = (u32)(used | (state & PP_ROOTED));
	*fault |= (u32)(state & PP_FAULT);
	*cut = (u32)((state >> 1 | over) & ~state & 1);
}

/* The strings that the pointers at `from` point to, up to a null pointer. */
PP_INLINE void pp_strings(int user, char *to, u32 limit, u32 steps, u64 from, u32 *fault, u32 *cut)
{
	struct pp_list list = {.any = pp_jiffies64()};
	list.state = PP_CUT;
	u32 step = 0;
#pragma clang loop unroll(disable)
	do {
		PP_FORGET(list.left, list.any);
		if (!list.left) {
			u64 next = 0;
			if (pp_read(user, &next, 8, from))
				list.state |= PP_FAULT | PP_DONE;
			else if (!next)
				list.state = PP_DONE;
			list.left = next;
			from += 8;
		}
		if (list.left)
			pp_append(&list, user, to, limit);
		PP_OPAQUE(list.state);
	} while (!(list.state & PP_DONE) && ++step < steps);
	pp_finish(&list, to, limit, fault, cut);
}

/* Offsets of the members that lead along a path: PathOffsets, compile/expressions/nodes.py. */
struct pp_path_offsets {
	u32 parent, name, length, vfsmount, root, mountpoint, around;
};

/* The u64 at `from`; 0, and PP_FAULT in *state, when it cannot be read. */
PP_INLINE u64 pp_follow(u64 from, u64 *state)
{
	u64 found = 0;
	*state |= (u64)pp_read(0, &found, 8, from) >> 63;
	return found;
}

/* The names from `dentry` up to the root; with `mounted`, up to the root of the mount namespace, with
 * `mount`, a struct vfsmount. A file outside of any directory (pipe, socket, memory file) is its own
 * parent without being the root of a mount: its path is its name. */
PP_INLINE void pp_path(char *to, u32 limit, u32 steps, u64 dentry, int mounted, u64 mount,
		       const struct pp_path_offsets *at, u32 *fault, u32 *cut)
{
	struct pp_list list = {.any = pp_jiffies64()};
	u64 root = 0, up;

	list.state = PP_CUT;
	if (mounted) {
		root = pp_follow(PP_AT(mount, at->root), &list.state);
		mount -= PP_OFFSET(at->vfsmount);
	}
	u32 step = 0;
#pragma clang loop unroll(disable)
	do {
		PP_FORGET(list.left, list.any);
		PP_FORGET(list.state, list.any);
		if (list.left) {
			pp_append(&list, 0, to, limit);
		} else if (list.state & PP_LAST) {
			list.state = (list.state & ~PP_CUT) | PP_DONE;
		} else if (mounted && dentry == root) {
			up = pp_follow(PP_AT(mount, at->around), &list.state);
			if (up == mount)
				list.state = (list.state & ~PP_CUT) | PP_DONE | PP_ROOTED;
			dentry = pp_follow(PP_AT(mount, at->mountpoint), &list.state);
			mount = up;
			root = pp_follow(PP_AT(PP_AT(mount, at->vfsmount), at->root), &list.state);
		} else {
			up = pp_follow(PP_AT(dentry, at->parent), &list.state);
			if (up == dentry)
				list.state |= PP_LAST;
			if (up == dentry && !mounted)
				list.state = (list.state & ~PP_CUT) | PP_DONE | PP_ROOTED;
			list.left = pp_follow(PP_AT(dentry, at->name), &list.state);
			dentry = up;
		}
		PP_OPAQUE(list.state);
	} while (!(list.state & (PP_FAULT | PP_DONE)) && ++step < steps);
	pp_finish(&list, to, limit, fault, cut);
}

/* The same way, name by name: a step either has a name (PP_NAME), leads out of a mount, or reaches the
 * root (PP_ROOTED). PP_DETACHED: the name is that of a file outside of any directory. */
#define PP_NAME 16
#define PP_DETACHED 32
struct pp_walk {
	u64 dentry, mount, root, name, length, state, any;
};

PP_INLINE void pp_walk_begin(struct pp_walk *walk, u64 dentry, int mounted, u64 mount,
			     const struct pp_path_offsets *at)
{
	walk->any = pp_jiffies64();
	walk->state = 0;
	walk->dentry = dentry;
	walk->root = walk->name = walk->length = 0;
	walk->mount = mount;
	if (mounted) {
		walk->root = pp_follow(PP_AT(mount, at->root), &walk->state);
		walk->mount = mount - PP_OFFSET(at->vfsmount);
	}
}

PP_INLINE void pp_walk_step(struct pp_walk *walk, int mounted, const struct pp_path_offsets *at)
{
	u64 state = walk->state & (PP_FAULT | PP_DETACHED), up;
	u32 length = 0;
	if (state & PP_DETACHED) {
		state |= PP_DONE;
	} else if (mounted && walk->dentry == walk->root) {
		up = pp_follow(PP_AT(walk->mount, at->around), &state);
		if (up == walk->mount)
			state |= PP_DONE | PP_ROOTED;
		walk->dentry = pp_follow(PP_AT(walk->mount, at->mountpoint), &state);
		walk->mount = up;
		walk->root = pp_follow(PP_AT(PP_AT(up, at->vfsmount), at->root), &state);
	} else {
		up = pp_follow(PP_AT(walk->dentry, at->parent), &state);
		if (up == walk->dentry && !mounted) {
			state |= PP_DONE | PP_ROOTED;
		} else {
			state |= PP_NAME | (up == walk->dentry ? PP_DETACHED : 0);
			walk->name = pp_follow(PP_AT(walk->dentry, at->name), &state);
			if (pp_read(0, &length, 4, PP_AT(walk->dentry, at->length)))
				state |= PP_FAULT;
			walk->length = length;
		}
		walk->dentry = up;
	}
	walk->state = state;
}

/* ---------------------------------------------------------------- packets
 * Where the transport header of a packet of IP begins, in bytes from `header`, and its protocol:
 * TransportOf, compile/expressions/nodes.py. The extension headers of IPv6 that are followed are those
 * that the kernel follows (net/ipv6/exthdrs_core.c, ipv6_skip_exthdr): hop-by-hop options, routing,
 * fragment, authentication, and destination options. */
#define PP_EXTENSIONS (1ULL << 0 | 1ULL << 43 | 1ULL << 44 | 1ULL << 51 | 1ULL << 60)
#define PP_FRAGMENT 44
#define PP_AUTHENTICATION 51
#define PP_MOST_EXTENSIONS 8
#define PP_TRANSPORT_ABSENT (1ULL << 8)
#define PP_TRANSPORT_PLACE(place) ((place) << 16)
#define PP_PORTS 4 /* bytes of the transport header that have to be there */

PP_INLINE u64 pp_is_extension(u64 protocol)
{
	return protocol < 64 ? PP_EXTENSIONS >> protocol & 1 : 0;
}

PP_INLINE u64 pp_transport(u64 header, u32 family, u32 room, u32 *fault)
{
	u64 any = pp_jiffies64(), words[2] = {}, follow = family == 10, protocol, place, later, lost;

	lost = (u64)pp_read(0, words, 12, header) >> 63;
	if (follow) {
		protocol = words[0] >> 48 & 0xff;
		place = 40;
		later = 0;
	} else {
		protocol = words[1] >> 8 & 0xff;
		place = (words[0] & 15) * 4;
		later = words[0] >> 48 & 0xff1f;
		lost |= family != 2;
	}
	follow &= pp_is_extension(protocol);
	u32 step = 0;
#pragma clang loop unroll(disable)
	do {
		PP_FORGET(protocol, any);
		PP_FORGET(place, any);
		PP_FORGET(later, any);
		PP_FORGET(lost, any);
		if (follow) {
			u64 word = 0, size;
			lost |= place + 8 > room;
			lost |= (u64)pp_read(0, &word, 8, header + place) >> 63;
			size = ((word >> 8 & 0xff) + 1) * 8;
			if (protocol == PP_AUTHENTICATION)
				size = size / 2 + 4;
			if (protocol == PP_FRAGMENT) {
				size = 8;
				later = word >> 16 & 0xf8ff; /* the offset, in network order */
			}
			protocol = word & 0xff;
			place += size;
			follow = pp_is_extension(protocol) & !later & !lost;
		}
		PP_OPAQUE(follow);
	} while (follow && ++step < PP_MOST_EXTENSIONS);
	lost |= follow; /* there are more */
	PP_FORGET(lost, any);
	PP_FORGET(later, any);
	PP_FORGET(place, any);
	*fault |= lost != 0;
	later |= place + PP_PORTS > room;
	return PP_TRANSPORT_PLACE(place) | (later ? PP_TRANSPORT_ABSENT : 0) | protocol;
}

/* ---------------------------------------------------------------- rate: the generic cell rate algorithm
 * One word holds the theoretical arrival time of the next record. A record is allowed while that
 * time is at most `burst` ahead of now, and then moves it by `gap`. */
#define PP_RATE_TRIES 8
PP_INLINE int pp_rate_allows(u64 *word, u64 now, u64 gap, u64 burst)
{
#pragma clang loop unroll(full)
	for (int attempt = 0; attempt < PP_RATE_TRIES; attempt++) {
		u64 due = PP_READ(*word);
		if (due > now + burst)
			return 0;
		u64 next = (due > now ? due : now) + gap;
#ifdef PP_HAVE_FETCH
		if (PP_CMPXCHG(word, due, next) == due)
			return 1;
#else
		PP_WRITE(*word, next); /* no compare-and-swap: CPUs that race here share one step */
		return 1;
#endif
	}
	return 0;
}

/* ---------------------------------------------------------------- cap
 * The number of records taken before this one, or at least `cap` when there may be no more. */
PP_INLINE u64 pp_take(u64 *taken, u64 cap)
{
	u64 before = PP_READ(*taken);
	if (before >= cap)
		return before; /* no write to the shared line once the cap is reached */
#ifdef PP_HAVE_FETCH
	return PP_FETCH_ADD(taken, 1);
#else
	PP_ADD(taken, 1); /* overshoots by at most CPUs times nesting; the reader drops the excess */
	return before;
#endif
}

/* ---------------------------------------------------------------- sampling: gaps drawn uniformly from [1, 2N - 1]
 * A CPU's first gap after each change of N is drawn from the equilibrium distribution of such gaps,
 * P(k) proportional to 2N - k, so that each event from the first on is kept with probability 1/N. The
 * larger of two different numbers from 0 ... 2N - 1 is j with a probability proportional to j. */
PP_INLINE u64 pp_first_gap(u64 every, u64 one, u64 two)
{
	u64 most = 2 * every - 1;
	u64 a = one % (most + 1), b = two % most;
	b += b >= a;
	return 2 * every - (a > b ? a : b);
}

/* The weight of the event, N (`every`, at least 2), or 0 when it is sampled out. User space changes
 * only N: each CPU notices that its gap was drawn with another one. A kept event has weight N, since
 * its gap was drawn with N.
 * Plain loads and stores: two programs that race on one CPU (preemption) can lose a step of the
 * countdown, which shifts one sample; no event loses its disposition. */
PP_INLINE u64 pp_sampled(u64 *left, u64 *weight, u64 every)
{
	u64 gap = PP_READ(*left);
	if (PP_UNLIKELY(PP_READ(*weight) != every)) {
		gap = pp_first_gap(every, (u32)pp_prandom_u32(), (u32)pp_prandom_u32());
		PP_WRITE(*weight, every);
	}
	if (gap > 1) {
		PP_WRITE(*left, gap - 1);
		return 0;
	}
	PP_WRITE(*left, 1 + (u32)pp_prandom_u32() % (2 * every - 1));
	return every;
}

/* ---------------------------------------------------------------- frames: what a call or a span keeps
 * Frames of one key form a stack, one map element each; the depth is part of the key. `nested` means
 * that a deeper frame exists, so that the common case is one update, and one lookup with one delete. */
struct pp_frame {
	u16 skipped; /* of a span: starts inside it that were sampled out or did not fit */
	u8 nested;
	u8 seen : 1, /* of a span: its via was seen */
		judged : 1, /* of a span: the plan's target was tested */
		site : 2, /* of a call: pp_site */
		returned : 1, /* of a call: its return was judged */
		execed : 1; /* of a system call: it has put another program into its task */
	u32 weight;
	u64 time; /* ns, when elapsed is used */
	u64 nulls; /* one bit per value that could not be read; from 32 on: that was cut */
};

PP_INLINE s64 pp_push(void *open, void *key, u32 *at, u32 most, const void *frame)
{
	*at = 0;
	s64 error = pp_map_update(open, key, frame, PP_NOEXIST);
#pragma clang loop unroll(full)
	for (u32 depth = 1; depth < most; depth++) {
		if (PP_LIKELY(error != PP_EEXIST))
			return error;
		struct pp_frame *parent = pp_map_lookup(open, key);
		if (!parent)
			return PP_E2BIG;
		u8 was = parent->nested;
		parent->nested = 1;
		*at = depth;
		error = pp_map_update(open, key, frame, PP_NOEXIST);
		if (error && error != PP_EEXIST)
			parent->nested = was;
	}
	return error;
}

/* A start inside the innermost frame is left out: so will be the next end. */
PP_INLINE void pp_skip(struct pp_frame *top)
{
	if (top && top->skipped != 0xffff)
		top->skipped++;
}

/* The innermost open frame, with *at its depth; *outer is the one around it, if any. */
PP_INLINE struct pp_frame *pp_top(void *open, void *key, u32 *at, u32 most, struct pp_frame **outer)
{
	*at = 0;
	struct pp_frame *top = pp_map_lookup(open, key);
#pragma clang loop unroll(full)
	for (u32 depth = 1; depth < most; depth++) {
		if (!top || PP_LIKELY(!top->nested))
			return top;
		*at = depth;
		struct pp_frame *inner = pp_map_lookup(open, key);
		if (!inner) {
			*at = depth - 1;
			return top;
		}
		*outer = top;
		top = inner;
	}
	return top;
}

/* ---------------------------------------------------------------- depth of user functions
 * The kernel follows the returns of 64 nested calls of user functions in a thread, and shows no
 * return of deeper ones (MAX_URETPROBE_DEPTH, include/linux/uprobes.h). */
#define PP_MOST_FOLLOWED 64

/* How many returns of a task the kernel follows now. `utask`: the address of its task_struct.utask;
 * `depth`: the offset of uprobe_task.depth. */
PP_INLINE u32 pp_followed(u64 utask, u64 depth)
{
	u64 state = 0;
	u32 followed = 0;
	if (pp_read(0, &state, sizeof state, utask) || !state)
		return 0;
	pp_read(0, &followed, sizeof followed, state + depth);
	return followed;
}

/* ---------------------------------------------------------------- metrics */

#ifdef PP_HAVE_FETCH
#define PP_SETTLE(cell, value, better)                                                             \
	do {                                                                                       \
		_Pragma("clang loop unroll(full)") for (int t = 0; t < 4; t++)                     \
		{                                                                                  \
			__typeof__(value) old = PP_READ(*(cell));                                  \
			if (!((value)better old) || PP_CMPXCHG((u64 *)(cell), (u64)old, (u64)(value)) == (u64)old) \
				break;                                                             \
		}                                                                                  \
	} while (0)
#else
/* No compare-and-swap: of two programs that race on one cell, the better extreme can be lost. */
#define PP_SETTLE(cell, value, better)                                                             \
	do {                                                                                       \
		if ((value)better PP_READ(*(cell)))                                                \
			PP_WRITE(*(cell), (value));                                                \
	} while (0)
#endif

/* Position of the highest bit set in a value other than 0, without loops or calls. */
PP_INLINE u32 pp_top_bit(u64 value)
{
	u32 bit = 0, step;
	step = (value > 0xffffffffULL) << 5;
	value >>= step;
	bit |= step;
	step = (value > 0xffff) << 4;
	value >>= step;
	bit |= step;
	step = (value > 0xff) << 3;
	value >>= step;
	bit |= step;
	step = (value > 0xf) << 2;
	value >>= step;
	bit |= step;
	step = (value > 0x3) << 1;
	value >>= step;
	bit |= step;
	return bit | (u32)(value >> 1);
}

/* Log-linear bucket, 16 to an octave: the reader's side is cells/buckets.py. */
PP_INLINE u32 pp_log_bucket(u64 value)
{
	if (value < 16)
		return (u32)value;
	u32 top = pp_top_bit(value);
	return (top - 3) * 16 + ((u32)(value >> (top - 4)) & 15);
}

#endif
