"""A bundle adjustment of the shape of BAL's: cameras of 3 × 4 matrices, each point seen by some, pixels by division."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp


class Scene(NamedTuple):
    """The true cameras and points, which camera sees which point, and where."""

    T: np.ndarray
    P: np.ndarray
    cams: np.ndarray
    pts: np.ndarray
    seen: np.ndarray

    def residuals(self, T, P):
        """Pixels in units of the focal length, less those seen."""
        h = np.einsum("oij,oj->oi", T[self.cams][:, :, :3], P[self.pts]) + T[self.cams][:, :, 3]
        return h[:, :2] / h[:, 2:] - self.seen

    def start(self, far=1.0, seed=1):
        """Cameras and points near the truth, or so many times as far."""
        rng = np.random.default_rng(seed)
        T = self.T + far * 0.02 * rng.standard_normal(self.T.shape)
        return T, self.P + far * 0.05 * rng.standard_normal(self.P.shape)

    def unpack(self, x):
        """The cameras and points of a flat vector."""
        return x[: self.T.size].reshape(self.T.shape), x[self.T.size :].reshape(self.P.shape)

    def slopes(self, T, P):
        """By hand: the residuals, and each observation's by its camera, 2 × 12, and by its point, 2 × 3."""
        C, p = T[self.cams], P[self.pts]
        h = np.einsum("oij,oj->oi", C[:, :, :3], p) + C[:, :, 3]
        q = h[:, :2] / h[:, 2:]
        dq = np.zeros((len(h), 2, 3))
        dq[:, 0, 0] = dq[:, 1, 1] = 1 / h[:, 2]
        dq[:, :, 2] = -q / h[:, 2:]
        by_T = dq[:, :, :, None] * np.column_stack([p, np.ones(len(p))])[:, None, None]
        return q - self.seen, by_T.reshape(-1, 2, 12), dq @ C[:, :, :3]

    def by_hand(self):
        """The residuals and the exact Jacobian as a csr_array, of a flat vector: the pattern is made once."""
        count = self.pts.size
        by_T = np.broadcast_to(12 * self.cams[:, None, None] + np.arange(12), (count, 2, 12))
        by_P = np.broadcast_to(self.T.size + 3 * self.pts[:, None, None] + np.arange(3), (count, 2, 3))
        indices = np.concatenate([by_T, by_P], axis=2).ravel().astype(np.int32)
        indptr = np.arange(0, indices.size + 1, 15, dtype=np.int32)
        shape = 2 * count, self.T.size + self.P.size

        def jacobian(x):
            _, by_T, by_P = self.slopes(*self.unpack(x))
            return sp.csr_array((np.concatenate([by_T, by_P], axis=2).ravel(), indices, indptr), shape=shape)

        return lambda x: self.residuals(*self.unpack(x)).ravel(), jacobian


def scene(observations, noise=0.0, views=5, seed=0):
    """Cameras on a circle around a cloud of points, each of them seen by some cameras side by side."""
    rng = np.random.default_rng(seed)
    points = observations // views
    cameras = max(10, points // 200)
    angles = 2 * np.pi * np.arange(cameras) / cameras
    T = np.zeros((cameras, 3, 4))
    T[:, 0, 0], T[:, 0, 2], T[:, 1, 1] = np.cos(angles), np.sin(angles), 1
    T[:, 2, 0], T[:, 2, 2] = -np.sin(angles), np.cos(angles)
    T[:, :, 3] = [0.0, 0.0, 5.0] + 0.2 * rng.standard_normal((cameras, 3))
    P = rng.uniform(-1.5, 1.5, (points, 3))
    pts = np.repeat(np.arange(points), views)
    cams = (rng.integers(cameras, size=(points, 1)) + np.arange(views)).ravel() % cameras
    exact = Scene(T, P, cams, pts, np.zeros((pts.size, 2)))
    return exact._replace(seen=exact.residuals(T, P) + noise * rng.standard_normal((pts.size, 2)))
