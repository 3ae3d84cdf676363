"""The function through which XLA calls a sweep: `handler(frame)`, an XLA FFI handler written in LLVM IR.

XLA's threads cannot wait for Python, so nothing here does. The last result of the call is memory of ours: a row for each part
of the batch, with the arguments of `run`, its table of operands and its scratch memory. Parts are taken from a counter, by the
thread that calls and by tasks on XLA's own thread pool; a task that comes too late finds none left. The job outlives the call
until the last task has let go of it.

Offsets are those of ``xla/ffi/api/c_api.h``, major version 0, which XLA promises to keep.
"""

from __future__ import annotations

from tpregistry.native.pages import HUGE_PAGES
from tpregistry.native.team import LIBC, functions
from tpregistry.plan import Plan
from tpregistry.plan.orders import ORDER, owner

ARGUMENTS = 32
"""Bytes of the arguments of `run`: table, begin, end, scratch."""


def row_bytes(plan: Plan, scratch: int) -> tuple[int, int]:
    """Bytes before a part's scratch memory, and of the whole row."""
    head = _aligned(ARGUMENTS + 16 * len(plan.inputs + plan.outputs) + 8 * len(order_of(plan)))
    return head, head + _aligned(scratch)


def order_of(plan: Plan) -> tuple[str, ...]:
    """The arrays that follow the operands of a plan over a graph, see `emitter`."""
    return ORDER if owner(plan) else ()


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def handler(plan: Plan, itemsize: int, scratch: int, version: tuple[int, int]) -> list[str]:
    """`handler` for a plan, which answers XLA's question for the API version by ``version``."""
    head, row = row_bytes(plan, scratch)
    lines = _PROLOGUE.format(major=version[0], minor=version[1]).strip().splitlines()
    for kind, count, table in (("in", len(plan.inputs) + len(order_of(plan)), 72), ("out", len(plan.outputs) + 1, 112)):
        lines.append(_load(f"%{kind}", "ptr", "%frame", table))
        for n in range(count):
            lines += [_load(f"%{kind}{n}", "ptr", f"%{kind}", 8 * n), _load(f"%{kind}{n}.data", "ptr", f"%{kind}{n}", 24)]
    lines += _counts(plan)
    for n, operand in enumerate(plan.outputs):
        rows = "%owners" if operand.site else "%samples" if operand.batched else "%parts"
        lines.append(f"  %out{n}.bytes = mul i64 {rows}, {operand.size * itemsize}")
        if not operand.batched:
            lines.append(f"  %memset{n}.at = getelementptr ptr, ptr @libc, i64 {LIBC.index('memset')}")
            lines.append(f"  %memset{n} = load ptr, ptr %memset{n}.at")
            lines.append(f"  call ptr %memset{n}(ptr %out{n}.data, i32 0, i64 %out{n}.bytes)")
        elif HUGE_PAGES is not None:
            lines.append(f"  call void @advise(ptr %out{n}.data, i64 %out{n}.bytes)")
    lines += ["  br label %fill", *_fill(plan, itemsize, head, row)]
    lines += _EPILOGUE.format(rows=f"%out{len(plan.outputs)}.data", row=row).strip().splitlines()
    return [*lines, *functions(row)]


def _counts(plan: Plan) -> list[str]:
    """How many samples, parts, and nodes that own edges there are: without a graph each sample owns itself."""
    samples_of = len(plan.inputs) + 1 if order_of(plan) else next(n for n, operand in enumerate(plan.inputs) if operand.batched)
    lines = []
    for name, buffer in (("samples", f"%in{samples_of}"), ("parts", f"%out{len(plan.outputs)}")):
        lines += [_load(f"%{name}.dims", "ptr", buffer, 40), _load(f"%{name}", "i64", f"%{name}.dims", 0)]
    if not order_of(plan):
        return [*lines, "  %owners = add i64 %samples, 0"]
    bounds = [_load("%bounds.dims", "ptr", f"%in{len(plan.inputs)}", 40), _load("%bounds", "i64", "%bounds.dims", 0)]
    return [*lines, *bounds, "  %owners = sub i64 %bounds, 1"]


def _load(name: str, kind: str, base: str, offset: int) -> str:
    place = f"{name}.at"
    return f"  {place} = getelementptr i8, ptr {base}, i64 {offset}\n  {name} = load {kind}, ptr {place}"


def _store(kind: str, value: str, base: str, offset: int) -> str:
    place = f"%at.{base[1:]}.{offset}"
    return f"  {place} = getelementptr i8, ptr {base}, i64 {offset}\n  store {kind} {value}, ptr {place}"


def _fill(plan: Plan, itemsize: int, head: int, row: int) -> list[str]:
    """Write the arguments and the table of each part into its row."""
    rows = f"%out{len(plan.outputs)}.data"
    lines = [
        "fill:",
        "  %k = phi i64 [ 0, %execute ], [ %k1, %fill ]",
        f"  %offset = mul i64 %k, {row}",
        f"  %row = getelementptr i8, ptr {rows}, i64 %offset",
        f"  %table = getelementptr i8, ptr %row, i64 {ARGUMENTS}",
        f"  %own = getelementptr i8, ptr %row, i64 {head}",
        "  %k1 = add i64 %k, 1",
        "  %first = mul i64 %owners, %k",
        "  %begin = udiv i64 %first, %parts",
        "  %last = mul i64 %owners, %k1",
        "  %end = udiv i64 %last, %parts",
        *(_store(kind, value, "%row", 8 * n) for n, (kind, value) in enumerate(_ARGUMENTS)),
    ]
    for n, operand in enumerate(plan.inputs):
        lines += _entry(n, f"%in{n}.data", operand.size if operand.batched else 0)
    for n, operand in enumerate(plan.outputs):
        data = f"%out{n}.data"
        if not operand.batched:
            lines.append(f"  %sum{n}.offset = mul i64 %k, {operand.size * itemsize}")
            lines.append(f"  %sum{n} = getelementptr i8, ptr {data}, i64 %sum{n}.offset")
            data = f"%sum{n}"
        lines += _entry(len(plan.inputs) + n, data, operand.size if operand.batched else 0)
    order = 16 * len(plan.inputs + plan.outputs)
    for n, _ in enumerate(order_of(plan)):
        lines.append(_store("ptr", f"%in{len(plan.inputs) + n}.data", "%table", order + 8 * n))
    return [*lines, "  %more = icmp ult i64 %k1, %parts", "  br i1 %more, label %fill, label %filled"]


_ARGUMENTS = (("ptr", "%table"), ("i64", "%begin"), ("i64", "%end"), ("ptr", "%own"))


def _entry(number: int, data: str, stride: int) -> list[str]:
    return [_store("ptr", data, "%table", 16 * number), _store("i64", str(stride), "%table", 16 * number + 8)]


_PROLOGUE = """
@libc = dso_local global [5 x ptr] zeroinitializer
define ptr @handler(ptr %frame) {{
entry:
  %extension.at = getelementptr i8, ptr %frame, i64 8
  %extension = load ptr, ptr %extension.at
  %none = icmp eq ptr %extension, null
  br i1 %none, label %execute, label %extended
extended:
  %kind.at = getelementptr i8, ptr %extension, i64 8
  %kind = load i32, ptr %kind.at
  %asked = icmp eq i32 %kind, 1
  br i1 %asked, label %answer, label %execute
answer:
  %metadata.at = getelementptr i8, ptr %extension, i64 24
  %metadata = load ptr, ptr %metadata.at
  %major.at = getelementptr i8, ptr %metadata, i64 24
  store i32 {major}, ptr %major.at
  %minor.at = getelementptr i8, ptr %metadata, i64 28
  store i32 {minor}, ptr %minor.at
  %traits.at = getelementptr i8, ptr %metadata, i64 32
  store i32 0, ptr %traits.at
  ret ptr null
execute:
"""

_EPILOGUE = """
filled:
  %alone = icmp eq i64 %parts, 1
  br i1 %alone, label %one, label %several
one:
  call void @part(ptr {rows})
  ret ptr null
several:
  %malloc = load ptr, ptr @libc
  %job = call ptr %malloc(i64 40)
  %sched_yield.at = getelementptr ptr, ptr @libc, i64 2
  %sched_yield = load ptr, ptr %sched_yield.at
  %done.at = getelementptr i64, ptr %job, i64 1
  %holders.at = getelementptr i64, ptr %job, i64 2
  %count.at = getelementptr i64, ptr %job, i64 3
  %rows.at = getelementptr i64, ptr %job, i64 4
  store i64 0, ptr %job
  store i64 0, ptr %done.at
  store i64 %parts, ptr %holders.at
  store i64 %parts, ptr %count.at
  store ptr {rows}, ptr %rows.at
  %request = alloca [5 x i64]
  %request.ctx = getelementptr i64, ptr %request, i64 2
  %request.task = getelementptr i64, ptr %request, i64 3
  %request.data = getelementptr i64, ptr %request, i64 4
  %request.next = getelementptr i64, ptr %request, i64 1
  store i64 40, ptr %request
  store ptr null, ptr %request.next
  %api.at = getelementptr i8, ptr %frame, i64 16
  %api = load ptr, ptr %api.at
  %ctx.at = getelementptr i8, ptr %frame, i64 24
  %ctx = load ptr, ptr %ctx.at
  store ptr %ctx, ptr %request.ctx
  store ptr @task, ptr %request.task
  store ptr %job, ptr %request.data
  %schedule.at = getelementptr i8, ptr %api, i64 136
  %schedule = load ptr, ptr %schedule.at
  %destroy.at = getelementptr i8, ptr %api, i64 64
  %destroy = load ptr, ptr %destroy.at
  br label %ask
ask:
  %t = phi i64 [ 1, %several ], [ %t1, %asked.on ]
  %error = call ptr %schedule(ptr %request)
  %refused = icmp ne ptr %error, null
  br i1 %refused, label %no, label %asked.on
no:
  %destroyed = alloca [3 x i64]
  %destroyed.next = getelementptr i64, ptr %destroyed, i64 1
  %destroyed.error = getelementptr i64, ptr %destroyed, i64 2
  store i64 24, ptr %destroyed
  store ptr null, ptr %destroyed.next
  store ptr %error, ptr %destroyed.error
  call void %destroy(ptr %destroyed)
  call void @release(ptr %job)
  br label %asked.on
asked.on:
  %t1 = add i64 %t, 1
  %again = icmp ult i64 %t1, %parts
  br i1 %again, label %ask, label %join
join:
  call void @work(ptr %job)
  br label %wait
wait:
  %done = load atomic i64, ptr %done.at acquire, align 8
  %all = icmp eq i64 %done, %parts
  br i1 %all, label %end.all, label %yield
yield:
  %ignored = call i32 %sched_yield()
  br label %wait
end.all:
  call void @release(ptr %job)
  ret ptr null
}}
"""
