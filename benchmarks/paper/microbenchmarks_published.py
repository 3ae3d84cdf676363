"""What "The Price of Freedom" (arXiv:2506.13523) measured: forward, ms per call at 10,000 samples, one channel, float32.

From its repository, atomicarchitects/PriceofFreedom, benchmarking/csv: kernel times of Nsight Compute on an RTX A5500 (the paper's
plots), and walltimes on an EPYC 7313. There the Clebsch-Gordan product of SISO does no work at odd L (parity forbids it), so
those times are left out; "averages of the last 20" are means of the first 80; matrices are of the direct sum 0..L, 121 x 121 at
L = 10 where one irrep needs 21 x 21, and vector harmonics stop at L - 1: both are other operations than ours.
"""

from __future__ import annotations

RTX, CPU = "RTX A5500", "EPYC 7313"
ALL, EVEN = range(1, 11), range(2, 11, 2)
SOME = (1, 2, 4, 6, 8, 10)

_MILLISECONDS: dict[str, dict[str, dict[str, tuple[range | tuple[int, ...], str]]]] = {
    "MIMO": {
        RTX: {
            "Clebsch-Gordan, dense": (ALL, ".043 .119 .278 .528 1.19 1.52 2.55 3.80 5.73 8.63"),
            "Clebsch-Gordan, sparse": (ALL, ".033 .195 .447 .929 1.83 3.67 6.10 10.4 17.1 26.2"),
            "Gaunt, grid": (ALL, ".061 .089 .137 .232 .303 .450 .666 .869 1.04 1.19"),
            "Gaunt, Fourier": ((1, 2, 3, 4, 6, 7, 8, 9, 10), ".102 .257 .675 1.54 5.69 9.40 15.8 23.6 36.1"),
            "matrix": (ALL, ".036 .215 .350 .793 .630 2.53 2.03 5.47 6.29 12.0"),
        },
        CPU: {
            "Clebsch-Gordan, dense": (ALL, ".98 3.57 9.80 21.0 49.7 103 158 213 294 425"),
            "Clebsch-Gordan, sparse": (ALL, "1.17 3.68 10.4 33.2 80.1 185 274 420 585 837"),
            "Gaunt, grid": (ALL, "2.27 1.89 3.47 5.09 7.66 22.8 29.6 33.8 43.9 60.1"),
            "Gaunt, Fourier": (ALL, "11.2 20.9 109 217 434 751 1716 2292 3768 4658"),
            "matrix": (ALL, "14.4 19.8 64.5 81.7 124 209 333 552 763 1086"),
            "vector signal": (ALL, "6.6 8.3 26.7 37.9 57.6 79.5 102 137 169 180"),
        },
    },
    "SIMO": {
        RTX: {
            "Clebsch-Gordan, dense": (SOME, ".023 .026 .046 .097 .163 .339"),
            "Clebsch-Gordan, sparse": (SOME, ".019 .050 .290 .724 .967 1.33"),
            "Gaunt, grid": (SOME, ".060 .087 .224 .412 .775 1.11"),
            "Gaunt, Fourier": (SOME, ".103 .265 1.55 5.69 15.8 36.1"),
        },
    },
    "SISO": {
        RTX: {
            "Clebsch-Gordan, dense": (EVEN, ".015 .033 .047 .067 .076"),
            "Clebsch-Gordan, sparse": (EVEN, ".014 .024 .066 .088 .115"),
            "Gaunt, grid": (EVEN, ".085 .195 .329 .586 .754"),
            "Gaunt, Fourier": (EVEN, ".258 1.54 5.66 15.7 36.0"),
        },
    },
}


def published(setting: str) -> dict[str, dict[str, dict[int, float]]]:
    """Milliseconds by device, form and degree."""
    return {
        device: {form: dict(zip(degrees, map(float, text.split()), strict=True)) for form, (degrees, text) in forms.items()}
        for device, forms in _MILLISECONDS[setting].items()
    }
