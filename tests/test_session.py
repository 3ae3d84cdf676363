"""From problem to kernel: tuned once, remembered, traceless, and never the end of a program unless a backend was forced."""

import random
import re
import threading
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from e3nn import o3

import tpregistry
from tests.conftest import forget
from tests.plugins import FACE, RIGHT, distribution
from tpregistry import discovery, isolation, session
from tpregistry.cli import explanation
from tpregistry.errors import NotTuned, SettingError, UnknownBackend, Unsupported
from tpregistry.settings import current
from tpregistry.store import Outcome, Store, open_store
from tpregistry.store.turn import turn
from tpregistry.testing import faulty_kernel
from tpregistry.tune import standing, tuner
from tpregistry_cg import CgHoist

pytestmark = pytest.mark.usefixtures("patched")


def product() -> o3.TensorProduct:
    paths = [(0, 0, 0, "uvu", True), (1, 1, 1, "uvu", True), (0, 1, 2, "uvu", True)]
    return o3.TensorProduct("16x0e+16x1o", "0e+1o", "16x0e+16x0e+16x1o", paths, shared_weights=False, internal_weights=False)


def call(module: o3.TensorProduct, batch: int = 32) -> torch.Tensor:
    return module(torch.ones(batch, 64), torch.ones(batch, 4), torch.ones(batch, 48))


def decision():
    return tpregistry.decisions()[-1]


def outcomes() -> set[Outcome]:
    """Of those that can do the problem at all, the host included."""
    return {entry.outcome for entry in decision().record.entries} - {Outcome.UNSUPPORTED}


def test_auto_tunes_once_and_the_next_process_reads_the_record() -> None:
    with tpregistry.use("auto"):
        call(product())
    first = decision()
    assert first.source == "tuned"
    samples = {entry.backend: len(entry.samples_us) for entry in first.record.entries if entry.outcome is Outcome.OK}
    assert set(samples) >= {"cg-dense", "cg-hoist", "cg-llvm", "e3nn"}
    assert len(set(samples.values())) == 1, "as many rounds for each, the host included"
    forget()
    with tpregistry.use("auto"):
        call(product())
    again = decision()
    assert (again.source, again.backend, again.record) == ("record", first.backend, first.record)


def test_two_modules_with_one_problem_share_a_decision() -> None:
    with tpregistry.use("cg-hoist"):
        call(product())
        call(product())
    assert len(tpregistry.decisions()) == 1
    assert decision().calls == 2


def test_a_preference_that_cannot_be_met_says_why_the_host_runs() -> None:
    with tpregistry.use("mtp,e3nn"):
        call(product())
    assert (decision().backend, decision().source) == ("e3nn", "preference")
    assert decision().why.startswith("mtp: TP111 ")


def test_a_forced_backend_is_checked_and_the_evidence_kept() -> None:
    with tpregistry.use("cg-dense"):
        call(product())
    entry = decision().record.entry("cg-dense")
    assert entry.outcome is Outcome.OK
    assert entry.evidence["main out"][0] <= entry.evidence["main out"][1]
    assert decision().record.winner is None
    (kept,) = open_store(current().cache_dir).records()
    assert kept.entry("cg-dense") == entry


def state() -> tuple[object, ...]:
    return (
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        tuple(map(str, warnings.filters)),
    )


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_tuning_leaves_no_trace(context) -> None:
    module = product()
    with context(), tpregistry.use("auto"):
        before = state()
        call(module)
        assert state() == before
    assert decision().source == "tuned"


def test_generators_are_not_set_back_after_tuning() -> None:
    """Other threads of the program draw numbers meanwhile, and would draw them twice."""
    seen = session.frame("torch").isolated(lambda: (torch.rand(1).item(), random.random(), np.random.rand()))
    assert not set(seen) & {torch.rand(1).item(), random.random(), np.random.rand()}


RECKLESS = """
        import random, torch
        import numpy as np
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        torch.set_grad_enabled(False)
        import warnings
        warnings.simplefilter("error", FutureWarning)
        print("welcome")
        """


def test_a_build_changes_nothing_of_the_program(tmp_path, monkeypatch, capsys) -> None:
    """Not even where the record is kept: the next process finds it under the same threads."""
    monkeypatch.syspath_prepend(
        str(distribution(tmp_path, None, RECKLESS.replace("welcome", "hello") + "return Verdict()", RECKLESS + RIGHT))
    )
    monkeypatch.setattr(isolation, "_alone", lambda: True)  # other tests leave threads behind
    forget()
    before = state()
    with tpregistry.use("auto"):
        call(product())
        assert state() == before
        assert decision().record.entry("stranger").outcome is Outcome.OK
        forget()
        call(product())
    assert decision().source == "record"
    shown = capsys.readouterr()
    assert (shown.out, "hello" in shown.err, "welcome" in shown.err) == ("", True, True)


def test_a_record_that_cannot_be_written_does_not_lose_the_decision(monkeypatch) -> None:
    def put(self, record):
        raise TypeError("not JSON")

    monkeypatch.setattr(Store, "put", put)
    with tpregistry.use("auto"), pytest.warns(UserWarning, match=r"cannot be written \(TypeError: not JSON\)"):
        call(product())
    assert decision().source == "tuned"


def settled(thunks, deadline, incumbent, seed=0, known=None):
    """A race as on a quiet machine, which the host wins clearly."""
    return {name: [100.0 if name == incumbent else 300.0 + k for k in range(8)] for name in thunks}


def test_what_the_budget_left_out_is_told_now_and_by_the_record(tmp_path, monkeypatch) -> None:
    """And nothing else, where the others were told apart."""
    monkeypatch.setattr(tuner, "race", settled)
    monkeypatch.syspath_prepend(str(distribution(tmp_path, None, "return Verdict((), 1e6)")))
    forget()
    said = []
    with tpregistry.use("auto"):
        for _ in range(2):
            call(product())
            said.append((decision().source, decision().why))
            forget()
    left = "1 candidate not built within TP_BUDGET: run `tpregistry autotune`"
    assert said == [("tuned", left), ("record", left)]


def blurred(measure):
    """A race as on a busy machine: each contestant took now half and now twice as long as it does."""

    def race(thunks, deadline, incumbent, seed=0, known=None):
        samples = measure(thunks, deadline, incumbent, seed, known)
        first = {name: [(4.0, 0.5, 1.0, 2.0)[k] * 100 for k in np.random.default_rng(len(name)).permutation(4)] for name in thunks}
        return first if known == {} else samples

    return race


def test_a_start_that_could_not_tell_is_gone_on_with_by_the_next(monkeypatch) -> None:
    """And what it could not tell stands in the line and in `explain`."""
    monkeypatch.setattr(tuner, "race", blurred(tuner.race))
    with tpregistry.use("auto"):
        call(product())
        first = decision()
        assert (first.backend, first.record.starts) == ("e3nn", 1)
        assert re.search(r"provisional after 1 start of 4: .*cg-llvm \d.* times as fast \(95 %, 4 rounds\)", str(first))
        (explained,) = tpregistry.explain(first.problem)
        due = explanation.decision(explained)
        assert due["why"].startswith("no backend is shown to be faster by more than 10%; provisional after 1 start of 4: ")
        assert "cg-llvm" in due["would_measure"]
        forget()
        call(product())
    second = decision()
    assert (second.source, second.record.starts) == ("tuned", 2)
    rounds = {entry.backend: entry.timed_us[:4] for entry in second.record.entries if entry.outcome is Outcome.OK}
    assert rounds == {entry.backend: entry.samples_us for entry in first.record.entries if entry.outcome is Outcome.OK}
    assert all(len(entry.samples_us) > 4 for entry in second.record.entries if entry.outcome is Outcome.OK)


def test_a_provisional_record_is_used_where_nothing_is_measured(monkeypatch) -> None:
    monkeypatch.setattr(tuner, "race", blurred(tuner.race))
    with tpregistry.use("auto"):
        call(product())
    forget()
    with tpregistry.use("auto", tune="off"):
        call(product())
    assert (decision().backend, decision().source) == ("e3nn", "record")
    assert "provisional after 1 start of 4" in decision().why


def test_after_the_last_start_nothing_is_measured_any_more(monkeypatch) -> None:
    monkeypatch.setattr(tuner, "race", blurred(tuner.race))
    monkeypatch.setattr(standing, "STARTS", 1)
    with tpregistry.use("auto"):
        call(product())
        forget()
        call(product())
    assert decision().source == "record"
    assert "not told apart in 1 start of 1" in decision().why


def test_what_another_process_measures_is_waited_for(monkeypatch) -> None:
    """And its record is used, without measuring again; where it takes too long, the host runs and nothing is kept."""
    with tpregistry.use("auto"):
        call(product())
    record = decision().record
    store = open_store(current().cache_dir)
    place = store.path(record.environment, record.problem)
    place.unlink()
    forget()
    with tpregistry.use("auto", budget=0.1), turn(place, 0):
        call(product())
        assert (decision().backend, decision().source) == ("e3nn", "heuristic")
        assert decision().why == "another process measures it now: the next start finds its record"
        assert not place.exists()
        forget()
        threading.Timer(0.3, store.put, [record]).start()
    with tpregistry.use("auto", budget=1), turn(place, 0):
        call(product())
    assert decision().record == record
    assert decision().source == "record"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tuning_under_another_default_dtype(dtype) -> None:
    module = product()
    torch.set_default_dtype(torch.float64)
    try:
        with tpregistry.use("auto"):
            module.to(dtype)(*(torch.ones(8, size, dtype=dtype) for size in (64, 4, 48)))
    finally:
        torch.set_default_dtype(torch.float32)
    assert decision().source == "tuned"
    assert outcomes() == {Outcome.OK}


def test_tuning_uses_the_callers_threads() -> None:
    seen = []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        session.frame("torch").isolated(lambda: seen.append((torch.get_num_threads(), threading.current_thread().name)))
    finally:
        torch.set_num_threads(threads)
    assert seen == [(1, "tpregistry")]


def test_first_met_inside_a_checkpoint() -> None:
    """Under `cg`, whose members are measured: checkpoints of e3nn 0.4.4's own TorchScript fail with or without us."""
    module = product()
    x = torch.ones(8, 64, requires_grad=True)
    with tpregistry.use("cg"):
        out = torch.utils.checkpoint.checkpoint(lambda a: module(a, torch.ones(8, 4), torch.ones(8, 48)), x, use_reentrant=False)
        out.sum().backward()
    with tpregistry.use("off"):
        y = x.detach().requires_grad_()
        module(y, torch.ones(8, 4), torch.ones(8, 48)).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_tune_off_and_require() -> None:
    with tpregistry.use("auto", tune="off"):
        call(product())
    assert (decision().backend, decision().source) == ("e3nn", "heuristic")
    with tpregistry.use("auto", tune="require"), pytest.raises(NotTuned, match="run `tpregistry autotune` first"):
        call(product())


def test_nothing_is_measured_among_several_processes(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with tpregistry.use("auto"):
        call(product())
    assert (decision().backend, decision().source) == ("e3nn", "heuristic")
    assert "run `tpregistry autotune` first" in str(decision())


def test_a_budget_too_small_names_what_was_not_built_and_undoes_nothing() -> None:
    with tpregistry.use("auto", budget=0):
        call(product())
    assert outcomes() == {Outcome.OK, Outcome.NOT_BUILT}
    assert "candidates not built within TP_BUDGET" in decision().why
    assert decision().backend == "e3nn"
    with tpregistry.use("auto"):
        call(product())
    good = decision().record
    assert good.winner is not None
    with tpregistry.use("auto", budget=0, tune="force"):
        call(product())
    assert open_store(current().cache_dir).records() == [good]


@pytest.mark.parametrize("tune", ["miss", "force"])
def test_a_plugin_that_was_changed_is_checked_anew(tune: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same version by its sources; with TP_TUNE=force in any case."""
    module = product()
    with tpregistry.use("cg-hoist"):
        call(module)
    session.forget()
    if tune == "miss":
        monkeypatch.setattr(discovery, "fingerprint", lambda package: "changed")
    wrong = partial(faulty_kernel, fault="wrong sign on one path", generator=np.random.default_rng(0))
    monkeypatch.setattr(CgHoist, "build", lambda self, problem, device, framework: wrong(problem))
    with tpregistry.use("cg-hoist", tune=tune), pytest.raises(Unsupported, match="TP190 cg-hoist wrong: main out"):
        call(product())


def test_unknown_backend_lists_the_known_ones_and_the_nearest() -> None:
    with tpregistry.use("cg-hoits"), pytest.raises(UnknownBackend, match=r"Did you mean cg-hoist\? Known: auto, off, cg, cg-dense"):
        call(product())


def test_autotune_and_explain_in_python() -> None:
    found = tpregistry.autotune(product(), batch=64, derivatives=1)
    assert [one.source for one in found] == ["tuned"]
    (explained,) = tpregistry.explain(product(), batch=64, derivatives=1)
    assert explained.record == found[0].record
    assert {candidate.name for candidate in explained.candidates} >= {"e3nn", "cg-dense", "cg-hoist"}
    assert repr(explained).splitlines()[0].endswith("[record]")
    assert "  cg-dense: ok, " in repr(explained)
    with pytest.raises(SettingError, match="unknown settings"):
        tpregistry.autotune(product(), colour="red")


def test_a_module_is_explained_as_it_ran(patched: object) -> None:
    module = product()
    with tpregistry.use("cg-hoist"):
        call(module)
        module(torch.ones(4096, 64, requires_grad=True), torch.ones(4096, 4), torch.ones(4096, 48))
    ran = {(d.problem.batch, d.problem.derivatives) for d in tpregistry.decisions()}
    assert len(ran) == 2
    assert {(one.problem.batch, one.problem.derivatives) for one in tpregistry.explain(module)} == ran
    (as_asked,) = tpregistry.explain(module, batch=64, derivatives=1)
    assert (as_asked.problem.batch, as_asked.problem.derivatives) == (64, 1)
    (alone,) = tpregistry.explain(as_asked.problem)
    assert alone.problem == as_asked.problem


REFUSAL = "return Verdict((Reason('TP120', 'no GPU', 'buy one'), Reason('TP121', 'no float32')))"
PROBLEMS = {
    "raises on import": ("raise RuntimeError('broken build')", None, "TP152"),
    "ends the program on import": ("raise SystemExit(3)", None, "TP152"),
    "is not a backend": ("class Backend: pass", None, "TP152"),
    "raises in supports": (None, {"supports": "raise OSError('no device')"}, "TP181"),
    "ends the program in supports": (None, {"supports": "raise SystemExit('no GPU')"}, "TP181"),
    "ends the program in build": (None, {"build": "raise SystemExit('no compiler')"}, "TP180"),
    "has no family": (None, {"face": FACE.replace('elsewhere", "stranger"', 'elsewhere", None')}, "TP152"),
    "estimates no number": (None, {"supports": "return Verdict((), float('nan'))"}, "TP181"),
    "has an engine that is no text": (None, {"build": "kernel = Broken(); kernel.engine = object(); return kernel"}, "TP180"),
    "refuses": (None, {"supports": REFUSAL}, "TP120"),
    "raises in build": (None, {"build": "raise MemoryError('too big')"}, "TP180"),
    "raises in the gate": (None, {"build": "return Broken()"}, "TP180"),
    "is wrong": (None, {"build": "return Wrong()"}, "TP190"),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_plugin_in_trouble_does_not_stop_the_program(kind, tmp_path, monkeypatch) -> None:
    source, methods, code = PROBLEMS[kind]
    monkeypatch.syspath_prepend(str(distribution(tmp_path, source, **(methods or {}))))
    forget()
    module = product()
    with tpregistry.use("auto"):
        call(module)
    assert decision().backend != "stranger"
    entry = decision().record.entry("stranger")
    assert entry.outcome is not Outcome.OK
    assert any(reason.startswith(code) for reason in entry.reasons)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_forced_it_is_an_error_with_every_reason_or_one_warning(kind, tmp_path, monkeypatch) -> None:
    source, methods, code = PROBLEMS[kind]
    monkeypatch.syspath_prepend(str(distribution(tmp_path, source, **(methods or {}))))
    forget()
    with tpregistry.use("stranger"), pytest.raises(Unsupported, match=code) as raised:
        call(product())
    if kind == "refuses":
        assert "buy one" in str(raised.value)
        assert "TP121 no float32" in str(raised.value)
    with tpregistry.use("stranger", fallback="warn"), pytest.warns(UserWarning, match=code) as caught:
        module = product()
        call(module)
        call(module)
    assert len([warning for warning in caught if "tpregistry" in str(warning.message)]) == 1
    assert (decision().backend, decision().source) == ("e3nn", "fallback")
    with tpregistry.use("stranger,e3nn"):
        call(product())
    assert (decision().backend, decision().source) == ("e3nn", "preference")


def test_a_kernel_that_raises_in_use_gives_way_to_the_host(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(distribution(tmp_path, None, build="return Tiring()")))
    forget()
    module = product()
    with tpregistry.use("stranger,e3nn"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [call(module) for _ in range(3)]
    assert all(torch.equal(result, results[0]) for result in results)
    assert len([warning for warning in caught if "gave up" in str(warning.message)]) == 1


def test_a_plugin_that_exits_while_its_code_is_shown_is_shown_as_such(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(distribution(tmp_path, None, build="raise SystemExit('no compiler')")))
    forget()
    (explained,) = tpregistry.explain(product(), batch=64, derivatives=1)
    assert explanation.generated(explained)["sources"]["stranger"] == {"nothing": "raised SystemExit: no compiler"}


FACES = {
    "summary": "Face('stranger', None, 'stranger', ('torch',))",
    "uses": "Face('stranger', 'words', 'stranger', ('torch',), uses=None)",
    "requires": "Face('stranger', 'words', 'stranger', ('torch',), requires=('',))",
    "licence": "Face('stranger', 'words', 'stranger', ('torch',), licence=3)",
    "host": "Face('stranger', 'words', 'stranger', ('torch',), host='yes')",
}


@pytest.mark.parametrize("part", FACES)
def test_a_malformed_face_is_a_reason_that_names_the_part(part, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(distribution(tmp_path, None, face=FACES[part])))
    forget()
    (reason,) = discovery.backends(current())["stranger"].trouble
    assert f"TypeError: {part} of its face is " in reason.message


def test_plugins_that_are_not_allowed_are_not_imported(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(distribution(tmp_path, "raise SystemExit('imported')")))
    forget()
    with tpregistry.use("cg-hoist", plugins="!stranger"):
        call(product())
    assert decision().backend == "cg-hoist"
