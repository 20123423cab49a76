"""The made-up study, read and rendered once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fixtures import make_result

from causal_s4.report.page import report_html
from causal_s4.report.reading import Reading
from causal_s4.report.write import contents


@pytest.fixture(scope="session")
def result():
    return make_result()


@pytest.fixture(scope="session")
def reading(result):
    return Reading(result)


@pytest.fixture(scope="session")
def page(result):
    return report_html(result)


@pytest.fixture(scope="session")
def files(result):
    return contents(result)
