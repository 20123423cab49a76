"""The made-up study, read and rendered once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fixtures import make_result

from causal_s4.report.drawing import SINGLE_COLUMN, Drawing
from causal_s4.report.reading import Reading
from causal_s4.report.write import contents


@pytest.fixture(scope="session")
def result():
    return make_result()


@pytest.fixture(scope="session")
def reading(result):
    return Reading(result)


@pytest.fixture(scope="session")
def files(result):
    """Every file of the report; pictures of dots in single-column width, which are as good and made sooner."""
    full = Drawing.png
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "png", lambda drawing: full(drawing, SINGLE_COLUMN))
        return contents(result)


@pytest.fixture(scope="session")
def page(files):
    return files["report.html"].decode()
