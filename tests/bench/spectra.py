from bench import *

nn, F = torch.nn, torch.nn.functional


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


net = mlp(784, 512, 512, 10)
params = list(net.parameters())
x, y = torch.randn(1024, 784), torch.randint(0, 10, (1024,))
n = sum(p.numel() for p in params)


def product(v):
    g = torch.autograd.grad(F.cross_entropy(net(x), y), params,
                            create_graph=True)
    parts, at = [], 0
    for p in params:
        parts.append(v[at:at + p.numel()].view_as(p))
        at += p.numel()
    hv = torch.autograd.grad(g, params, grad_outputs=parts)
    return torch.cat([h.reshape(-1) for h in hv])


def lanczos(steps):
    V = torch.zeros(steps + 1, n)
    V[0] = torch.randn(n)
    V[0] /= V[0].norm()
    for j in range(steps):
        w = product(V[j])
        for _ in range(2):
            w -= V[:j + 1].t() @ (V[:j + 1] @ w)
        V[j + 1] = w / w.norm()


time("Lanczos, 100 steps, mlp 784 b1024", lambda: lanczos(100))
time("density, 4 probes x 80, mlp 784 b1024",
     lambda: [lanczos(80) for _ in range(4)])

pictures, labels = torch.rand(2000, 784), torch.randint(0, 10, (2000,))


def fgsm():
    a = pictures.clone().requires_grad_()
    d, = torch.autograd.grad(F.cross_entropy(net(a), labels), a)
    return pictures + .1 * d.sign()


time("FGSM of 2000 pictures", fgsm)

small = mlp(784, 128, 1)
z = torch.randn(512, 784)
weights = list(small.parameters())


def ntk():
    rows = [torch.cat([d.reshape(-1) for d in
                       torch.autograd.grad(small(z[i:i + 1]).sum(), weights)])
            for i in range(512)]
    J = torch.stack(rows)
    return J @ J.t()


ways = [ntk]
try:
    import functorch
    f, held = functorch.make_functional(small)
    each = functorch.vmap(functorch.grad(
        lambda p, a: f(p, a.unsqueeze(0)).sum()), (None, 0))
    ways.append(lambda: sum(J.reshape(512, -1) @ J.reshape(512, -1).t()
                            for J in each(held, z)))
except ImportError:
    pass
time("NTK of 512 samples, 0.1 M parameters", *ways)
time("the same, of any function", *ways)
