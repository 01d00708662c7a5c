"""Registration of deployments: what Prefect's command refuses is an error, not silence."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.installation import environment

IN_ANOTHER_FOLDER = """
import sys
from pathlib import Path
from furrow.installation import deploy
deploy.ROOT = Path(sys.argv[1])
deploy.register_deployments()
"""


def test_a_refused_deployment_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    """No `prefect.yaml`, and no server either."""
    ended = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_FOLDER, str(tmp_path)],
        env=environment(PREFECT_API_URL="http://127.0.0.1:9/api", PREFECT_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("RuntimeError: `prefect deploy --all` failed with exit code 1")
