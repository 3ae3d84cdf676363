"""The functions through which a sweep is called: `run` over a range of samples, `share` by each thread of an OpenMP team."""

from __future__ import annotations

from collections.abc import Sequence


def entry(operands: int, order: Sequence[str] = ()) -> list[str]:
    """`run` takes pointers and row strides, then the arrays of an ``order``, from a table: all plans have one signature."""
    lines = ["define void @run(ptr %operands, i64 %begin, i64 %end, ptr %scratch) {"]
    wanted = [argument for n in range(operands) for argument in (("ptr noalias", f"%p{n}"), ("i64", f"%s{n}"))]
    wanted += [("ptr noalias", f"%{name}") for name in order]
    passed = []
    for place, (kind, name) in enumerate(wanted):
        lines.append(f"  {name}a = getelementptr i64, ptr %operands, i64 {place}")
        lines.append(f"  {name} = load {kind.split()[0]}, ptr {name}a")
        passed.append(f"{kind} {name}")
    call = f"  call void @sweep({', '.join([*passed, 'i64 %begin, i64 %end, ptr noalias %scratch'])})"
    return [*lines, call, "  ret void", "}", *_SHARE.strip().splitlines()]


_SHARE = """
define void @share(ptr %job) {
entry:
  %number.function = load ptr, ptr %job
  %count.place = getelementptr i64, ptr %job, i64 1
  %count.function = load ptr, ptr %count.place
  %calls.place = getelementptr i64, ptr %job, i64 2
  %calls = load i64, ptr %calls.place
  %number = call i32 %number.function()
  %count = call i32 %count.function()
  %first = sext i32 %number to i64
  %step = sext i32 %count to i64
  %any = icmp slt i64 %first, %calls
  br i1 %any, label %call, label %done
call:
  %n = phi i64 [ %first, %entry ], [ %next, %call ]
  %offset = mul i64 %n, 4
  %start = add i64 %offset, 3
  %arguments = getelementptr i64, ptr %job, i64 %start
  %operands = load ptr, ptr %arguments
  %begin.place = getelementptr i64, ptr %arguments, i64 1
  %begin = load i64, ptr %begin.place
  %end.place = getelementptr i64, ptr %arguments, i64 2
  %end = load i64, ptr %end.place
  %scratch.place = getelementptr i64, ptr %arguments, i64 3
  %scratch = load ptr, ptr %scratch.place
  call void @run(ptr %operands, i64 %begin, i64 %end, ptr %scratch)
  %next = add i64 %n, %step
  %more = icmp slt i64 %next, %calls
  br i1 %more, label %call, label %done
done:
  ret void
}
"""
"""The job holds: omp_get_thread_num, omp_get_num_threads, the number of calls, and the four arguments of each call."""
