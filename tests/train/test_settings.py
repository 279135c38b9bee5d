"""What may change in the settings of a run, and that a refused one writes nothing."""

import json

import pytest

from train import job, report, settings
from train.configs import two_moons


@pytest.fixture
def begun(tmp_path):
    """A run with a checkpoint."""
    (tmp_path / "checkpoints" / "00000001").mkdir(parents=True)
    settings.save(two_moons.get_config(), [], tmp_path)
    return tmp_path


def changed(**fields):
    config = two_moons.get_config()
    config.update_from_flattened_dict(fields)
    return config


def files_of(workdir):
    return {
        path.relative_to(workdir): path.is_file() and path.read_bytes()
        for path in workdir.rglob("*")
    }


def test_the_same_settings_are_no_change(begun):
    assert settings.check(two_moons.get_config(), begun) == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("seed", 1, "config.seed was 0 and is 1"),
        ("data.batch_size", 64, "config.data.batch_size was 256 and is 64"),
        ("optimizer.learning_rate", 1e-3, "learning_rate was 0.002 and is 0.001"),
        ("rivals.nice.options.dropout", 0.2, "options.dropout was 0.1 and is 0.2"),
        (
            "flow.options.hidden_units",
            (8, 8),
            "hidden_units was [64, 64] and is [8, 8]",
        ),
        ("eval_batch_size", 100, "config.eval_batch_size was 500 and is 100"),
        ("epochs", 10, "config.epochs was 60 and is 10"),
    ],
)
def test_what_changes_numbers_is_refused_and_nothing_is_written(
    begun, field, value, words
):
    before = files_of(begun)
    with pytest.raises(ValueError, match="holds a run with other settings") as caught:
        job.run(changed(**{field: value}), begun)
    assert words in str(caught.value)
    assert files_of(begun) == before


def test_a_field_that_was_not_there_is_a_change(begun):
    config = two_moons.get_config()
    with config.unlocked():
        config.flow.options.alpha = 1e-3
    with pytest.raises(ValueError, match=r"alpha was '.none.' and is 0.001"):
        settings.check(config, begun)


@pytest.mark.parametrize(
    "fields",
    [
        {"data.data_dir": "elsewhere"},
        {"data.path": "elsewhere.npy"},
        {"export": False},
        {"checkpoint.minutes": 1.0, "checkpoint.grace": 5.0},
        {"strategy.timeout": 5.0},
    ],
)
def test_what_changes_no_number_may_change(begun, fields):
    assert settings.check(changed(**fields), begun) == []


def test_more_epochs_are_taken_and_noted_once(begun):
    longer = changed(**{"epochs": 80, "rivals.nice.epochs": 200})
    changes = settings.check(longer, begun)
    assert [str(change) for change in changes] == [
        "config.epochs was 60 and is 80",
        "config.rivals.nice.epochs was 120 and is 200",
    ]
    settings.save(longer, changes, begun)
    assert settings.check(longer, begun) == changes
    assert "config.epochs was 60 and is 80" in settings.noted(changes)


def test_changes_may_be_allowed_and_are_noted(begun):
    allowed = changed(**{"seed": 1, "checkpoint.allow_changes": True})
    changes = settings.check(allowed, begun)
    assert changes == [("seed", 0, 1)]
    settings.save(allowed, changes, begun)
    assert settings.check(allowed, begun) == changes
    saved = report.save(scores(), begun, print, "Measured.", 0, changes)
    assert saved["changes"] == [{"field": "seed", "before": 0, "now": 1}]
    assert saved["note"] == (
        "Measured. Changed while the run was going on: config.seed was 0 and is 1."
    )
    assert saved["note"] in (begun / "report.md").read_text()


def scores():
    from tests.train.test_job import score

    return [score("one", [1.0, 2.0]), score("two", [1.0, 3.0])]


def test_without_checkpoints_nothing_is_continued(tmp_path):
    settings.save(two_moons.get_config(), [], tmp_path)
    assert settings.check(changed(seed=1), tmp_path) == []


@pytest.mark.parametrize("text", [None, "{", ""])
def test_settings_that_are_lost_are_an_error(begun, text):
    path = begun / "config.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ValueError, match="cannot be read"):
        settings.check(two_moons.get_config(), begun)
    allowed = changed(**{"checkpoint.allow_changes": True})
    assert settings.check(allowed, begun) == []
    settings.save(allowed, [], begun)
    assert json.loads(path.read_text())["seed"] == 0
