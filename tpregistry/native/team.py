"""What the threads that share a call of XLA's run, in LLVM IR: parts taken from a counter until none is left.

A job holds: the next part, how many are done, how many threads still hold the job, how many parts there are, and their rows.
It outlives the call until the last thread has let go of it.
"""

from __future__ import annotations

from tpregistry.native.pages import HUGE_PAGES, LARGE_BYTES

LIBC = ("malloc", "free", "sched_yield", "memset", "madvise")
"""Functions of the C library whose addresses the global `libc` is given when the code is loaded: calls by name need tables that
llvmlite's memory manager does not provide for."""


def functions(row: int) -> list[str]:
    """`work` and `release` for the thread that calls, `task` for others, `advise` for large results; rows of ``row`` bytes."""
    advise = _ADVISE.format(advice=HUGE_PAGES, least=LARGE_BYTES) if HUGE_PAGES is not None else ""
    return (_WORK.format(row=row) + advise).strip().splitlines()


_WORK = """
define internal void @part(ptr %row) {{
  %table = load ptr, ptr %row
  %begin.at = getelementptr i64, ptr %row, i64 1
  %begin = load i64, ptr %begin.at
  %end.at = getelementptr i64, ptr %row, i64 2
  %end = load i64, ptr %end.at
  %own.at = getelementptr i64, ptr %row, i64 3
  %own = load ptr, ptr %own.at
  call void @run(ptr %table, i64 %begin, i64 %end, ptr %own)
  ret void
}}
define internal void @work(ptr %job) {{
entry:
  %done.at = getelementptr i64, ptr %job, i64 1
  %count.at = getelementptr i64, ptr %job, i64 3
  %parts = load i64, ptr %count.at
  %rows.at = getelementptr i64, ptr %job, i64 4
  %rows = load ptr, ptr %rows.at
  br label %next
next:
  %k = atomicrmw add ptr %job, i64 1 acq_rel
  %left = icmp ult i64 %k, %parts
  br i1 %left, label %take, label %none
take:
  %offset = mul i64 %k, {row}
  %row = getelementptr i8, ptr %rows, i64 %offset
  call void @part(ptr %row)
  %before = atomicrmw add ptr %done.at, i64 1 acq_rel
  br label %next
none:
  ret void
}}
define internal void @task(ptr %job) {{
  call void @work(ptr %job)
  call void @release(ptr %job)
  ret void
}}
define internal void @release(ptr %job) {{
entry:
  %holders.at = getelementptr i64, ptr %job, i64 2
  %before = atomicrmw sub ptr %holders.at, i64 1 acq_rel
  %last = icmp eq i64 %before, 1
  br i1 %last, label %over, label %held
over:
  %free.at = getelementptr ptr, ptr @libc, i64 1
  %free = load ptr, ptr %free.at
  call void %free(ptr %job)
  br label %held
held:
  ret void
}}
"""

_ADVISE = """
define internal void @advise(ptr %data, i64 %size) {{
entry:
  %large = icmp uge i64 %size, {least}
  br i1 %large, label %ask, label %done
ask:
  %address = ptrtoint ptr %data to i64
  %above = add i64 %address, 4095
  %start = and i64 %above, -4096
  %stop = add i64 %address, %size
  %end = and i64 %stop, -4096
  %length = sub i64 %end, %start
  %place = inttoptr i64 %start to ptr
  %madvise.at = getelementptr ptr, ptr @libc, i64 4
  %madvise = load ptr, ptr %madvise.at
  %ignored = call i32 %madvise(ptr %place, i64 %length, i32 {advice})
  br label %done
done:
  ret void
}}
"""
