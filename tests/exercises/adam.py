"""Exercise 6: one step of Adam.

An optimizer has no gradient to check, so this file compares yours with that of scratch, for five
steps. Make the new m, v and w from the old ones, the gradient and t, which is 1 in the first
step.

    m = β₁ m + (1 − β₁) g                   v = β₂ v + (1 − β₂) g²
    m̂ = m / (1 − β₁ᵗ)                       v̂ = v / (1 − β₂ᵗ)
    w = w − lr · m̂ / (√v̂ + ε)

    python -m docs.exercises.adam
"""

import numpy as np


def adam(w, g, m, v, t, lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w, m, v


def check(adam):
    """The status and a line that says whether `adam` steps as scratch.Adam does."""
    from scratch import Adam, Parameter

    rng = np.random.default_rng(0)
    parameter = Parameter(rng.normal(size=3))
    optimizer = Adam([parameter], lr=0.01)
    w, m, v = parameter.data.copy(), np.zeros(3), np.zeros(3)
    right_m, right_v = np.zeros(3), np.zeros(3)
    for t in range(1, 6):
        g = rng.normal(size=3)
        optimizer.zero_grad()
        parameter.add_grad(g)
        optimizer.step()
        right_m, right_v = 0.9 * right_m + 0.1 * g, 0.999 * right_v + 0.001 * g**2
        try:
            w, m, v = adam(w, g, m, v, t)
            parts = {"m": (m, right_m), "v": (v, right_v), "w": (w, parameter.data)}
            wrong = [k for k, (a, b) in parts.items() if not np.allclose(a, b, rtol=1e-9, atol=0)]
        except (NotImplementedError, TypeError) as error:
            if not isinstance(error, NotImplementedError) and "llipsis" not in str(error):
                raise
            return 1, "hole: adam is not written yet"
        if wrong == ["w"]:
            return 1, f"WRONG: m and v are right, w is not, in step {t}"
        if wrong:
            return 1, f"WRONG: {wrong[0]} is not right in step {t}"
    return 0, "right: five steps as scratch.Adam"


if __name__ == "__main__":
    status, words = check(adam)
    print(words)
    raise SystemExit(status)
