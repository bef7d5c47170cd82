"""The diagrams of the chapters: boxes and arrows, no data. `draw.py` saves them."""

from __future__ import annotations

from scratch.study.style import BLUE, DARK, GATES, GREY, ORANGE, new_figure

BOX = {"boxstyle": "round,pad=0.28", "facecolor": "white", "edgecolor": DARK}


def canvas(width, height, x, y):
    figure = new_figure(width, height)
    axes = figure.subplots()
    axes.set(xlim=x, ylim=y, aspect="equal")
    axes.axis("off")
    return figure, axes


def box(axes, x, y, text, colour=DARK, size=11):
    axes.text(x, y, text, ha="center", va="center", fontsize=size,
              bbox={**BOX, "edgecolor": colour}, zorder=3)  # fmt: skip


def arrow(axes, start, end, text="", colour=DARK, offset=(0, 0.16), bend=0.0, style="-"):
    axes.annotate(
        "", end, start, zorder=2,
        arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0,
                    "linestyle": style, "connectionstyle": f"arc3,rad={bend}"},
    )  # fmt: skip
    if text:
        middle = (start[0] + end[0]) / 2 + offset[0], (start[1] + end[1]) / 2 + offset[1]
        axes.text(*middle, text, ha="center", va="center", fontsize=10, color=colour, zorder=4)


def rnn_unrolled():
    figure, axes = canvas(7.6, 3.1, (-0.4, 8.2), (-0.3, 3.3))
    arrow(axes, (-0.2, 1.5), (1.15, 1.5), "$h_0$")
    for t in (1, 2, 3):
        x = 2.5 * t - 1
        box(axes, x, 1.5, "tanh")
        box(axes, x, 0.1, f"$x_{t}$", BLUE)
        arrow(axes, (x, 0.33), (x, 1.24), "$W_{ih}$", BLUE, (0.38, 0))
        arrow(axes, (x, 1.76), (x, 2.75), f"$h_{t}$", offset=(0.25, 0.1))
        axes.text(x, 2.95, f"output {t}", ha="center", fontsize=9, color=DARK)
        end = x + 2.15 if t < 3 else x + 1.5
        arrow(axes, (x + 0.35, 1.5), (end, 1.5), "$W_{hh}$" if t < 3 else "", ORANGE)
    return figure


def rnn_backward():
    figure, axes = canvas(7.6, 3.3, (-1.2, 7.6), (-0.3, 3.5))
    for t in (1, 2, 3):
        x = 2.5 * t - 1
        box(axes, x, 1.5, f"$h_{t}$")
        arrow(axes, (x, 2.95), (x, 1.78), "from the\noutput", BLUE, (0.55, 0.1))
        axes.text(x, 3.15, rf"$\partial \ell_{t}/\partial h_{t}$", ha="center", fontsize=10)
        end = (x - 2.22, 1.5) if t > 1 else (-0.1, 1.5)
        words = rf"$W_{{hh}}^\top D_{t}$"
        arrow(axes, (x - 0.28, 1.5), end, words, ORANGE, (0.05, 0.24))
        arrow(axes, (x, 1.22), (x, 0.4), colour=GREY)
        axes.text(x, 0.1, "adds its part\nto $\\partial L/\\partial W_{hh}$", ha="center",
                  va="center", fontsize=9, color=DARK)  # fmt: skip
    axes.text(-0.2, 1.5, r"$\partial L/\partial h_0$", ha="right", va="center", fontsize=10)
    return figure


def lstm_cell():
    figure, axes = canvas(9, 4.6, (-1.0, 9.4), (-0.5, 4.7))
    arrow(axes, (-0.6, 4), (1.75, 4), "$c_{t-1}$")
    box(axes, 2, 4, "⊙", size=13)
    arrow(axes, (2.27, 4), (4.72, 4), r"$f \odot c_{t-1}$", offset=(0, 0.2))
    box(axes, 5, 4, "+", size=13)
    arrow(axes, (5.27, 4), (9.0, 4), "$c_t$", offset=(1.2, 0.2))
    box(axes, 5, 2.6, "⊙", size=13)
    arrow(axes, (5, 2.9), (5, 3.7), r"$i \odot g$", offset=(0.42, 0))
    gates = (("f", 2.0, r"$f=\sigma(z_f)$"), ("i", 3.9, r"$i=\sigma(z_i)$"),
             ("g", 5.8, r"$g=\tanh(z_g)$"), ("o", 7.9, r"$o=\sigma(z_o)$"))  # fmt: skip
    for name, x, text in gates:
        box(axes, x, 1.3, text, GATES[name])
        arrow(axes, (x, 0.42), (x, 1.02), colour=GREY)
    arrow(axes, (2, 1.6), (2, 3.7), colour=GATES["f"])
    arrow(axes, (3.9, 1.6), (4.72, 2.55), colour=GATES["i"])
    arrow(axes, (5.8, 1.6), (5.26, 2.42), colour=GATES["g"])
    box(axes, 7.9, 2.6, "⊙", size=13)
    arrow(axes, (7.9, 1.6), (7.9, 2.3), colour=GATES["o"])
    arrow(axes, (6.6, 4), (7.68, 2.82), r"$\tanh(c_t)$", offset=(0.55, 0.12))
    arrow(axes, (8.18, 2.6), (9.0, 2.6), "$h_t$")
    axes.plot([0.4, 7.9], [0.42, 0.42], color=GREY, lw=1.3)
    axes.text(0.3, 0.42, r"$z = W\,[x_t;\ h_{t-1};\ 1]$", ha="right", va="center", fontsize=11)
    axes.set_xlim(-2.3, 9.4)
    return figure
