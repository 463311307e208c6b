from bench import *

nn = torch.nn
x = torch.randn(64, 2)
y = torch.sin(x.sum(1, keepdim=True))
mse = nn.MSELoss()


def steps(make):
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32),
                        nn.Tanh(), nn.Linear(32, 1))
    opt = make(net.parameters())

    def step():
        opt.zero_grad()
        mse(net(x), y).backward()
        opt.step()
    return step


ways = [steps(lambda p: torch.optim.Adam(p, lr=1e-3, foreach=f))
        for f in (False, True)]
time("mlp 2-32-32-1 b64 adam, step", *ways)
time("mlp 2-32-32-1 b64 adam, compiled", *ways)
time("mlp 2-32-32-1 b64 sgd, step",
     *[steps(lambda p: torch.optim.SGD(p, lr=1e-2, foreach=f))
       for f in (False, True)])

p = torch.tensor([-1.5, 2.0], dtype=torch.float64, requires_grad=True)
opt = torch.optim.Adam([p], lr=1e-2)


def rosenbrock():
    opt.zero_grad()
    loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    loss.backward()
    opt.step()


time("rosenbrock adam, step", rosenbrock)
time("rosenbrock adam, compiled", rosenbrock)

a, b = torch.randn(4), torch.randn(4)


def adds():
    c = a
    for _ in range(100):
        c = c + b


time("add of 4 elements", adds, scale=100)
