"""Lund graphs: the Cambridge/Aachen declusterings of jets, as trees of nodes with features.

References:
    F. Dreyer, G. Salam, G. Soyez, The Lund jet plane, arXiv:1807.04758, eq. (2.1) and (2.2);
    F. Dreyer, H. Qu, Jet tagging in the Lund plane with graph networks, arXiv:2012.08526, section 2.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, constrained
from oddjet.datasets.jets import Jets
from oddjet.datasets.kinematics.cambridge import ClusterTrees, cluster_trees
from oddjet.errors import InputError
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.batches import FlatJets, over_jets
from oddjet.typing import Floats, Singles

__all__ = ["DenseGraphs", "LundGraph"]


ROOT = -1
PADDING = -2


@dataclasses.dataclass(frozen=True, eq=False)
class DenseGraphs:
    """Graphs of n jets, padded to the same number of nodes.

    Attributes:
        nodes: Features, zeros where there is no node, shape (n, max_nodes, n_features).
        adjacency: 1 between a node and its parent, both ways, else 0; no node is its own neighbour;
            shape (n, max_nodes, max_nodes).
        mask: Which nodes there are, shape (n, max_nodes).
    """

    nodes: Singles
    adjacency: Singles
    mask: npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class LundGraph(Representation):
    """The tree of Cambridge/Aachen declusterings of a jet, float32.

    A node is a declustering into a harder (a) and a softer (b) branch:

    ==================  ===============================================================
    ln_kt               ln kt, kt = pt_b ΔR [GeV]
    ln_inverse_delta_r  ln 1/ΔR, ΔR in rapidity and azimuth
    z                   pt_b / (pt_a + pt_b)
    ln_m                ln m, m the mass before the declustering [GeV]
    ==================  ===============================================================

    with ΔR ≥ 10⁻⁴, kt ≥ 10⁻⁴ GeV and m ≥ 10⁻³ GeV in the logarithms. Its parent is the declustering
    that its own mother branch came from. The root, the jet's first declustering, is node 0; the others
    follow in the order in which the clustering, undone, gives them: from wide to narrow angles. A
    parent therefore comes before its children, and the first `max_nodes` nodes are a connected tree: a
    jet of more is cut there. A jet of k constituents has k − 1 nodes, so a jet of one or none has an
    empty graph.

    Called, it gives one array that holds the graph without redundance: column 0 is the parent's number
    (−1 for the root, −2 for padding), the others the features. `graphs` gives the dense arrays that a
    network reads, `unpack` makes them of the former, and `ragged` gives every node.

    Attributes:
        max_nodes: Nodes a jet is padded or cut to.

    References:
        arXiv:1807.04758, eq. (2.1) and (2.2); arXiv:2012.08526, section 2.

    >>> LundGraph(max_nodes=16).shape
    (16, 5)
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("ln_kt", "ln_inverse_delta_r", "z", "ln_m")
    """Names of the features."""

    max_nodes: int = constrained(32, Interval(int, 1, 1000, closed="both"))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of one jet's row: (max_nodes, 1 + number of features)."""
        return (self.max_nodes, 1 + len(self.names))

    def __call__(self, jets: Jets, *, threads: int = 1) -> Singles:
        """Give parents and features of n jets, float32, shape (n, max_nodes, 5).

        Raises:
            NonFiniteError: If an axis or a constituent is not finite.
        """
        packed = np.zeros((len(jets), *self.shape), dtype=np.float32)
        packed[..., 0] = PADDING

        def work(part: FlatJets, where: slice) -> None:
            trees = cluster_trees(part.momenta, part.offsets)
            counts = np.diff(trees.offsets)
            jet = np.repeat(np.arange(len(part)), counts)
            node = np.arange(len(jet)) - trees.offsets[jet]
            kept = node < self.max_nodes
            features = _features(trees)
            mine = packed[where]
            mine[jet[kept], node[kept], 0] = trees.parent[kept]
            mine[jet[kept], node[kept], 1:] = features[kept]

        over_jets(jets, work, label="LundGraph", threads=threads, masses=True)
        return packed

    def graphs(self, jets: Jets, *, threads: int = 1) -> DenseGraphs:
        """Give padded nodes, adjacency and mask: `unpack` of a call.

        The adjacency takes 4 · max_nodes² bytes a jet, so feed a network batch by batch.

        Raises:
            NonFiniteError: If an axis or a constituent has a NaN or an infinity.
        """
        return self.unpack(self(jets, threads=threads))

    def unpack(self, packed: npt.NDArray[np.float32]) -> DenseGraphs:
        """Make nodes, adjacency and mask of what a call gave, shape (n, max_nodes, 5).

        Raises:
            InputError: If the shape is another one.
        """
        if packed.shape[1:] != self.shape:
            msg = f"LundGraph: expected shape (n, *{self.shape}). Received: {packed.shape}."
            raise InputError(msg)
        parent = packed[..., 0].astype(np.int64)  # (n, max_nodes)
        adjacency = np.zeros((len(packed), self.max_nodes, self.max_nodes), dtype=np.float32)
        jet, child = np.nonzero(parent >= 0)
        adjacency[jet, child, parent[jet, child]] = 1.0
        adjacency[jet, parent[jet, child], child] = 1.0
        return DenseGraphs(packed[..., 1:], adjacency, parent != PADDING)

    def ragged(self, jets: Jets, *, threads: int = 1) -> ak.Array:
        """Give every node, whatever `max_nodes` is.

        Returns:
            n * var * {ln_kt, ln_inverse_delta_r, z, ln_m, parent, is_hard}, float64: `parent` is the
            number of the parent within the jet (−1 for the root), `is_hard` whether the node declusters
            the harder branch of its parent (true for the root). Nodes that are so all the way up to the
            root are the primary Lund plane.

        Raises:
            NonFiniteError: If an axis or a constituent has a NaN or an infinity.
        """
        parts: dict[int, ak.Array] = {}

        def work(part: FlatJets, where: slice) -> None:
            trees = cluster_trees(part.momenta, part.offsets)
            columns = dict(zip(self.names, _features(trees).T, strict=True))
            nodes = ak.zip({**columns, "parent": trees.parent, "is_hard": trees.is_hard})
            parts[where.start] = ak.unflatten(nodes, np.diff(trees.offsets))

        over_jets(jets, work, label="LundGraph", threads=threads, masses=True)
        if not parts:
            empty = {name: np.empty(0) for name in self.names}
            nodes = ak.zip({**empty, "parent": np.empty(0, np.int64), "is_hard": np.empty(0, bool)})
            return ak.unflatten(nodes, np.empty(0, np.int64))
        return ak.concatenate([parts[start] for start in sorted(parts)])


def _features(trees: ClusterTrees) -> Floats:
    """Features of all nodes, shape (n_nodes, 4)."""
    hard, soft = trees.pt.T
    total = hard + soft
    return np.stack(
        [
            np.log(np.maximum(soft * trees.delta_r, 1e-4)),
            -np.log(np.maximum(trees.delta_r, 1e-4)),
            np.divide(soft, total, out=np.zeros_like(soft), where=total > 0),
            np.log(np.maximum(trees.mass, 1e-3)),
        ],
        axis=1,
    )
