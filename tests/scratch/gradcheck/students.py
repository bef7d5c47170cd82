"""Recurrent networks as students write them: right here, wrong after one line is replaced.

They use `Module` and `Parameter` and nothing else of the package. `zoo.py` plants the mistakes.
"""

# ruff: noqa: C408, F841, RUF059 -- students write dict(); what is unused here, a mistake uses

import numpy as np

from scratch.machinery.module import Module, Parameter


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class JointLSTM(Module):
    """One matrix for all gates, as in torch.nn: i, f, g, o; (T, N, D)."""

    def __init__(self, input_size, hidden_size, rng=None):
        rng = np.random.default_rng(rng)
        H = hidden_size
        self.hidden_size = H
        self.W_x = Parameter(rng.normal(0, 0.5, (4 * H, input_size)))
        self.W_h = Parameter(rng.normal(0, 0.5, (4 * H, H)))
        self.b_x = Parameter(rng.normal(0, 0.5, 4 * H))
        self.b_h = Parameter(rng.normal(0, 0.5, 4 * H))

    def __call__(self, x, state):
        cache = self.forward(x, state)
        return cache["output"], (cache["h"][-1], cache["c"][-1])

    def forward(self, x, state):
        h, c = state
        hs, cs, gates, zs = [h], [c], [], []
        for t in range(len(x)):
            z = x[t] @ self.W_x.data.T + self.b_x.data + h @ self.W_h.data.T + self.b_h.data
            zi, zf, zg, zo = np.split(z, 4, axis=-1)
            i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
            c = f * c + i * g
            h = o * np.tanh(c)
            hs.append(h)
            cs.append(c)
            gates.append((i, f, g, o))
            zs.append((zi, zf, zg, zo))
        return {"x": x, "h": hs, "c": cs, "gates": gates, "z": zs, "output": np.stack(hs[1:])}

    def backward(self, cache, grad_output, grad_state):
        x, hs, cs = cache["x"], cache["h"], cache["c"]
        T, N, _ = x.shape
        H = self.hidden_size
        dW_x, dW_h = np.zeros_like(self.W_x.data), np.zeros_like(self.W_h.data)
        db = np.zeros_like(self.b_x.data)
        dx = np.zeros_like(x)
        dh_next, dc_next = grad_state
        for t in reversed(range(T)):
            i, f, g, o = cache["gates"][t]
            zi, zf, zg, zo = cache["z"][t]
            h, c, h_prev, c_prev = hs[t + 1], cs[t + 1], hs[t], cs[t]
            tanh_c = np.tanh(c)
            dh = grad_output[t] + dh_next
            do = dh * tanh_c
            dc = dc_next + dh * o * (1 - tanh_c**2)
            df = dc * c_prev
            di = dc * g
            dg = dc * i
            dc_next = dc * f
            dzi = di * i * (1 - i)
            dzf = df * f * (1 - f)
            dzg = dg * (1 - g**2)
            dzo = do * o * (1 - o)
            dz = np.concatenate([dzi, dzf, dzg, dzo], axis=-1)
            dW_x += dz.T @ x[t]
            dW_h += dz.T @ h_prev
            db += dz.sum(axis=0)
            dx[t] = dz @ self.W_x.data
            dh_next = dz @ self.W_h.data
        self.W_x.add_grad(dW_x)
        self.W_h.add_grad(dW_h)
        self.b_x.add_grad(db)
        self.b_h.add_grad(db)
        return dx, (dh_next, dc_next)


class GatewiseLSTM(Module):
    """One matrix for each gate that meets [h, x], as in the course notes; (N, T, D)."""

    def __init__(self, input_size, hidden_size, rng=None):
        rng = np.random.default_rng(rng)
        self.W_f = Parameter(rng.normal(0, 0.5, (hidden_size, hidden_size + input_size)))
        self.b_f = Parameter(rng.normal(0, 0.5, hidden_size))
        self.W_i = Parameter(rng.normal(0, 0.5, (hidden_size, hidden_size + input_size)))
        self.b_i = Parameter(rng.normal(0, 0.5, hidden_size))
        self.W_c = Parameter(rng.normal(0, 0.5, (hidden_size, hidden_size + input_size)))
        self.b_c = Parameter(rng.normal(0, 0.5, hidden_size))
        self.W_o = Parameter(rng.normal(0, 0.5, (hidden_size, hidden_size + input_size)))
        self.b_o = Parameter(rng.normal(0, 0.5, hidden_size))
        self.hidden_size = hidden_size

    def __call__(self, x, h0, c0):
        steps, output = self.forward(x, h0, c0)
        return output, steps[-1]["h"], steps[-1]["c"]

    def forward(self, x, h0, c0):
        h, c, steps = h0, c0, []
        for t in range(x.shape[1]):
            hx = np.concatenate([h, x[:, t]], axis=1)
            f = sigmoid(hx @ self.W_f.data.T + self.b_f.data)
            i = sigmoid(hx @ self.W_i.data.T + self.b_i.data)
            g = np.tanh(hx @ self.W_c.data.T + self.b_c.data)
            o = sigmoid(hx @ self.W_o.data.T + self.b_o.data)
            c_prev, c = c, f * c + i * g
            h = o * np.tanh(c)
            steps.append(dict(hx=hx, f=f, i=i, g=g, o=o, c_prev=c_prev, c=c, h=h))
        return steps, np.stack([step["h"] for step in steps], axis=1)

    def backward(self, record, grad_output, grad_h, grad_c):
        steps, _ = record
        H = self.hidden_size
        grad_x = []
        dh_next, dc_next = grad_h, grad_c
        for t in reversed(range(len(steps))):
            hx, f, i, g, o, c_prev, c, h = steps[t].values()
            dh = grad_output[:, t] + dh_next
            dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)
            do = dh * np.tanh(c) * o * (1 - o)
            df = dc * c_prev * f * (1 - f)
            di = dc * g * i * (1 - i)
            dg = dc * i * (1 - g * g)
            self.W_f.add_grad(df.T @ hx)
            self.b_f.add_grad(df.sum(axis=0))
            self.W_i.add_grad(di.T @ hx)
            self.b_i.add_grad(di.sum(axis=0))
            self.W_c.add_grad(dg.T @ hx)
            self.b_c.add_grad(dg.sum(axis=0))
            self.W_o.add_grad(do.T @ hx)
            self.b_o.add_grad(do.sum(axis=0))
            dhx = df @ self.W_f.data + di @ self.W_i.data + dg @ self.W_c.data + do @ self.W_o.data
            dh_next = dhx[:, :H]
            dc_next = f * dc
            grad_x.append(dhx[:, H:])
        return np.stack(grad_x[::-1], axis=1), dh_next, dc_next


class StudentRNN(Module):
    """h = tanh(x W_xh + h W_hh + b), the matrices as in x @ W; (T, N, D)."""

    def __init__(self, input_size, hidden_size, rng=None):
        rng = np.random.default_rng(rng)
        self.W_xh = Parameter(rng.normal(0, 0.5, (input_size, hidden_size)))
        self.W_hh = Parameter(rng.normal(0, 0.5, (hidden_size, hidden_size)))
        self.b = Parameter(rng.normal(0, 0.5, (1, hidden_size)))

    def __call__(self, x, h0):
        hs = self.forward(x, h0)[1]
        return np.stack(hs[1:]), hs[-1]

    def forward(self, x, h0):
        hs = [h0]
        for x_t in x:
            hs.append(np.tanh(x_t @ self.W_xh.data + hs[-1] @ self.W_hh.data + self.b.data))
        return x, hs

    def backward(self, record, grad_output, grad_h):
        x, hs = record
        grad_x = np.empty_like(x)
        dW_xh, dW_hh, db = 0, 0, 0
        for t in reversed(range(len(x))):
            dh = grad_output[t] + grad_h
            dz = dh * (1 - hs[t + 1] ** 2)
            dW_xh = dW_xh + x[t].T @ dz
            dW_hh = dW_hh + hs[t].T @ dz
            db = db + dz.sum(axis=0, keepdims=True)
            grad_x[t] = dz @ self.W_xh.data.T
            grad_h = dz @ self.W_hh.data.T
        self.W_xh.add_grad(dW_xh)
        self.W_hh.add_grad(dW_hh)
        self.b.add_grad(db)
        return grad_x, grad_h


class StudentLSTMCell(Module):
    """One step, with names as in torch.nn."""

    def __init__(self, input_size, hidden_size, rng=None):
        rng = np.random.default_rng(rng)
        self.weight_ih = Parameter(rng.normal(0, 0.5, (4 * hidden_size, input_size)))
        self.weight_hh = Parameter(rng.normal(0, 0.5, (4 * hidden_size, hidden_size)))
        self.bias_ih = Parameter(rng.normal(0, 0.5, 4 * hidden_size))
        self.bias_hh = Parameter(rng.normal(0, 0.5, 4 * hidden_size))

    def __call__(self, x, state):
        step = self.forward(x, state)
        return step["h"], step["c"]

    def forward(self, x, state):
        h_prev, c_prev = state
        z = x @ self.weight_ih.data.T + self.bias_ih.data
        z = z + h_prev @ self.weight_hh.data.T + self.bias_hh.data
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c_prev + i * g
        return dict(x=x, h_prev=h_prev, c_prev=c_prev, i=i, f=f, g=g, o=o, c=c, h=o * np.tanh(c))

    def backward(self, step, grad_state):
        x, h_prev, c_prev, i, f, g, o, c, h = step.values()
        grad_h, grad_c = grad_state
        grad_o = grad_h * np.tanh(c)
        grad_c = grad_c + grad_h * o * (1 - np.tanh(c) ** 2)
        grad_i, grad_f, grad_g = grad_c * g, grad_c * c_prev, grad_c * i
        grad_z = np.concatenate(
            [
                grad_i * i * (1 - i),
                grad_f * f * (1 - f),
                grad_g * (1 - g**2),
                grad_o * o * (1 - o),
            ],
            axis=1,
        )
        self.weight_ih.add_grad(grad_z.T @ x)
        self.weight_hh.add_grad(grad_z.T @ h_prev)
        self.bias_ih.add_grad(grad_z.sum(axis=0))
        self.bias_hh.add_grad(grad_z.sum(axis=0))
        return grad_z @ self.weight_ih.data, (grad_z @ self.weight_hh.data, grad_c * f)
