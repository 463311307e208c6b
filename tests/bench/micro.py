from bench import *
import numpy as np

for n, label in ((10**6, "10^6"), (10**8, "10^8")):
    a, b, c = (torch.randn(n) for _ in range(3))
    A, B, C = a.numpy(), b.numpy(), c.numpy()
    time("a*b+c " + label, lambda: a * b + c,
         lambda: torch.addcmul(c, a, b), lambda: A * B + C)
    time("sum " + label, lambda: a.sum(), lambda: A.sum())
    del a, b, c, A, B, C
x = torch.randn(10**7)
X = x.numpy()
out = torch.empty_like(x)
for f in ("tanh", "exp", "erf", "sigmoid"):
    g = getattr(torch, f)
    ways = [lambda: g(x), lambda: g(x, out=out)]
    if f in ("tanh", "exp"):
        ways.append(lambda: getattr(np, f)(X))
    time(f + " 10^7", *ways)
m = torch.randn(10000, 1000)
M = m.numpy()
time("softmax rows 10000x1000", lambda: torch.softmax(m, 1))
time("log_softmax rows 10000x1000", lambda: torch.log_softmax(m, 1))
for d in (0, 1):
    of = " over dim %d of 10000x1000" % (d + 1)
    time("sum" + of, lambda: m.sum(d), lambda: M.sum(d))
    time("max" + of, lambda: m.amax(d), lambda: M.max(d))
    time("variance" + of, lambda: m.var(d), lambda: M.var(d, ddof=1))
q = torch.randn(4096, 4096)
Q = q.numpy()
to = torch.empty_like(q)
time("transposed copy 4096x4096", lambda: q.t().contiguous(),
     lambda: to.copy_(q.t()), lambda: np.ascontiguousarray(Q.T))
a, b = torch.randn(64, 32, 32), torch.randn(64, 32, 32)
A, B = a.numpy(), b.numpy()
time("64 matmuls of 32x32", lambda: torch.bmm(a, b), lambda: A @ B)
time("randn 10^7", lambda: torch.randn(10**7),
     lambda: np.random.default_rng(0).standard_normal(10**7, np.float32))
