"""The plans of these cases, as files of the guest; the host compiles them for it beforehand."""

CALLS = 500

_PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: NAME, summary: for tests}
limits: {duration: 5m, events: 100k, rate: 1M/s, cpu: 100%}
every: 1s
target: {comm: pp-load}
probes:
  call: {attach: "kprobe:__x64_sys_getppid", emit: {}, metrics: {n: {count: true}}}
"""
#: By its name. `ticking` ends once it has seen one workload.
PLANS = {
    "ticking": f"{_PLAN}\nstop_when: total(call.n) >= {CALLS}\n".replace("NAME", "ticking"),
    **{name: _PLAN.replace("NAME", name) for name in ("exported", "killed-bcc", "killed-tracefs")},
}
