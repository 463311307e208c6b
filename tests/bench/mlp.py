from bench import *

nn = torch.nn
cross_entropy = nn.CrossEntropyLoss()


def net():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512),
                         nn.ReLU(), nn.Linear(512, 10))


x, y = torch.randn(128, 784), torch.randint(0, 10, (128,))
for name, make in (
        ("sgd momentum", lambda p, f: torch.optim.SGD(
            p, lr=.01, momentum=.9, foreach=f)),
        ("adam", lambda p, f: torch.optim.Adam(p, lr=1e-4, foreach=f))):
    def steps(foreach):
        model = net()
        opt = make(model.parameters(), foreach)

        def step():
            opt.zero_grad(set_to_none=True)
            cross_entropy(model(x), y).backward()
            opt.step()
        return step
    ways = [steps(False), steps(True)]
    time("mlp 784 b128 " + name + ", step", *ways)
    time("mlp 784 b128 " + name + ", compiled", *ways)

model = net()


def gradient():
    for p in model.parameters():
        p.grad = None
    cross_entropy(model(x), y).backward()


time("mlp 784 b128 gradient", gradient)
X, Y = torch.randn(10000, 784), torch.randint(0, 10, (10000,))


def forward():
    with torch.no_grad():
        cross_entropy(model(X), Y)


time("mlp 784 b10000 forward", forward)
