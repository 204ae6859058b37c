"""The small programs that the tests of the BPF layer load, and what they count into."""

import platform
import struct
from dataclasses import dataclass

from orchestrator.backends.bcc.compiler.clang import PRELUDE
from orchestrator.backends.bcc.design.maps import MMAPABLE, MapSpec
from orchestrator.backends.bcc.design.registers import find_argument

COUNTS, RING = 1001, 1002
COUNTS_SPEC = MapSpec(
    name="counts", kind="array", key_size=4, value_size=32, max_entries=1, flags=MMAPABLE
)
KEY = bytes(4)
_ARGUMENT = find_argument(platform.machine(), 0)  # a word of pt_regs
NOBODY = (
    1 << 32
)  # no process has this number: what others do before the workload starts is not ours

_COUNT = """
static inline u64 *counts(void)
{
  u32 zero = 0;
  return pp_map_lookup(PP_MAP(1001), &zero);
}
/* counts[0]: hits by our target; [1]: failed reserves; [2]: who is counted, 0 for everybody */
static inline int ours(u64 *all)
{
  return all && (!all[2] || all[2] == pp_pid_tgid() >> 32);
}
"""
COUNT = f"""{PRELUDE}{_COUNT}
PP_INLINE void count_one(void)
{{
  u64 *all = counts();
  if (ours(all))
    PP_ADD(&all[0], 1);
}}
int count(unsigned long long *ctx)
{{
  count_one();
  return 1;
}}
/* For trampolines: the verifier wants fentry and fexit programs to return 0. */
int count_traced(unsigned long long *ctx)
{{
  count_one();
  return 0;
}}
"""
RECORD = f"""{PRELUDE}{_COUNT}
struct record {{ u64 ts; u32 pid; u32 cpu; u64 arg; }};
int record(unsigned long long *ctx)
{{
  u64 *all = counts();
  if (!ours(all) || ctx[1] != 110)
    return 0;
  PP_ADD(&all[0], 1);
  struct record *r = pp_ringbuf_reserve(PP_MAP(1002), sizeof *r, 0);
  if (!r) {{
    PP_ADD(&all[1], 1);
    return 0;
  }}
  r->ts = pp_ktime_ns();
  r->pid = pp_pid_tgid() >> 32;
  r->cpu = pp_cpu();
  r->arg = 0;
  pp_read_kernel(&r->arg, 8, (void *)(ctx[0] + {_ARGUMENT} * 8));
  pp_ringbuf_submit(r, 0);
  return 0;
}}
/* The i-th call makes: i % 4 == 0 nothing but a discarded record; 1, 2: 16 bytes; 3: 20 bytes. */
int mixed(unsigned long long *ctx)
{{
  u64 *all = counts();
  if (!ours(all) || ctx[1] != 110)
    return 0;
  u64 n = all[0], *r;
  PP_ADD(&all[0], 1);
  if (n % 4 == 3) {{
    r = pp_ringbuf_reserve(PP_MAP(1002), 20, 0);
    if (!r)
      return 0;
    r[0] = r[1] = n;
    *(u32 *)&r[2] = n;
    pp_ringbuf_submit(r, 0);
    return 0;
  }}
  r = pp_ringbuf_reserve(PP_MAP(1002), 16, 0);
  if (!r)
    return 0;
  r[0] = r[1] = n;
  if (n % 4)
    pp_ringbuf_submit(r, 0);
  else
    pp_ringbuf_discard(r, 0);
  return 0;
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a program counted."""

    hits: int
    lost: int


def counts_of(value: bytes | None) -> Counts:
    assert value is not None
    hits, lost = struct.unpack_from("=QQ", value)
    return Counts(hits=hits, lost=lost)


def only(pid: int) -> bytes:
    """The value of the counting map that starts at zero and counts one process."""
    return struct.pack("=QQQQ", 0, 0, pid, 0)
