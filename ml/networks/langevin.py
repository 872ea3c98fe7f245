"""Langevin sampling of p ∝ exp(−E/T), with chains kept in a buffer from one batch to the next.

References:
    S. Yoon, Y.-K. Noh, F. Park, Autoencoding under normalization constraints, arXiv:2105.05735,
    sections 3 and 4; the buffer is that of Y. Du, I. Mordatch, arXiv:1903.08689, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, ListOf, OrNone, check_fields, constrained
from oddjet.errors import ConfigError
from oddjet.ml.networks.keras_models import import_keras

__all__ = ["Langevin", "ReplayBuffer", "reflect"]

POSITIVE = Interval(float, 0, closed="neither")
Tensors = list[Any]
"""What is sampled: one tensor or several, each of shape (b, …)."""
Energy = Callable[..., Any]
"""`energy(*tensors)` → energies, shape (b,); a row's depends on that row alone."""
Confine = Callable[[Tensors], Tensors]
"""Brings tensors back to where they may be."""


@dataclass(frozen=True)
class Langevin:
    """How to move: x ← x − (α/T) ∇E(x) + β ε, with ε standard normal, `steps` times.

    With β = √(2α) the chain's distribution tends to exp(−E/T) as α → 0. For E = k x²/2 it is, for any
    α < 2T/k, a Gaussian of variance (T/k) / (1 − αk/2T). Another β samples at another temperature,
    T β²/2α.

    Attributes:
        steps: Moves in a row.
        temperature: T, positive.
        step_size: α, one for each tensor sampled, positive.
        noise: β, one for each tensor, not negative; None for √(2α).
        largest_move: The drift (α/T) ∇E of one number is cut to ± this; None for no bound.
            Where the energy is steep, far from the data, a fixed step would overshoot.

    References:
        arXiv:2105.05735, eq. (9); its values of α and β are chosen apart, which is common.
    """

    steps: int = constrained(constraint=Interval(int, 1))
    temperature: float = constrained(constraint=POSITIVE)
    step_size: tuple[float, ...] = constrained(constraint=ListOf(POSITIVE))
    noise: tuple[float, ...] | None = constrained(None, OrNone(ListOf(Interval(float, 0))))
    largest_move: float | None = constrained(None, OrNone(POSITIVE))

    def __post_init__(self) -> None:
        check_fields(self, label="Langevin")
        if len(self.betas) != len(self.step_size):
            msg = (
                f"Langevin: noise must be one number for each step_size. Received: {self.noise} and "
                f"{self.step_size}."
            )
            raise ConfigError(msg)

    @property
    def betas(self) -> tuple[float, ...]:
        """β for each tensor."""
        if self.noise is not None:
            return self.noise
        return tuple(math.sqrt(2 * alpha) for alpha in self.step_size)

    def sample(
        self, energy: Energy, start: Tensors, *, confine: Confine, generator: Any
    ) -> Tensors:
        """Move rows (b, …), one tensor a step size; to be called inside a traced function.

        Further tensors stay as they are, for example a mask; `confine` is applied to all after each
        move; the state of the `tf.random.Generator` is advanced. The result is cut off from any
        gradient.
        """
        tf, _ = import_keras()
        n_moving = len(self.step_size)

        def move(step: Any, *at: Any) -> tuple[Any, ...]:
            moving, still = at[:n_moving], at[n_moving:]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(moving)
                # Rows do not influence each other, so the sum has every row's own gradient.
                total = tf.reduce_sum(energy(*at))
            moved = []
            for x, slope, alpha, beta in zip(
                moving, tape.gradient(total, moving), self.step_size, self.betas, strict=True
            ):
                drift = (alpha / self.temperature) * slope
                if self.largest_move is not None:
                    drift = tf.clip_by_value(drift, -self.largest_move, self.largest_move)
                moved.append(x - drift + beta * generator.normal(tf.shape(x)))
            return (step + 1, *confine([*moved, *still]))

        _, *end = tf.while_loop(
            lambda step, *_: step < self.steps,
            move,
            (tf.constant(0), *start),
            parallel_iterations=1,  # the generator's state makes the steps a row
        )
        return [tf.stop_gradient(x) for x in end]


class ReplayBuffer:
    """Chains that go on from batch to batch, so that short runs add up to long ones.

    Attributes:
        chains: TensorFlow variables, one for each tensor sampled, shape (size, …).
        generator: A `tf.random.Generator`.
    """

    def __init__(
        self,
        starts: Sequence[npt.NDArray[np.float32]],
        *,
        fresh: Callable[[int, Any], Tensors],
        restart: float,
        seed: int,
    ) -> None:
        """Fill the buffer.

        `starts` are one array (size, …) for each tensor; `fresh(n, generator)`, called inside a
        traced function, gives n new ones, where a chain drawn starts again with the chance
        `restart` (published: 0.05).

        Raises:
            ConfigError: If the chance is not in [0, 1].
        """
        if not 0 <= restart <= 1:
            msg = f"Langevin: restart must be in [0, 1]. Received: {restart}."
            raise ConfigError(msg)
        tf, _ = import_keras()
        self.chains = [tf.Variable(start, dtype=tf.float32) for start in starts]
        self.generator = tf.random.Generator.from_seed(seed)
        self._fresh = fresh
        self._restart = restart

    @property
    def state(self) -> list[Any]:
        """The variables that later draws depend on, for `Objective.state`."""
        return [*self.chains, self.generator.state]

    def move(self, n: int, energy: Energy, langevin: Langevin, *, confine: Confine) -> Tensors:
        """Draw n different chains, move them and put them back, inside a traced function.

        `confine` is applied after each move. Gives the chains' ends (n, …), cut off from any
        gradient.
        """
        tf, _ = import_keras()
        size = self.chains[0].shape[0]
        rows = tf.math.top_k(self.generator.uniform((size,)), n, sorted=False).indices
        restarts = self.generator.uniform((n,)) < self._restart
        starts = [
            tf.where(
                tf.reshape(restarts, (n,) + (1,) * (len(old.shape) - 1)), new, tf.gather(old, rows)
            )
            for old, new in zip(self.chains, self._fresh(n, self.generator), strict=True)
        ]
        ends = langevin.sample(energy, starts, confine=confine, generator=self.generator)
        for chain, end in zip(self.chains, ends, strict=True):
            chain.scatter_nd_update(rows[:, None], end)
        return ends


def reflect(x: Any, low: Any, high: Any) -> Any:
    """Fold numbers (…, d) into [low, high], (d,) or numbers, as a mirror at either end does.

    They may be however far.
    """
    tf, _ = import_keras()
    width = high - low
    within = tf.math.floormod(x - low, 2 * width)
    return low + tf.where(within > width, 2 * width - within, within)
