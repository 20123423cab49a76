"""Studies, reports and cohorts that other tests make up serve here to be spoilt."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "protocol"), str(TESTS / "report")]
