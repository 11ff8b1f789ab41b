"""Written functions with Fourier transforms and complex values of real arguments: name → (function, shapes)."""

import numpy as np

rng = np.random.default_rng(23)
H = rng.standard_normal(5) + 1j * rng.standard_normal(5)
Q = rng.standard_normal((4, 3)) + 1j * rng.standard_normal((4, 3))
W = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4))
mask = np.abs(W) > 1
x, X, T, pair = ((8,),), ((3, 4),), ((2, 3, 4),), ((4,), (3,))


def stacked(z):
    """Real and imaginary parts."""
    return np.stack([np.real(z), np.imag(z)])


#: Complex-linear steps alone, and analytic functions entry by entry: complex values, complex points too.
ANALYTIC = {
    "fft": (lambda x: np.fft.fft(x), x),
    "fft, cut": (lambda x: np.fft.fft(x, 5, norm="ortho"), x),
    "fft, padded, of columns": (lambda X: np.fft.fft(X, n=5, axis=0, norm="forward"), X),
    "ifft": (lambda x: np.fft.ifft(x * x), x),
    "ifft, padded": (lambda X: np.fft.ifft(X, 6, -1, "ortho"), X),
    "ifft of a middle axis": (lambda T: np.fft.ifft(T, axis=1, norm="forward"), T),
    "fft2": (lambda X: np.fft.fft2(X), X),
    "fft2 of a stack": (lambda T: np.fft.fft2(T, s=(4, 3), norm="ortho"), T),
    "ifft2": (lambda T: np.fft.ifft2(T, axes=(0, 2)), T),
    "fftn": (lambda T: np.fft.fftn(T), T),
    "fftn of lengths": (lambda T: np.fft.fftn(T, (4, 2), axes=(2, 0)), T),
    "fftn, an axis as it is": (lambda T: np.fft.fftn(T, (-1, 2), axes=(2, 0)), T),
    "fftn of an axis twice": (lambda X: np.fft.fftn(X, axes=(0, 0)), X),
    "ifftn": (lambda T: np.fft.ifftn(T, axes=(1, 2)), T),
    "convolution": (lambda a, b: np.fft.ifft(np.fft.fft(a, 6) * np.fft.fft(b, 6)), pair),
    "shifted": (lambda X: np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(X, axes=1)), axes=0), X),
    "frequencies": (lambda x: np.fft.ifft(2j * np.pi * np.fft.fftfreq(8, 0.1) * np.fft.fft(x)), x),
    "one number": (lambda x: np.fft.fft(x[:1]), x),
}
#: Complex values of real arguments alone.
HALVES = {
    "rfft": (lambda x: np.fft.rfft(x), x),
    "rfft, odd": (lambda x: np.fft.rfft(x, 5, norm="ortho"), x),
    "rfft of columns": (lambda X: np.fft.rfft(X, axis=0, norm="forward") * Q[:2, :1], X),
    "rfft2": (lambda X: np.fft.rfft2(X, (4, 5)), X),
    "rfftn": (lambda T: np.fft.rfftn(T, axes=(2, 0), norm="ortho"), T),
}
#: Complex values on the way, and real results.
REAL = {
    "filter": (lambda x: np.fft.irfft(np.fft.rfft(x) * H, 8), x),
    "filter, odd": (lambda x: np.fft.irfft(np.fft.rfft(x) * H, 9), x),
    "filter, padded": (lambda x: np.fft.irfft(np.fft.rfft(x)[:3] * H[:3], 14, norm="ortho"), x),
    "filter of rows": (lambda X: np.fft.irfft(np.fft.rfft(X, 8, axis=1) * H, norm="forward"), X),
    "filter by exp": (lambda x: np.fft.irfft(np.exp(np.fft.rfft(x) / 4) * H), x),
    "irfft of real ones": (lambda x: np.fft.irfft(x), x),
    "irfft of complex ones": (lambda X: np.fft.irfft(X * W, axis=0), X),
    "irfft2": (lambda X: np.fft.irfft2(np.fft.rfft2(X) * Q[0], X.shape), X),
    "irfftn": (lambda T: np.fft.irfftn(np.fft.rfftn(T, axes=(0, 1)) ** 2, axes=(0, 1)), T),
    "real part of an ifft": (lambda x: np.fft.ifft(np.fft.fft(x) * np.exp(1j * np.arange(8))).real, x),
    "power spectrum": (lambda x: np.abs(np.fft.rfft(x)) ** 2, x),
    "power spectrum of rows": (lambda X: np.sum(np.abs(np.fft.fft2(X)) ** 2, axis=0), X),
    "energy": (lambda x: np.sum(np.abs(np.fft.rfft(x)[:3]) ** 2 * np.arange(3)), x),
    "magnitudes": (lambda x: np.abs(np.fft.fft(x)), x),
    "phases": (lambda x: np.angle(np.fft.fft(x) * (1 + 2j)), x),
    "phases in degrees": (lambda x: np.angle(np.fft.rfft(x * x)[1:4], deg=True), x),
    "autocorrelation": (lambda x: np.fft.irfft(np.fft.rfft(x, 16) * np.conj(np.fft.rfft(x, 16))), x),
    "correlation": (lambda a, b: np.fft.ifft(np.fft.fft(a, 6) * np.fft.fft(b, 6).conj()).real, pair),
    "hfft": (lambda x: np.fft.hfft(x * H[0]), x),
    "ihfft": (lambda x: stacked(np.fft.ihfft(x, 6)), x),
    "spectrum of magnitudes": (lambda x: np.real(np.fft.fft(np.abs(np.fft.fft(x))) * np.exp(1j * x)), x),
    "cepstrum": (lambda x: np.fft.irfft(np.log(np.abs(np.fft.rfft(x))), 8), x),
    "phase retrieval": (lambda X: np.abs(Q @ np.exp(1j * X)) ** 2, X),
    "parts of products": (lambda X: np.imag(X @ Q.T * (1 + X @ Q.T)), ((2, 3),)),
    "real part of a real part": (lambda X: np.real(np.real(X * W)) + np.imag(np.imag(X * W)), X),
    "parts by position": (lambda X: np.where(mask, (X * W).real, (X * W).imag), X),
    "real part of a triangle": (lambda X: np.real(np.tril(X @ W.T)), X),
    "vdot": (lambda X: np.real(np.vdot(X * W, np.exp(1j * X))), X),
    "vecdot": (lambda X: stacked(np.vecdot(X * W, W * X * X)), X),
    "correlate": (lambda x: np.imag(np.correlate(x, x[:5] * H)), x),
    "variance": (lambda X: np.var(X * W, axis=0), X),
    "norm": (lambda X: np.linalg.norm(X * W, axis=1), X),
    "covariance": (lambda X: stacked(np.cov(X * W)), X),
    "solve": (lambda X: np.abs(np.linalg.solve(X[:, :3] * 1j + W[:, :3], W[:, 0])), X),
}
