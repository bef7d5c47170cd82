"""`import scratch` without torch, without matplotlib, and with the public names."""

import subprocess
import sys
from pathlib import Path

import scratch

ROOT = Path(__file__).parents[1]


def test_import_scratch_where_torch_is_not_installed():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it fails, as if it were not there
        "import scratch, scratch.systems, scratch.training, scratch.__main__\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_no_module_of_scratch_imports_torch_or_reference():
    for path in ROOT.glob("scratch/**/*.py"):
        for line in path.read_text("utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] not in ("torch", "reference"), f"{path}: {line}"


def test_every_public_name_is_there():
    for name in scratch.__all__:
        assert hasattr(scratch, name)
    namespace = {}
    exec("from scratch import *", namespace)
    assert set(scratch.__all__) <= set(namespace)
