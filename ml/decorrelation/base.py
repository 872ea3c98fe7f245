"""What every decorrelation has in common: scales, survival, saving, checking.

A method is one file with one subclass of `Decorrelation` that implements `_fit`, `_normalised`,
`_arrays` and `_restore`, and one line in `oddjet.ml.decorrelation.DECORRELATIONS`.

Three steps lead from a score to its result:

1. The score is put on a standard scale on which background is normal, so that a method need not
   care about its units and tails.
2. The method makes its distribution the same at every mass and pt.
3. The survival of the background on that common scale is what is given.

The third step uses all background jets at once, each of them brought to the common scale by a fit to
the others (three parts, in turn): on the jets it was fitted to, a method looks better than it is,
and tight cuts would keep more of other jets than stated. So the efficiency of a cut is right on average
whatever the method does, and rare jets are told apart with the whole sample's statistics.

Where the calibrating events are given, replicas say what the same method would have made of other events
(`oddjet.ml.replicas`): it is fitted again to bootstraps of them, and the scores that it would cut at are held
against the map that is used.
"""

from __future__ import annotations

import copy
import inspect
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.constraints import check_fields
from oddjet.datasets.disk.arrays import read_arrays
from oddjet.errors import DetectorError, InputError, TooFewJetsError, look_up
from oddjet.ml.decorrelation.scale import StandardScale, TailSurvival
from oddjet.ml.evaluation.checks import checked_columns, effective_number
from oddjet.ml.folder import applying
from oddjet.ml.plugins import class_path, saved_class
from oddjet.ml.replicas import LEVELS, N_REPLICAS, Replicas, bootstrap_weights
from oddjet.parsing import parse_json
from oddjet.typing import Floats

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Decorrelation"]

log = logging.getLogger(__name__)


ROWS = 50_000
PARTS = 3
MASS_NODES, EVEN_NODES, PT_NODES = 40, 20, 3
"""Where replicas are compared: masses with equal numbers of jets between them, masses at equal distances, and pt at
each."""
BISECTIONS, BEYOND = 30, 12.0
"""How the z of a value is found where a method does not say, and within which bounds."""


class Decorrelation(ABC):
    """Base of all decorrelations.

    A fitted one gives −log10 of the background's survival P(score ≥ s | mass, pt): higher is rarer,
    and a cut at −log10(ε) keeps ε of the background at every mass and pt. It rises with the score
    at fixed mass and pt, so jets of one mass and pt keep their order. Scores that take few distinct
    values cannot be made flat better than those values allow: nothing is drawn at random.

    Subclasses are dataclasses, whose keyword-only fields are hyper-parameters of JSON types.

    Attributes:
        mass_range_: Lowest and highest mass of the background it was fitted on [GeV]; jets beyond
            are treated as if they were there.
        pt_range_: The same of pt [GeV].
        replicas: What other calibrating events would have given; None where the events were not given.
    """

    min_jets: ClassVar[int] = 200
    """Fewer effective jets (Σw)²/Σw² than this are refused."""

    continues: ClassVar[bool] = False
    """Whether it says something of masses between those of the background it was fitted on: a map learned
    beside a window holds inside it."""

    n_replicas: ClassVar[int] = N_REPLICAS
    """How many replicas are made; 0 for a method that cannot say what other jets would have given."""

    mass_range_: tuple[float, float]
    pt_range_: tuple[float, float]
    replicas: Replicas | None = None
    _scale: StandardScale
    _survival: TailSurvival | None = None

    # --- what a method implements ---------------------------------------------------------------

    @abstractmethod
    def _fit(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> None:
        """Learn from n background jets: z normal over all of them, weights positive."""

    @abstractmethod
    def _normalised(self, z: Floats, mass: Floats, pt: Floats) -> Floats:
        """Give (n,) numbers, rising with z, distributed alike in background at all mass and pt."""

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give what `_fit` found, as arrays of numbers."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what `_arrays` gave."""

    # --- what a method may implement, where it is not as the method needs it, or too slow ----------

    def _prepare(  # noqa: B027 (most methods have nothing to choose)
        self, z: Floats, mass: Floats, pt: Floats, weights: Floats
    ) -> None:
        """Choose, once for all fits, what is not fitted: the arguments are those of `_fit`."""

    def _scores_at(self, values: Floats, mass: Floats, pt: Floats) -> Floats:
        """Give the z (n,) that `_normalised` brings to given values (n,): by bisection."""
        low, high = np.full(values.shape, -BEYOND), np.full(values.shape, BEYOND)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            under = self._normalised(middle, mass, pt) < values
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return np.asarray(0.5 * (low + high))

    def _refitted(
        self, z: Floats, mass: Floats, pt: Floats, weights: Floats, counts: npt.NDArray[np.uint8]
    ) -> Iterator[tuple[Decorrelation, TailSurvival]]:
        """Fit to the jets of `_fit`, weighted by counts (n_replicas, n) as well; and give the survival each."""
        for row in counts:
            used = row > 0
            jets = z[used], mass[used], pt[used]
            other = copy.copy(self)
            other._fit(*jets, weights[used] * row[used])
            yield other, TailSurvival.fit(other._in_parts(*jets), weights[used] * row[used])

    def __post_init__(self) -> None:
        """Check the hyper-parameters, where they declare what they may be.

        Raises:
            ConfigError: If a value is not allowed.
        """
        check_fields(self, label=type(self).__name__)

    # --- what everybody calls -------------------------------------------------------------------

    @classmethod
    def create(cls, hyper_parameters: Mapping[str, Any]) -> Self:
        """Make one that is not fitted.

        Raises:
            ConfigError: If there is no such hyper-parameter, or a value is not allowed.
        """
        known = inspect.signature(cls).parameters
        for name in hyper_parameters:
            look_up(known, name, f"hyper-parameter of {cls.__name__}")
        return cls(**hyper_parameters)

    def hyper_parameters(self) -> dict[str, Any]:
        """Give the hyper-parameters: name → value."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def fit(
        self,
        scores: npt.ArrayLike,
        mass: npt.ArrayLike,
        pt: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        events: npt.NDArray[np.uint64] | None = None,
    ) -> Self:
        """Learn from background jets that the detector was not trained on.

        Args:
            scores: One a jet, shape (n,), higher for more anomalous jets.
            mass: Shape (n,) [GeV], not negative.
            pt: Shape (n,) [GeV], positive.
            weights: Shape (n,), not negative; 1 by default. Jets of weight 0 are left out.
            events: Hashes of their events, shape (n,): with these, replicas are made.

        Raises:
            TooFewJetsError: If there are fewer than `min_jets` effective jets.
            NonFiniteError: If a number is NaN or infinite.
            InputError: If lengths differ, a weight or mass is negative, or a pt not positive.
        """
        s, m, p, w = _checked(scores, mass, pt, weights)
        used = w > 0
        s, m, p, w = s[used], m[used], p[used], w[used]
        n_effective = effective_number(w)
        if n_effective < self.min_jets:
            msg = (
                f"{type(self).__name__}: expected at least {self.min_jets} effective background "
                f"jets to decorrelate with. Received: {n_effective:.0f}. Read more files, or leave "
                "the decorrelation out."
            )
            raise TooFewJetsError(msg)
        w = w / w.mean()
        self.mass_range_ = float(m.min()), float(m.max())
        self.pt_range_ = float(p.min()), float(p.max())
        self._scale = StandardScale.fit(s, w)
        z = self._scale(s)
        self._prepare(z, m, p, w)
        normalised = self._held_out(z, m, p, w)
        self._fit(z, m, p, w)
        self._survival = TailSurvival.fit(normalised, w)
        self.replicas = None
        if events is not None and self.n_replicas:
            counts = bootstrap_weights(np.asarray(events)[used], self.n_replicas)
            self.replicas = self._replicate((z, m, p, w), counts)
        return self

    @property
    def n_effective(self) -> float:
        """(Σw)²/Σw² of the background it was fitted on."""
        return float(self._fitted().n_effective)

    @property
    def cap(self) -> float:
        """The largest value it gives, log10(n_eff + 1) + 1: a tenth of the rarest jet seen."""
        return self._fitted().cap

    def __call__(self, scores: npt.ArrayLike, mass: npt.ArrayLike, pt: npt.ArrayLike) -> Floats:
        """Decorrelate scores (n,) of jets of masses and pt (n,) [GeV], n ≥ 0: in [0, `cap`].

        Masses and pt beyond those of the background it was fitted on are moved to the nearest of
        these, and their number is logged: there is nothing to know about jets never seen.

        Higher is rarer.

        Raises:
            NonFiniteError: If a number is NaN or infinite.
            InputError: If lengths differ, a mass is negative or a pt not positive.
            DetectorError: If it was not fitted.
        """
        survival = self._fitted()
        s, m, p, _ = _checked(scores, mass, pt)
        if not len(s):
            return np.zeros(0)
        if n_outside := self.count_outside(m, p):
            log.info(
                "%s: %d of %d jets lie beyond the masses %s or pt %s it was fitted on [GeV]",
                type(self).__name__, n_outside, len(m), self.mass_range_, self.pt_range_,
            )  # fmt: skip
        with applying(type(self).__name__):
            m, p = np.clip(m, *self.mass_range_), np.clip(p, *self.pt_range_)
            return survival(self._in_parts(self._scale(s), m, p))

    def count_outside(self, mass: npt.ArrayLike, pt: npt.ArrayLike) -> int:
        """Count jets, mass (n,) and pt (n,) [GeV], beyond those that it was fitted on."""
        m, p = np.asarray(mass), np.asarray(pt)
        (m_low, m_high), (p_low, p_high) = self.mass_range_, self.pt_range_
        return int(np.count_nonzero((m < m_low) | (m > m_high) | (p < p_low) | (p > p_high)))

    def save(self, path: Path | str) -> None:
        """Write an `.npz` file of arrays and one text.

        Raises:
            DetectorError: If it was not fitted.
        """
        survival = self._fitted()
        info = {"class": class_path(type(self)), "hyper_parameters": self.hyper_parameters()}
        np.savez_compressed(
            path,
            allow_pickle=False,
            info=np.array(json.dumps(info)),
            ranges=np.array([self.mass_range_, self.pt_range_]),
            **{f"scale_{name}": array for name, array in self._scale.arrays().items()},
            **{f"survival_{name}": array for name, array in survival.arrays().items()},
            **{f"own_{name}": array for name, array in self._arrays().items()},
            **{
                f"replica_{n}": a
                for n, a in (self.replicas.arrays() if self.replicas else {}).items()
            },
        )

    @classmethod
    def load(cls, path: Path | str) -> Decorrelation:
        """Read what `save` wrote, whatever its class.

        Raises:
            DetectorError: If the file cannot be read, or its class is not known.
        """
        arrays = read_arrays(path, error=DetectorError)
        try:
            info = parse_json(str(arrays["info"]))
            method: type[Decorrelation] = saved_class(
                "decorrelations", info["class"], Decorrelation, where=str(path)
            )
            new = method.create(info["hyper_parameters"])
            mass_range, pt_range = arrays["ranges"].tolist()
            new.mass_range_, new.pt_range_ = tuple(mass_range), tuple(pt_range)
            new._scale = StandardScale(**_part(arrays, "scale_"))
            new._survival = TailSurvival(**_part(arrays, "survival_"))
            new._restore(_part(arrays, "own_"))
            new.replicas = Replicas.restored(_part(arrays, "replica_"))
        except DetectorError:
            raise
        except Exception as error:
            msg = f"{path} holds no decorrelation that can be read: {error!r:.200}. Fit it again."
            raise DetectorError(msg) from error
        return new

    def _held_out(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> Floats:
        """Normalise each jet by a fit to other jets: jets that were fitted to look too ordinary."""
        part = np.random.default_rng(0).permutation(len(z)) % PARTS
        normalised = np.empty(len(z))
        for number in range(PARTS):
            out = part == number
            self._fit(z[~out], mass[~out], pt[~out], weights[~out])
            normalised[out] = self._in_parts(z[out], mass[out], pt[out])
        return normalised

    def _replicate(
        self, jets: tuple[Floats, Floats, Floats, Floats], counts: npt.NDArray[np.uint8]
    ) -> Replicas:
        """Compare replicas with counts (n_replicas, n) of jets, as of `_fit`, with the map that is used.

        At each mass, the efficiency is the mean over the pt of the jets there.
        """
        z, mass, pt, weights = jets
        masses, pts = _nodes(mass, pt, weights)
        wanted = -np.log10(LEVELS)
        survival = TailSurvival.fit(self._in_parts(z, mass, pt), weights)
        grid = (len(LEVELS), *pts.shape)
        at_mass = np.broadcast_to(masses[:, None], grid).ravel()
        at_pt = np.broadcast_to(pts, grid).ravel()
        kept = np.empty((len(counts), len(LEVELS), masses.size))
        for number, (other, its) in enumerate(self._refitted(*jets, counts)):
            values = np.broadcast_to(its.values_at(wanted)[:, None, None], grid).ravel()
            cut_at = other._scores_at(values, at_mass, at_pt)
            rarity = survival(self._normalised(cut_at, at_mass, at_pt))
            kept[number] = (10.0**-rarity).reshape(grid).mean(axis=2)
        return Replicas.from_ratios(masses, kept / LEVELS[:, None])

    def _in_parts(self, z: Floats, mass: Floats, pt: Floats) -> Floats:
        """Normalise some rows at a time: methods may need many numbers a jet."""
        parts = [slice(start, start + ROWS) for start in range(0, len(z), ROWS)]
        return np.concatenate([self._normalised(z[at], mass[at], pt[at]) for at in parts])

    def _fitted(self) -> TailSurvival:
        if self._survival is None:
            msg = f"{type(self).__name__} was not fitted: call fit first, or load one."
            raise DetectorError(msg)
        return self._survival


def _nodes(mass: Floats, pt: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Give masses (m,) where replicas are compared, and pt (m, `PT_NODES`) that jets near them have."""
    order = np.argsort(mass, kind="stable")
    mass, pt, total = mass[order], pt[order], np.cumsum(weights[order])
    levels = np.linspace(0, total[-1], MASS_NODES)
    even = np.linspace(mass[0], mass[-1], EVEN_NODES)
    masses = np.unique(np.concatenate([np.interp(levels, total, mass), even]))
    near = max(len(mass) // MASS_NODES, 20)
    pts = np.empty((masses.size, PT_NODES))
    for row, place in zip(pts, np.searchsorted(mass, masses), strict=True):
        first = int(np.clip(place - near // 2, 0, max(len(mass) - near, 0)))
        nearby = slice(first, first + near)
        by_pt = np.argsort(pt[nearby])
        shares = np.cumsum(
            np.diff(total[nearby], prepend=total[first - 1] if first else 0.0)[by_pt]
        )
        middles = (np.arange(PT_NODES) + 0.5) / PT_NODES
        row[:] = np.interp(middles * shares[-1], shares, pt[nearby][by_pt])
    return masses, pts


def _part(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def _checked(
    scores: npt.ArrayLike,
    mass: npt.ArrayLike,
    pt: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> tuple[Floats, Floats, Floats, Floats]:
    given = {"scores": scores, "masses": mass, "pt": pt}
    columns, w = checked_columns(given, weights, where="decorrelation")
    s, m, p = columns.values()
    if n_bad := int(np.count_nonzero((m < 0) | (p <= 0))):
        msg = f"decorrelation: {n_bad} of {len(m)} jets have a negative mass, or a pt not above 0."
        raise InputError(msg)
    return s, m, p, w
