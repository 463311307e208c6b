from bench import *

nn, F = torch.nn, torch.nn.functional


def mlp(*sizes, act=nn.ReLU):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


def study(name, net, x, y, loss):
    params = list(net.parameters())
    v = [torch.randn_like(p) for p in params]

    def gradient(keep=False):
        return torch.autograd.grad(loss(net(x), y), params, create_graph=keep)

    def hvp(g):
        return torch.autograd.grad(g, params, grad_outputs=v,
                                   retain_graph=True)
    time(name + ", gradient", gradient)
    time(name + ", first HVP at a point", lambda: hvp(gradient(True)))
    kept = gradient(True)
    time(name + ", HVP repeated", lambda: hvp(kept))


study("mlp 784 b1024", mlp(784, 512, 512, 10), torch.randn(1024, 784),
      torch.randint(0, 10, (1024,)), nn.CrossEntropyLoss())
study("mlp 2-32-32-1 b64", mlp(2, 32, 32, 1, act=nn.Tanh),
      torch.randn(64, 2), torch.randn(64, 1), nn.MSELoss())


def flat_loss(sizes, n):
    net = mlp(*sizes, act=nn.Tanh)
    x, y = torch.randn(n, sizes[0]), torch.randint(0, sizes[-1], (n,))
    shapes = [p.shape for p in net.parameters()]
    flat = torch.cat([p.detach().reshape(-1) for p in net.parameters()])

    def loss(t):
        parts, at, h = [], 0, x
        for s in shapes:
            parts.append(t[at:at + s.numel()].view(s))
            at += s.numel()
        for i in range(0, len(parts), 2):
            h = F.linear(h, parts[i], parts[i + 1])
            if i + 2 < len(parts):
                h = torch.tanh(h)
        return F.cross_entropy(h, y)
    return loss, flat


loss, flat = flat_loss((4, 16, 8, 3), 150)
time("Hessian of mlp 4-16-8-3, 150 samples",
     lambda: torch.autograd.functional.hessian(loss, flat, vectorize=True),
     lambda: torch.autograd.functional.hessian(loss, flat))
loss, flat = flat_loss((784, 16, 10), 1024)
flat.requires_grad_()
g = torch.autograd.grad(loss(flat), flat, create_graph=True)[0]
time("Hessian of mlp 784-16-10, 1024 samples, a row",
     lambda: torch.autograd.grad(g[17], flat, retain_graph=True))
