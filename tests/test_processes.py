"""Several processes of one program: what launchers say."""

import pytest

from tpregistry.processes import launched


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ("", 1)),
        ({"WORLD_SIZE": "1"}, ("", 1)),
        ({"WORLD_SIZE": "4", "RANK": "0"}, ("WORLD_SIZE", 4)),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "3"}, ("SLURM_STEP_NUM_TASKS", 8)),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, ("", 1)),
        ({"OMPI_COMM_WORLD_SIZE": "2", "WORLD_SIZE": "1"}, ("OMPI_COMM_WORLD_SIZE", 2)),
        ({"WORLD_SIZE": "many"}, ("", 1)),
    ],
)
def test_the_variable_that_tells_of_several(environ, expected) -> None:
    assert launched(environ) == expected
