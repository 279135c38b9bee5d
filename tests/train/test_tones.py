"""Chords in mu-law codes: their spectrum, their parts, what is known of them."""

import numpy as np
import pytest
import scipy.signal
import scipy.stats

from tfp_flows import flows
from tfp_flows.distributions import mu_law
from train import evaluation, pipelines
from train.configs import digits_real_nvp, tones_wavenet
from train.pipelines import tones


def config(**fields):
    made = tones_wavenet.get_config().data
    small = {"num_steps": 600, "num_train": 20, "num_valid": 10, "num_test": 30}
    made.update({**small, **fields})
    return made


def lines(sound):
    """Frequencies of the peaks of a spectrum, the strongest first, and their height."""
    size = np.abs(np.fft.rfft(sound))
    peaks, _ = scipy.signal.find_peaks(size)
    peaks = peaks[np.argsort(-size[peaks])]
    return np.fft.rfftfreq(len(sound), 1 / tones.RATE)[peaks], size[peaks]


def test_a_chord_has_its_peaks_at_the_harmonics_of_its_pitches():
    chord = tones.Chord(0.0, np.array([220.0, 392.0]), np.array([0.2, 0.2]))
    frequency, height = lines(chord.sound(np.arange(tones.RATE) / tones.RATE))
    wanted = sorted(np.outer([220.0, 392.0], [1, 2, 3, 4, 5]).ravel())
    np.testing.assert_allclose(np.sort(frequency[:10]), wanted, atol=1.0)
    fundamental, octave = (
        height[np.argmin(abs(frequency - f))] for f in (220.0, 440.0)
    )
    np.testing.assert_allclose(octave / fundamental, 0.25, atol=0.02)


def test_a_chord_begins_at_rest_at_its_time_and_decays():
    time = np.arange(4000) / tones.RATE
    sound = tones.Chord(0.1, np.array([220.0]), np.array([0.25])).sound(time)
    assert (sound[:801] == 0.0).all()
    assert 0.0 < sound[801] < 0.5 * sound.max()
    loud, quiet = (np.std(sound[800 + s : 800 + s + 400]) for s in (0, 800))
    np.testing.assert_allclose(quiet / loud, np.exp(-1.0), rtol=0.02)
    assert 0.1 < np.abs(sound).max() < 0.25


def test_melodies_are_chords_of_one_to_four_notes_of_the_scale():
    rng = np.random.default_rng(0)
    chords = [c for _ in range(50) for c in tones.melody(rng, 1.0)]
    counts = {len(set(c.pitches)) for c in chords}
    assert counts == {1, 2, 3, 4}
    # Each step of the scale is 2 or 3 of 12 equal parts of an octave.
    found = np.unique(np.concatenate([c.pitches for c in chords]))
    semitones = 12.0 * np.log2(found / 220.0)
    np.testing.assert_allclose(semitones, np.round(semitones), atol=1e-9)
    assert set(np.diff(np.round(semitones))) == {2.0, 3.0} and len(found) == 10
    assert min(c.start for c in chords) < 0.0 < 0.7 < max(c.start for c in chords)


def test_drawn_sound_is_loudest_at_pitches_of_the_scale():
    sound, clean = tones.draw(30, 4000, 0.003, [0, 0])
    loudest = [lines(x)[0][0] for x in sound]
    distance = np.abs(np.subtract.outer(loudest, tones.PITCHES)).min(axis=1)
    assert distance.max() < 6.0  # the scale's own steps are 29 Hz and more
    assert len(np.unique(np.round(loudest, -1))) > 5
    assert np.abs(sound).max() < 1.0
    noise = sound - clean
    np.testing.assert_allclose(noise.std(), 0.003, rtol=0.01)
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("num_values", [0, 16])
def test_codes_are_mu_law_codes_of_the_sound(tmp_path, num_values):
    splits = pipelines.load(config(num_values=num_values), tmp_path)
    count = num_values or 256
    assert splits.num_values == splits.audio.num_values == count
    codes = splits.train.head(len(splits.train)).x
    assert codes.dtype == np.uint8 and splits.event_shape == (600, 1)
    assert codes.max() < count and len(np.unique(codes)) > 0.5 * count
    sound, _ = tones.draw(20, 600, 0.003, [0, 0])
    order = np.argsort(sound.ravel())
    assert (np.diff(codes.ravel()[order].astype(int)) >= 0).all()
    # Between the amplitudes of the codes above and below.
    levels = mu_law.decode(np.arange(-1, count + 1), count).numpy()
    place = codes[..., 0].astype(int)
    below, above = levels[place], levels[place + 2]
    assert ((below < sound) & (sound < above)).all()


def test_the_parts_are_streams_of_their_own_and_functions_of_the_seed(tmp_path):
    one, same = (pipelines.load(config(), tmp_path) for _ in range(2))
    other = pipelines.load(config(seed=1), tmp_path)
    everything = []
    for name in ("train", "valid", "test"):
        x, again, others = (getattr(s, name).head(10**6).x for s in (one, same, other))
        np.testing.assert_array_equal(x, again)
        everything += [*x, *others]
    np.testing.assert_array_equal(one.audio.excerpts, same.audio.excerpts)
    assert one.audio.excerpts.shape == (3, 2 * tones.RATE, 1)
    everything += [x[:600] for x in one.audio.excerpts]
    assert len({x.tobytes() for x in everything}) == 2 * 60 + 3
    assert [len(p) for p in (one.train, one.valid, one.test)] == [20, 10, 30]


def test_the_floor_is_the_entropy_of_codes_around_known_tones():
    rng = np.random.default_rng(0)
    for amplitude, noise in ((0.0, 0.003), (0.2, 0.003), (-0.7, 0.02)):
        codes = mu_law.encode(amplitude + rng.normal(0.0, noise, 400_000)).numpy()
        share = np.bincount(codes) / len(codes)
        share = share[share > 0]
        drawn = -(share * np.log(share)).sum() + (len(share) - 1) / (2 * len(codes))
        known = tones.code_entropy(np.full(5, amplitude), noise, 256)
        np.testing.assert_allclose(known, drawn, atol=0.01)
    assert tones.code_entropy(mu_law.decode([200], 256).numpy(), 1e-4, 256) < 1e-6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context": True}, "no labels to condition on"),
        ({"binarize": "threshold"}, "'tones' holds sound"),
        ({"num_values": 1}, "0 for 256 codes, or from 2 to 256, got 1"),
        ({"num_values": 512}, "0 for 256 codes, or from 2 to 256, got 512"),
        ({"scale": 0.0}, "between 0 and 1, the loudest amplitude"),
        ({"scale": float("nan")}, "between 0 and 1, the loudest amplitude"),
        ({"num_steps": 0}, "config.data.num_steps of 'tones' must be positive, got 0"),
        ({"num_test": -3}, "config.data.num_test of 'tones' must be positive, got -3"),
    ],
)
def test_bad_numbers_are_refused(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        pipelines.load(config(**fields), tmp_path)


def test_a_unigram_has_the_shares_of_the_training_part():
    events = np.array([[[0], [0], [1]], [[0], [2], [1]]], np.uint8)
    train = pipelines.Part(pipelines.Arrays(events))
    events = np.array([[[0], [0], [0]], [[3], [2], [1]]], np.uint8)
    test = pipelines.Part(pipelines.Arrays(events))
    splits = pipelines.Splits(train, train, test, 4)
    settings = tones_wavenet.get_config()
    (score,) = evaluation.baseline_scores(splits, settings)
    # One more of each value than there are: 4, 3, 2 and 1 of 10.
    wanted = [-np.log2(0.4), -np.log2(0.1 * 0.2 * 0.3) / 3]
    np.testing.assert_allclose(score.bits, wanted)
    assert (score.name, score.num_parameters, score.is_exact) == ("unigram", 3, True)
    assert score.num_dims == 3


def test_a_unigram_of_real_numbers_is_refused():
    part = pipelines.Part(pipelines.Arrays(np.zeros((3, 2))))
    splits = pipelines.Splits(part, part, part, None)
    settings = digits_real_nvp.get_config()
    settings.baselines.unigram = True
    with pytest.raises(ValueError, match="counts integers, but 'digits' holds real"):
        evaluation.baseline_scores(splits, settings)


def test_without_a_choice_of_mixtures_there_is_the_gaussian():
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal([2, 500, 2]) @ [[2.0, 1.0], [0.0, 0.5]]
    train, test = np.float32(train), np.float32(test)
    parts = [pipelines.Part(pipelines.Arrays(x)) for x in (train, test, test)]
    splits = pipelines.Splits(*parts, None)
    settings = digits_real_nvp.get_config()
    settings.baselines.mixture_components = ()
    (score,) = evaluation.baseline_scores(splits, settings)
    normal = scipy.stats.multivariate_normal(train.mean(axis=0), np.cov(train.T))
    np.testing.assert_allclose(
        score.mean, -normal.logpdf(test).mean() / np.log(2) / 2, rtol=1e-3
    )


def test_the_wavenet_of_the_config_remembers_more_than_two_periods():
    settings = tones_wavenet.get_config()
    options = settings.flow.options.to_dict()
    model = flows.wavenet((settings.data.num_steps, 1), num_values=256, **options)
    seconds = model.network.receptive_field / tones.RATE
    assert seconds > 2.0 / tones.PITCHES.min()
    assert 2 * model.network.receptive_field < settings.data.num_steps
