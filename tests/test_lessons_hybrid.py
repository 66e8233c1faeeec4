"""Every lesson runs on a GPT-2 small with the real attention weights, and tells its reader what the table holds."""

import pytest
from lesson_runs import MASTERS, look_at, save_hybrid

pytestmark = pytest.mark.timeout(1200)  # lesson 8 removes each of 144 heads: a minute, and the machine may be busy


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hybrid") / "hybrid"
    save_hybrid(reference, folder)
    return folder


@pytest.mark.parametrize("name", MASTERS)
def test_a_lesson_runs_and_says_what_it_said(name, folder, monkeypatch):
    assert not look_at(name, folder, monkeypatch), "HEADLAB_UPDATE=1 takes the new sentences over"
