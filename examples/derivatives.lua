-- What can be differentiated, and how often? Any function of tensors, to any
-- order, forwards, backwards and for many points at once. Takes a blink.
local x = sd.tensor({ 0.5, 1, 2 }, { dtype = "f64" })
local function f(v) return (v:sin() * v ^ 2):sum() end

print("f(x)", f(x))
print("gradient", sd.grad(f)(x))
print("its expectation", x:cos() * x ^ 2 + 2 * x * x:sin())

-- A Hessian-vector product is the derivative of the gradient along v.
local v = sd.tensor({ 1, 0, 0 }, { dtype = "f64" })
print("H v", sd.hvp(f, x, v))
print("first column of H", sd.hessian(f)(x)[{ {}, 1 }])

-- A third derivative, by nesting.
local function slope(t) return sd.grad(sd.sin)(t) end
local function bend(t) return sd.grad(slope)(t) end
print("sin''' at 1", sd.grad(bend)(sd.tensor(1.0)), "-cos 1", -math.cos(1))

-- Gradients for each of four points at once: the map of the gradient.
local points = sd.randn(4, 3, { dtype = "f64", generator = sd.generator(1) })
print("four gradients", sd.vmap(sd.grad(f))(points))

-- And the check that everything above agrees with central differences.
local _, worst = sd.check_grad(f, x, { order = 2 })
print(("worst difference from central differences: %.1e"):format(worst))
