from bench import *


def sizes(count):
    if count == 1:
        return [10000000]
    s = []
    for w, n in ((16, 20), (32, 18), (64, 16)):
        s += [w * w * 9, w, w] * n
    s = s[:160] + [640]
    total = sum(s)
    return [max(1, n * 10000000 // total) for n in s]


def resnet56():
    s, c = [3 * 16 * 9, 16, 16], 16
    for w in (16, 32, 64):
        for _ in range(9):
            s += [c * w * 9, w, w, w * w * 9, w, w]
            if c != w:
                s += [c * w, w, w]
            c = w
    return s + [640, 10]


def make(list):
    params = [torch.nn.Parameter(torch.randn(n)) for n in list]
    for p in params:
        p.grad = torch.randn_like(p) * 1e-3
    return params


def built_in(list, foreach):
    opt = torch.optim.Adam(make(list), lr=1e-5, foreach=foreach)
    return opt.step


def written(list):
    params = make(list)
    M = [torch.zeros_like(p) for p in params]
    V = [torch.zeros_like(p) for p in params]
    t = [0]

    @torch.no_grad()
    def step():
        t[0] += 1
        for i, p in enumerate(params):
            g = p.grad
            M[i] = .9 * M[i] + .1 * g
            V[i] = .999 * V[i] + .001 * g * g
            m, v = M[i] / (1 - .9 ** t[0]), V[i] / (1 - .999 ** t[0])
            p -= 1e-5 * m / (torch.sqrt(v) + 1e-8)
    return step


for name, list in (("adam 10 M, 1 tensor", sizes(1)),
                   ("adam 10 M, 161 tensors", sizes(161)),
                   ("adam resnet-56, 173 tensors", resnet56())):
    time(name, built_in(list, False), built_in(list, True))
    if len(list) != 173:
        time(name + ", rule in Lua", written(list))
