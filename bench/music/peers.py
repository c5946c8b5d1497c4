"""What the engine is compared with: librosa's Laplacian segmentation, the loudest half minute, a random one."""

from __future__ import annotations

import librosa
import numpy as np
import scipy.ndimage
import scipy.sparse.csgraph
import sklearn.cluster

from bench.music.scoring import CLIP_S, Estimate
from media.music.decode import SAMPLE_RATE

CLUSTERS = 5


def laplacian(samples: np.ndarray) -> Estimate:
    """McFee & Ellis, "Analyzing Song Structure with Spectral Clustering" (2014), as librosa's gallery applies it."""
    per_octave = 36
    spectrum = librosa.amplitude_to_db(
        np.abs(librosa.cqt(y=samples, sr=SAMPLE_RATE, bins_per_octave=per_octave, n_bins=7 * per_octave)),
        ref=np.max,
    )
    _, beats = librosa.beat.beat_track(y=samples, sr=SAMPLE_RATE, trim=False)
    synced = librosa.util.sync(spectrum, beats, aggregate=np.median)
    times = librosa.frames_to_time(librosa.util.fix_frames(beats, x_min=0), sr=SAMPLE_RATE)
    recurrence = librosa.segment.recurrence_matrix(synced, width=3, mode="affinity", sym=True)
    smooth = librosa.segment.timelag_filter(scipy.ndimage.median_filter)(recurrence, size=(1, 7))
    timbre = librosa.util.sync(librosa.feature.mfcc(y=samples, sr=SAMPLE_RATE), beats)
    steps = np.sum(np.diff(timbre, axis=1) ** 2, axis=0)
    path = np.exp(-steps / np.median(steps))
    chain = np.diag(path, k=1) + np.diag(path, k=-1)
    degree_path, degree_recurrence = chain.sum(axis=1), smooth.sum(axis=1)
    mix = degree_path.dot(degree_path + degree_recurrence) / np.sum((degree_path + degree_recurrence) ** 2)
    affinity = mix * smooth + (1 - mix) * chain
    _, vectors = np.linalg.eigh(scipy.sparse.csgraph.laplacian(affinity, normed=True))
    vectors = scipy.ndimage.median_filter(vectors, size=(9, 1))
    norms = np.cumsum(vectors**2, axis=1) ** 0.5
    rows = vectors[:, :CLUSTERS] / (norms[:, CLUSTERS - 1 : CLUSTERS] + 1e-12)
    ids = sklearn.cluster.KMeans(n_clusters=CLUSTERS, random_state=0).fit_predict(rows)
    starts = np.r_[0, 1 + np.flatnonzero(ids[1:] != ids[:-1])]
    borders = [float(times[min(i, len(times) - 1)]) for i in starts] + [len(samples) / SAMPLE_RATE]
    return Estimate(borders, [str(ids[i]) for i in starts], None)


def loudest(samples: np.ndarray) -> Estimate:
    """The half minute of most energy, of those that begin at whole seconds."""
    power = np.add.reduceat(samples.astype(np.float64) ** 2, np.arange(0, len(samples), SAMPLE_RATE))
    windows = np.convolve(power, np.ones(int(CLIP_S)), "valid")
    return Estimate([0.0, len(samples) / SAMPLE_RATE], None, float(windows.argmax()))


def random(duration_s: float, seed: int) -> float:
    """Where half a minute begins that is anywhere in the song."""
    return float(np.random.default_rng(seed).uniform(0, duration_s - CLIP_S))
