"""Kernel functions that were renamed between releases, for hints; nothing is renamed silently.

Each group is one function under its names, with the change that renamed it. The symbols of the
kernel decide, never its release number.
"""

from collections.abc import Mapping

_GROUPS: tuple[tuple[str, ...], ...] = (
    # mm: memory allocation profiling made macros of the old names (6.10)
    ("__kmalloc", "__kmalloc_noprof"),
    ("__kmalloc_node", "__kmalloc_node_noprof"),
    ("__kmalloc_large", "__kmalloc_large_noprof"),
    ("__kmalloc_large_node", "__kmalloc_large_node_noprof"),
    ("__kmalloc_node_track_caller", "__kmalloc_node_track_caller_noprof"),
    ("kmalloc_trace", "kmem_cache_alloc_trace", "__kmalloc_cache_noprof"),
    ("kmem_cache_alloc", "kmem_cache_alloc_noprof"),
    ("kmem_cache_alloc_node", "kmem_cache_alloc_node_noprof"),
    ("kmem_cache_alloc_lru", "kmem_cache_alloc_lru_noprof"),
    ("kmem_cache_alloc_bulk", "kmem_cache_alloc_bulk_noprof"),
    ("krealloc", "krealloc_noprof", "krealloc_node_align_noprof"),
    ("kvmalloc_node", "kvmalloc_node_noprof", "__kvmalloc_node_noprof"),
    ("vmalloc", "vmalloc_noprof"),
    ("vzalloc", "vzalloc_noprof"),
    ("__vmalloc", "__vmalloc_noprof"),
    ("__alloc_pages", "__alloc_pages_nodemask", "__alloc_pages_noprof"),
    ("alloc_pages", "alloc_pages_current", "alloc_pages_noprof"),
    ("get_free_pages", "__get_free_pages", "get_free_pages_noprof"),
    ("pcpu_alloc", "pcpu_alloc_noprof"),
    # fs: pipes split into anonymous and named (6.16)
    ("pipe_read", "anon_pipe_read"),
    ("pipe_write", "anon_pipe_write"),
    # block: accounting and submission were reshuffled (5.9 to 6.0)
    ("blk_account_io_start", "__blk_account_io_start"),
    ("blk_account_io_done", "__blk_account_io_done"),
    ("submit_bio", "generic_make_request", "submit_bio_noacct"),
    # sched, core
    ("finish_task_switch", "finish_task_switch.isra.0"),
    ("do_fork", "_do_fork", "kernel_clone"),
    ("do_sys_open", "do_sys_openat2"),
    # sched: the timer's tick and the balancer got their prefix (6.10)
    ("scheduler_tick", "sched_tick"),
    ("trigger_load_balance", "sched_balance_trigger"),
    ("rebalance_domains", "sched_balance_domains"),
    ("load_balance", "sched_balance_rq"),
    ("newidle_balance", "sched_balance_newidle"),
    # net, fs
    ("unix_attach_fds", "unix_prepare_fpl"),
    ("tcp_sendpage", "tcp_splice_eof"),
    ("generic_file_splice_read", "filemap_splice_read"),
    ("lookup_one_len", "lookup_noperm"),
    ("vfs_write", "__vfs_write"),
    ("vfs_read", "__vfs_read"),
    # mm: the page cache moved from pages to folios (5.16 and later)
    ("add_to_page_cache_lru", "filemap_add_folio"),
    ("mark_page_accessed", "folio_mark_accessed"),
    ("account_page_dirtied", "folio_account_dirtied", "__folio_mark_dirty"),
    ("mark_buffer_dirty", "__set_page_dirty"),
    ("lru_cache_add", "folio_add_lru"),
    ("add_to_page_cache_locked", "__filemap_add_folio"),
    ("delete_from_page_cache", "filemap_remove_folio"),
    ("__set_page_dirty_nobuffers", "filemap_dirty_folio"),
    ("activate_page", "folio_activate"),
    ("rotate_reclaimable_page", "folio_rotate_reclaimable"),
    ("isolate_lru_page", "folio_isolate_lru"),
    ("shrink_page_list", "shrink_folio_list"),
    ("wait_on_page_bit", "folio_wait_bit"),
    ("__lock_page", "__folio_lock"),
    ("wait_on_page_writeback", "folio_wait_writeback"),
    ("end_page_writeback", "folio_end_writeback"),
    ("try_to_release_page", "filemap_release_folio"),
    ("invalidate_inode_page", "mapping_evict_folio"),
    ("mem_cgroup_charge", "__mem_cgroup_charge"),
    ("__do_page_cache_readahead", "do_page_cache_ra", "page_cache_ra_unbounded"),
)


def _by_name() -> dict[str, tuple[str, ...]]:
    others: dict[str, list[str]] = {}
    for group in _GROUPS:
        for name in group:
            others.setdefault(name, []).extend(other for other in group if other != name)
    return {name: tuple(dict.fromkeys(renamed)) for name, renamed in others.items()}


RENAMES: Mapping[str, tuple[str, ...]] = _by_name()
"""Function name → the other names that it has had, oldest hint first."""
