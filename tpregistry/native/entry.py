"""A module: a sweep, and the functions through which it is called.

``run(operands, begin, end, scratch)`` goes over a range of samples: ``operands`` holds a pointer and a row stride (in numbers; 0
where a row serves all samples) for each input and output of the plan, then the arrays of an order. Nothing is allocated;
``scratch`` is the caller's. ``share(job)`` is for the threads of an OpenMP team: each runs its share of the calls that the job
lists.
"""

from __future__ import annotations

from collections.abc import Sequence

from tpregistry.native.text import Text


def module(text: Text, operands: int, order: Sequence[str] = (), tables: Sequence[str] = ()) -> str:
    """The whole source around the body of a sweep.

    The body finds operand n at ``%pn`` with row stride ``%sn``, then the arrays of the ``order`` by their names, the range in
    ``%begin`` and ``%end``, and ``%scratch``; ``tables`` are definitions of constants.
    """
    names = [name for n in range(operands) for name in (f"ptr noalias %p{n}", f"i64 %s{n}")]
    names += [f"ptr noalias %{name}" for name in order]
    head = [f"define internal void @sweep({', '.join([*names, 'i64 %begin, i64 %end, ptr noalias %scratch'])}) {{", "entry:"]
    return "\n".join([*tables, *head, *text.lines, "  ret void", "}", *_entry(operands, order), *text.declarations(), ""])


def _entry(operands: int, order: Sequence[str]) -> list[str]:
    """`run` takes everything from a table, so that all plans have one signature; then `share`."""
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
