"""Figures show what they are given, are returned, and leave pyplot alone."""

import io

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import special, stats

from tfp_flows import diagnostics, plots

RATE = 8000
RNG = np.random.default_rng(0)
GREY, COLOUR = RNG.random((9, 6, 6, 1)), RNG.random((9, 6, 6, 3))
TABLE = RNG.normal(size=(60, 3))
SOUND = RNG.normal(0.0, 0.1, (2, 3000))
BAND = diagnostics.UniformBand.of(60)
FIGURES = {
    "images": lambda: plots.images(GREY, 4, ["a", "b"], "heading"),
    "one image": lambda: plots.images(COLOUR[:1]),
    "samples": lambda: plots.samples({"samples": COLOUR, "data": COLOUR[:2]}, 3, 2),
    "interpolations": lambda: plots.interpolations(np.stack([GREY, 1 - GREY])),
    "completions": lambda: plots.completions(
        GREY, np.arange(6)[:, None, None] < 3, np.stack([GREY, GREY])
    ),
    "extremes": lambda: plots.extremes(GREY, np.arange(9.0), 3),
    "points": lambda: plots.points(TABLE[:20], TABLE),
    "one column": lambda: plots.points(TABLE[:, :1], TABLE[:, :1]),
    "density": lambda: plots.density(normal_log_prob, TABLE[:, :2], TABLE[:, 1:], 40),
    "corner": lambda: plots.corner(TABLE[:9], TABLE, "abc"),
    "training_curves": lambda: plots.training_curves(
        [{"epoch": 0, "bits_per_dim": 9.0}, {"epoch": 1, "val_bits_per_dim": 3.0}]
    ),
    "latent_normality": lambda: plots.latent_normality(special.ndtr(TABLE), BAND),
    "coverage": lambda: plots.coverage(special.ndtr(TABLE[:, 0]), BAND),
    "shares of a vector": lambda: plots.shares([1.0, 2.0], ["a", "b"], [0.1, 0.1]),
    "shares of an image": lambda: plots.shares(GREY[0]),
    "shares of a sequence": lambda: plots.shares(SOUND[:1].T),
    "sequences": lambda: plots.sequences(SOUND[..., None], SOUND[..., None]),
    "spectrograms": lambda: plots.spectrograms(SOUND, SOUND[:, :900], RATE),
    "silence": lambda: plots.spectrograms(np.zeros((1, 900)), SOUND[:, :100], RATE),
}


def normal_log_prob(x):
    return stats.norm.logpdf(x).sum(axis=1)


def pixels(figure):
    """What is on the paper, `[H, W, 3]` between 0 and 1."""
    file = io.BytesIO()
    figure.savefig(file, dpi=60, format="png")
    file.seek(0)
    return matplotlib.image.imread(file)[..., :3]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_returned_and_has_something_on_it(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    paper = pixels(figure)
    assert min(paper.shape[:2]) >= 40
    assert len(np.unique(paper.reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("name", FIGURES)
def test_axes_say_what_they_show(name):
    axes = [a for a in FIGURES[name]().axes if a.axison and a.get_subplotspec()]
    for axis in axes:  # those of a column, and of a row, may share a name
        place = axis.get_subplotspec()
        column = [a for a in axes if a.get_subplotspec().colspan == place.colspan]
        row = [a for a in axes if a.get_subplotspec().rowspan == place.rowspan]
        assert any(a.get_xlabel() for a in column)
        assert any(a.get_ylabel() for a in row)


def test_pyplot_knows_of_no_figure():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    for build in FIGURES.values():
        build()
    assert pyplot.get_fignums() == before


def drawn(figure):
    """The mosaic of a figure of images, as numbers between black 0 and white 1."""
    return np.asarray(figure.axes[0].images[0].get_array())


def test_images_stand_in_their_rows_and_columns_dark_on_white():
    mosaic = drawn(plots.images(GREY * 10, columns=4))
    ink = 1.0 - mosaic
    top = GREY.max() * 10
    side = 7  # a pixel of space above and to the left of each
    for i, image in enumerate(GREY[..., 0] * 10):
        row, column = divmod(i, 4)
        cell = ink[row * side : (row + 1) * side, column * side : (column + 1) * side]
        np.testing.assert_allclose(cell[1:, 1:], image / top, atol=1e-6)
        assert cell[0].max() == cell[:, 0].max() == 0.0
    assert ink[2 * side :, side:].max() == 0.0  # nine images of twelve


def test_the_likeliest_are_above_and_have_their_numbers():
    bits = np.array([3.0, 1.0, 5.0, 2.0])
    x = np.zeros((4, 2, 2, 1)) + bits[:, None, None, None]
    figure = plots.extremes(x, bits, count=1)
    assert [t.get_text() for t in figure.axes[0].texts] == ["1.00", "5.00"]
    above, below = np.split(1.0 - drawn(figure), 2)
    np.testing.assert_allclose([above.max(), below.max()], [0.2, 1.0], atol=1e-6)


def test_what_is_not_known_is_blank_in_the_first_column():
    known = np.arange(6)[:, None, None] < 3
    draws = np.stack([GREY, GREY])
    ink = 1.0 - drawn(plots.completions(GREY[:1], known, draws[:, :1]))
    assert ink[4:7, 1:7].max() == 0.0 and ink[1:4, 1:7].max() > 0.0
    np.testing.assert_allclose(ink[1:, 8:14], GREY[0, ..., 0], atol=1e-6)
    np.testing.assert_allclose(ink[1:, 22:28], GREY[0, ..., 0], atol=1e-6)


def test_the_density_on_the_paper_is_that_of_the_model():
    figure = plots.density(normal_log_prob, TABLE[:, :2], num_points=30)
    mesh = figure.axes[0].collections[0]
    assert mesh.get_array().size == 900
    np.testing.assert_allclose(mesh.get_array().max(), 1 / (2 * np.pi), rtol=0.05)


def test_the_worst_code_is_named_and_a_normal_one_is_on_the_line():
    pit = special.ndtr(TABLE) * [1.0, 1.0, 0.5]
    figure = plots.latent_normality(pit, BAND)
    named = ["other codes", "code 2, the furthest off", "band"]
    assert figure.axes[1].get_legend_handles_labels()[1] == named
    line = figure.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(np.sort(TABLE[:, 0]), line[:, 1], atol=1e-6)
    # The band is the same in both pictures: the share of values up to each point.
    low = figure.axes[0].lines[-2]
    inner = BAND.lower > 0
    np.testing.assert_allclose(special.ndtr(low.get_xdata())[inner], BAND.lower[inner])
    np.testing.assert_allclose(special.ndtr(low.get_ydata()), BAND.points)


def test_keras_history_and_a_list_of_epochs_are_the_same_curve():
    history = {"nll": [3.0, 2.0, 1.5], "val_nll": [3.1, 2.2, 1.9]}
    rows = [{"epoch": i, **{k: v[i] for k, v in history.items()}} for i in range(3)]
    one, two = (plots.training_curves(h, "nll").axes[0].lines for h in (history, rows))
    for line, same in zip(one, two, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())


def test_the_power_of_a_sine_stands_at_its_frequency_while_it_lasts():
    time = np.arange(RATE) / RATE
    sound = np.where(time < 0.5, np.sin(2 * np.pi * 500.0 * time), 0.0)
    seconds, frequency, power = plots.decibels(sound, RATE)
    assert power.shape == (len(frequency), len(seconds))
    assert (frequency[0], frequency[-1]) == (0.0, RATE / 2)
    early = seconds < 0.4
    assert (frequency[power[:, early].argmax(axis=0)] == 500.0).all()
    # Half of the square of the amplitude.
    np.testing.assert_allclose(power.max(axis=0)[early], -3.01, atol=0.1)
    assert power[:, seconds > 0.6].max() < -100.0


@pytest.mark.parametrize("steps", [8, 100, 512, 5000])
def test_a_sound_fills_its_panel_however_short(steps):
    figure = plots.spectrograms(*RNG.normal(size=(2, 1, steps)), RATE)
    paper = pixels(figure)
    for axis in figure.axes[:2]:
        box = axis.get_position()
        rows = slice(*(len(paper) * (1 - np.array([box.y1, box.y0]))).astype(int))
        columns = slice(*(paper.shape[1] * np.array([box.x0, box.x1])).astype(int))
        white = (paper[rows, columns] == 1.0).all(axis=-1).mean()
        assert white < 0.1


def test_the_pitch_of_a_short_sound_is_seen_while_it_changes():
    time = np.arange(512) / 4000
    pitch = np.where(time < 0.064, 500.0, 1000.0)
    seconds, frequency, power = plots.decibels(np.sin(2 * np.pi * pitch * time), 4000)
    loudest = frequency[power.argmax(axis=0)]
    assert (loudest[seconds < 0.045] == 500.0).all() and (seconds < 0.045).any()
    assert (loudest[seconds > 0.085] == 1000.0).all() and (seconds > 0.085).any()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: plots.images(TABLE), "Images are"),
        (lambda: plots.images(GREY[:0]), "Images are"),
        (lambda: plots.images(np.zeros((2, 4, 4, 2))), "1 or 3 channels"),
        (lambda: plots.images(GREY, columns=0), "columns >= 1"),
        (lambda: plots.samples({}), "no block"),
        (lambda: plots.samples({"a": GREY, "b": GREY[:, :3]}), "one shape"),
        (lambda: plots.interpolations(TABLE), "steps, N"),
        (lambda: plots.completions(GREY, True, GREY), "draws"),
        (lambda: plots.extremes(GREY, [1.0]), "a number for each"),
        (lambda: plots.points(TABLE, TABLE[:, :2]), "as many columns"),
        (lambda: plots.density(normal_log_prob, TABLE), "two dimensions"),
        (lambda: plots.corner(TABLE, TABLE, "ab"), "3 columns and 2 names"),
        (lambda: plots.corner(*[np.zeros((9, 40))] * 2), "12 columns at most"),
        (lambda: plots.training_curves({"loss": [1.0]}), "'loss'"),
        (lambda: plots.latent_normality(TABLE, BAND), "between 0 and 1"),
        (lambda: plots.coverage(TABLE, BAND), "between 0 and 1"),
        (lambda: plots.shares([]), "one number for each unit"),
        (lambda: plots.shares([1.0], ["a", "b"]), "2 names"),
        (lambda: plots.sequences(SOUND, SOUND), "as many samples"),
        (lambda: plots.spectrograms(SOUND[0], SOUND, RATE), "amplitudes"),
        (lambda: plots.spectrograms(SOUND[:, :7], SOUND, RATE), "Give 8 or more"),
    ],
)
def test_bad_input_is_one_clear_error(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
