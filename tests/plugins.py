"""Plugins in distributions of their own, made for one test."""

from pathlib import Path

HEAD = '''
import sys
from tpregistry.backend import Face, Reason, Verdict

class Broken:
    engine = "broken"
    def __call__(self, x, y, w):
        raise ValueError("cannot")

class Wrong:
    engine = "wrong"
    def __call__(self, x, y, w):
        return x.new_zeros(len(x), 96) + x.sum() + y.sum() + w.sum()

class Tiring:
    """Right in the gate, which runs in a thread of its own, and never again."""
    engine = "tiring"
    def __call__(self, x, y, w):
        import threading
        if threading.current_thread().name != "tpregistry":
            raise RuntimeError("gave up")
        from tpregistry_cg.hoist import HoistKernel
        return HoistKernel(Backend.problem, "cpu", "torch")(x, y, w)
'''

BODY = """
class Backend:
    face = {face}
    problem = None
    def supports(self, problem, device, framework):
        {supports}
    def build(self, problem, device, framework):
        Backend.problem = problem
        {build}
"""


FACE = 'Face("stranger", "from elsewhere", "stranger", ("torch",))'
RIGHT = "from tpregistry_cg.hoist import HoistKernel; return HoistKernel(problem, device, framework)"


def distribution(
    folder: Path, source: str | None, supports: str = "return Verdict()", build: str = "return Broken()", face: str = FACE
) -> Path:
    """A folder for sys.path with a distribution that offers a backend named `stranger`."""
    name = f"stranger_{abs(hash(str(folder)))}"
    (folder / f"{name}.py").write_text(source or HEAD + BODY.format(supports=supports, build=build, face=face))
    info = folder / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tpregistry.backends]\nstranger = {name}:Backend\n")
    return folder
